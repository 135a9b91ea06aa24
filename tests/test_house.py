"""Holds the house together: who may import whom, and how long a file or function may be."""

import ast
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("app", "mermed_core", "train")
SOURCES = sorted([ROOT / "app.py", *(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))])

# What stands in which layer of the core; a layer imports its own and lower ones, and nothing in a circle.
LAYERS: dict[str, int] = {
    "errors": 0,
    "modalities": 0,
    "records": 0,
    "artefacts": 0,
    "device": 0,
    "images": 1,
    "pixels": 1,
    "codestream": 1,
    "dicom": 1,
    "tiff": 1,
    "transforms": 1,
    "backbone": 1,
    "activation_maps": 2,
    "joining": 1,
    "recipes": 1,
    "data": 1,
    "checkpoint": 2,
    "inert": 1,
    "official": 2,
    "weights": 2,
    "embed": 3,
    "heads": 3,
    "fitting": 3,
    "gate": 3,
    "index": 3,
    "maps": 3,
    "explain": 3,
    "metrics": 3,
    "assembly": 4,
    "stages": 4,
    "vectors": 3,
    "card": 4,
    "collection": 4,
    "predictor": 5,
    "doctor": 5,
    "__main__": 5,
    "pretraining": 5,
    "evaluation": 5,
}
SERVING = {
    "predictor",
    "collection",
    "embed",
    "heads",
    "gate",
    "index",
    "maps",
    "explain",
    "activation_maps",
    "__main__",
    "doctor",
}
# The page knows the facade, the collection and the types and names that cross layers; nothing else.
APP_MAY_IMPORT = {"predictor", "collection", "records", "modalities", "errors"}
MAX_FILE = 300
MEDIAN_FILE = 120
P90_FUNCTION = 40


def imports_of(path: Path) -> set[str]:
    """Returns the dotted names of our own modules that a file imports, at any depth in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in PACKAGES}


def module_of(path: Path) -> str:
    if path == ROOT / "app.py":  # the package beside it has the same name
        return "app.__main__"
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def core_room(dotted: str) -> str | None:
    parts = dotted.split(".")
    return parts[1] if parts[0] == "mermed_core" and len(parts) > 1 else None


def test_every_file_of_the_core_has_its_layer():
    rooms = {path.stem if path.is_file() else path.name for path in (ROOT / "mermed_core").iterdir()}
    assert rooms - {"__init__", "__pycache__"} == set(LAYERS)


@pytest.mark.parametrize("path", [path for path in SOURCES if "mermed_core" in path.parts], ids=module_of)
def test_core_imports_no_higher_layer_and_neither_app_nor_train(path):
    room = core_room(module_of(path))
    for name in imports_of(path):
        assert name.split(".")[0] == "mermed_core"
        other = core_room(name)
        if room and other:
            assert LAYERS.get(other, 0) <= LAYERS[room], f"{module_of(path)} imports {name}"


def test_serving_pretraining_and_evaluation_never_import_each_other():
    for path in SOURCES:
        rooms = {core_room(name) for name in imports_of(path)}
        room = core_room(module_of(path))
        if room in SERVING or path.is_relative_to(ROOT / "app"):
            assert not rooms & {"pretraining", "evaluation"}, path
        if room in ("pretraining", "evaluation"):
            assert not rooms & {"predictor", "collection", "explain", "maps"}, path
        assert not {"pretraining", "evaluation"} <= {room, *rooms} or room is None, path


@pytest.mark.parametrize(
    "path",
    [path for path in SOURCES if path.is_relative_to(ROOT / "app") or path.name == "app.py"],
    ids=module_of,
)
def test_app_imports_only_the_facade(path):
    for name in imports_of(path):
        assert name.split(".")[0] in ("app", "mermed_core")
        assert core_room(name) in {None, *APP_MAY_IMPORT}, name


def test_nothing_imports_in_a_circle():
    graph = {module_of(path): imports_of(path) for path in SOURCES}
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " → ".join([*trail, module])
        if module not in done:
            for other in sorted(graph[module] & graph.keys() - {module}):
                visit(other, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_files_and_functions_stay_short():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert {path: length for path, length in lengths.items() if length > MAX_FILE} == {}
    assert statistics.median(lengths.values()) <= MEDIAN_FILE
    functions = sorted(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert functions[int(0.9 * len(functions))] <= P90_FUNCTION
    assert functions[-1] <= 80
