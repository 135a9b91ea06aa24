"""Says what is installed, which device is used, what would be loaded, and how to get what is missing."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mermed_core.errors import MermedError

_PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "gradio",
    "umap-learn",
    "plotly",
    "grad-cam",
    "pandas",
    "pydicom",
)
_INSTALL = "python -m pip install -r requirements.txt"


def examine(model: Path, collection: Path) -> tuple[str, bool]:
    """Returns the report, and whether nothing that serving needs is missing."""
    lines = [f"ok       Python {platform.python_version()} on {platform.system()} {platform.machine()}"]
    lines += [_package(name) for name in _PACKAGES]
    lines.append(_faiss())
    if not any(line.startswith("MISSING") for line in lines):
        lines += [*_devices(), *_artefacts(model, collection)]
    lines.append(_data())
    return "\n".join(lines), not any(line.startswith("MISSING") for line in lines)


def _package(name: str) -> str:
    try:
        return f"ok       {name} {version(name)}"
    except PackageNotFoundError:
        return f"MISSING  {name}: {_INSTALL}"


def _faiss() -> str:
    for name in ("faiss-gpu", "faiss-cpu"):
        try:
            return f"ok       {name} {version(name)}"
        except PackageNotFoundError:
            continue
    return f"MISSING  faiss: {_INSTALL}"


def _devices() -> list[str]:
    from mermed_core.device import choose_device, describe
    from mermed_core.search.faiss_engine import device_in_words

    return [f"ok       torch on {describe(choose_device())}", f"ok       faiss on {device_in_words()}"]


def _artefacts(model: Path, collection: Path) -> list[str]:
    from mermed_core.collections.collection import load_collection
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
    lines.append(f"ok       collection {collection}: '{loaded.name}', {len(loaded)} {kind} cases")
    if not predictor.made(loaded):
        lines.append("MISSING  the collection was made by another model: build it again with this one")
    return lines


def _data() -> str:
    folder = os.environ.get("MERMED_DATA")
    if not folder:
        return "note     MERMED_DATA is not set: training and the tests on real images are off"
    found = sorted(Path(folder).glob("*.parquet"))
    return f"ok       MERMED_DATA: {len(found)} parquet files"
