"""`mermed doctor`: what is installed, which device is used, what would be loaded, what is missing."""

import argparse
import logging
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mermed_core.cli.arguments import add_served
from mermed_core.errors import MermedError

SUMMARY = "Say what is installed, loaded and missing, and how to get it."
DETAILS = "Ends with 1 where something that serving needs is missing."

# What serving cannot do without, and what only the extras bring.
_NEEDED = (
    "torch",
    "torchvision",
    "timm",
    "gradio",
    "numba",
    "scikit-network",
    "plotly",
    "grad-cam",
    "pandas",
    "pydicom",
)
_OPTIONAL = {"accelerate": "train", "medmnist": "data", "open-clip-torch": "eval"}
_INSTALL = "pip install . in the project's folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.set_defaults(log_level=logging.WARNING)
    add_served(parser)


def run(options: argparse.Namespace) -> int:
    """Prints the report; returns 1 where something is missing.

    Raises:
        SettingsError: an environment variable has a value that cannot be used.
    """
    from mermed_core.settings import Settings

    settings = Settings.from_environment()
    report, healthy = examine(
        options.model or settings.model, options.collection or settings.collection, settings.data
    )
    print(report)
    return 0 if healthy else 1


def examine(model: Path, collection: Path, data: Path | None) -> tuple[str, bool]:
    """Returns the report, and whether everything that serving needs is there.

    Args:
        model: folder of the model that would be served.
        collection: folder of the collection that would be served.
        data: folder of real image sets, None where none is set.
    """
    lines = [f"ok       Python {platform.python_version()} on {platform.system()} {platform.machine()}"]
    lines += [_package(name) for name in _NEEDED]
    lines.append(_faiss())
    lines += [_optional(name, extra) for name, extra in _OPTIONAL.items()]
    if not _missing(lines):
        lines += [*_devices(), *_folders(model, collection)]
    lines.append(_data(data))
    return "\n".join(lines), not _missing(lines)


def _missing(lines: list[str]) -> bool:
    return any(line.startswith("MISSING") for line in lines)


def _package(name: str) -> str:
    try:
        return f"ok       {name} {version(name)}"
    except PackageNotFoundError:
        return f"MISSING  {name}: {_INSTALL}"


def _optional(name: str, extra: str) -> str:
    try:
        return f"ok       {name} {version(name)}"
    except PackageNotFoundError:
        return f"note     {name} is not installed: pip install '.[{extra}]' in the project's folder"


def _faiss() -> str:
    found = [line for name in ("faiss-gpu", "faiss-cpu") if (line := _package(name)).startswith("ok")]
    return found[0] if found else f"MISSING  faiss: {_INSTALL}"


def _devices() -> list[str]:
    from mermed_core.device import choose_device, describe
    from mermed_core.search.faiss_engine import describe_device

    return [f"ok       torch on {describe(choose_device())}", f"ok       faiss on {describe_device()}"]


def _folders(model: Path, collection: Path) -> list[str]:
    from mermed_core.collections.store import load_collection
    from mermed_core.inference.predictor import Predictor

    try:
        predictor = Predictor.load(model)
    except MermedError as error:
        return [f"MISSING  model {model}: {error}"]
    lines = [f"ok       model {model}: {predictor.model_name}, {len(predictor.tasks)} label sets"]
    try:
        loaded = load_collection(collection)
    except MermedError as error:
        return [*lines, f"MISSING  collection {collection}: {error}"]
    kind = "synthetic" if loaded.synthetic else "real"
    bare = "" if loaded.has_pictures else ", without pictures"
    lines.append(f"ok       collection {collection}: '{loaded.name}', {len(loaded)} {kind} cases{bare}")
    if loaded.foreign:
        lines.append(f"note     {loaded.foreign}")
    elif not predictor.made(loaded):
        lines.append("MISSING  the collection was made by another model: build it again with this one")
    return lines


def _data(folder: Path | None) -> str:
    if folder is None:
        return "note     MERMED_DATA is not set: a recipe needs data.manifest=…, some tests are skipped"
    return f"ok       MERMED_DATA: {len(list(folder.glob('*.parquet')))} parquet files"
