"""Where an encoder starts from: random, a timm tag, a weights file, a package with one, or a model folder."""

import importlib.util
import logging
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from mermed_core.backbone import Backbone
from mermed_core.checkpoint import WEIGHTS, load_config
from mermed_core.errors import ModelError

logger = logging.getLogger(__name__)

_SUFFIXES = (".safetensors", ".pth", ".pt")
_CLASSIFIERS = ("classifier", "fc", "_fc", "head", "head.fc")


def start_backbone(
    architecture: str, start: str, *, image_size: int, drop_path_rate: float = 0.0
) -> Backbone:
    """Makes an encoder with its starting weights.

    Args:
        architecture: timm name.
        start: "random"; "timm" (the tag's weights from the Hugging Face hub); "package:NAME" (an installed
            package that carries one weights file); or the path of a weights file or of our model folder.
        image_size: side of the input in pixels.
        drop_path_rate: stochastic depth while training.

    Raises:
        ModelError: the weights are not found or do not fit.
    """
    if start == "timm":
        return _from_hub(architecture, image_size, drop_path_rate)
    backbone = Backbone(architecture, image_size=image_size, drop_path_rate=drop_path_rate)
    if start != "random":
        load_weights(backbone.encoder, _locate(start, architecture))
    return backbone


def load_weights(encoder: nn.Module, path: Path) -> None:
    """Loads a weights file into an encoder: by name, or where the names differ by order; never in part.

    By order (the same network under other names) every shape must agree in turn; a classifier at the end is
    left out.

    Raises:
        ModelError: the file cannot be read, or its tensors are not those of the encoder.
    """
    loaded = {name: tensor for name, tensor in _read(path).items() if not _is_classifier(name)}
    wanted = encoder.state_dict()
    if loaded.keys() != wanted.keys():
        loaded = _by_order(loaded, wanted, path)
    if wrong := [name for name in wanted if loaded[name].shape != wanted[name].shape]:
        raise ModelError(f"'{path}' does not fit the encoder: '{wrong[0]}' has another shape.")
    encoder.load_state_dict(loaded, strict=True)
    logger.info("%d tensors loaded from %s", len(loaded), path.name)


def _from_hub(architecture: str, image_size: int, drop_path_rate: float) -> Backbone:
    try:
        return Backbone(architecture, image_size=image_size, drop_path_rate=drop_path_rate, pretrained=True)
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"The pretrained weights of '{architecture}' could not be fetched from the Hugging Face hub "
            f"({error}). Without a network, give the path of a weights file as 'start'."
        ) from error


def _locate(start: str, architecture: str) -> Path:
    if start.startswith("package:"):
        return _in_package(start.removeprefix("package:"))
    path = Path(start)
    if not path.is_dir():
        return path
    config = load_config(path)
    if config.architecture.split(".")[0] != architecture.split(".")[0]:
        raise ModelError(f"'{path}' holds a {config.architecture}, the recipe asks for {architecture}.")
    return path / WEIGHTS


def _in_package(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"The package '{package}' that carries the weights is not installed.")
    folder = Path(spec.submodule_search_locations[0])
    files = sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES)
    if len(files) != 1:
        raise ModelError(f"The package '{package}' carries {len(files)} weights files; one is expected.")
    return files[0]


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise ModelError(f"There is no weights file '{path}'.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # weights_only: tensors and plain containers; no code of the pickle is executed.
        value = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError) as error:
        raise ModelError(f"'{path}' cannot be read as weights: {error}") from error
    except Exception as error:  # pickle errors of several modules share no base class
        raise ModelError(f"'{path}' holds more than weights and is not opened: {error}") from error
    if not isinstance(value, dict) or not all(isinstance(item, torch.Tensor) for item in value.values()):
        raise ModelError(f"'{path}' is not a plain table of tensors.")
    return value


def _is_classifier(name: str) -> bool:
    return name.rpartition(".")[0] in _CLASSIFIERS


def _by_order(
    loaded: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], path: Path
) -> dict[str, torch.Tensor]:
    same = len(loaded) == len(wanted) and all(
        left.shape == right.shape for left, right in zip(loaded.values(), wanted.values(), strict=True)
    )
    if not same:
        missing = sorted(wanted.keys() - loaded.keys())[:3]
        raise ModelError(f"'{path}' does not fit the encoder: it lacks for example {', '.join(missing)}.")
    logger.info(
        "the names in %s differ from the encoder's; tensors taken in order, all shapes agree", path.name
    )
    return dict(zip(wanted, loaded.values(), strict=True))
