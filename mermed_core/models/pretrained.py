"""Where an encoder starts from: random, a timm tag, a file from disk, package or hub, a model folder."""

import importlib.util
import logging
from collections import Counter
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from mermed_core.errors import ModelError
from mermed_core.models.backbone import Backbone
from mermed_core.models.mermed_weights import Report, is_official, official_encoder
from mermed_core.models.model_folder import STAGE_POOLING, WEIGHTS, load_config
from mermed_core.models.safe_pickle import read_torch_file
from mermed_core.specs import START, SpecError

logger = logging.getLogger(__name__)

START_HELP = (
    '"random", "timm" (the weights of that name from the hub), package:NAME, hub:OWNER/NAME/FILE, '
    "or the path of a weights file or model folder"
)
_SUFFIXES = (".safetensors", ".pth", ".pt")
# What wrappers put before the names: data parallel, torch.compile, a network with a head beside it.
_PREFIXES = ("", "module.", "_orig_mod.", "backbone.", "encoder.", "module.backbone.", "module.encoder.")
_CLASSIFIERS = ("classifier", "fc", "_fc", "head", "head.fc")


def start_backbone(
    architecture: str, start: str, *, image_size: int, drop_path_rate: float = 0.0
) -> Backbone:
    """Makes an encoder with its starting weights.

    Args:
        architecture: timm name.
        start: "random"; "timm" (the tag's weights from the Hugging Face hub); "package:NAME" (an installed
            package that carries one weights file); "hub:OWNER/NAME/FILE"; or the path of a weights file or of
            our model folder. A file may be the published MerMED-FM checkpoint (`mermed_weights`).
        image_size: side of the input in pixels.
        drop_path_rate: stochastic depth while training.

    Raises:
        ModelError: the weights are not found or do not fit.
    """
    if start == "timm":
        return _from_hub(architecture, image_size, drop_path_rate)
    backbone = Backbone(architecture, image_size=image_size, drop_path_rate=drop_path_rate)
    if start != "random":
        load_weights(backbone.encoder, locate_weights(start, architecture))
    return backbone


def load_weights(encoder: nn.Module, path: Path) -> Report:
    """Loads a weights file into an encoder: by name, or by order where the names differ; never in part.

    From the published MerMED-FM checkpoint the teacher's encoder is taken. Prefixes of wrappers are removed.
    By order (the same network under other names) every shape must agree in turn. A classifier at the end is
    left out.

    Returns:
        Which parts of the file went into the encoder.

    Raises:
        ModelError: the file cannot be read, or its tensors are not those of the encoder.
    """
    loaded, report = _read(path)
    wanted = encoder.state_dict()
    if report.taken_from == "":
        loaded = _fitting(loaded, wanted, path)
    if loaded.keys() != wanted.keys():
        lacking, unknown = (
            sorted(wanted.keys() - loaded.keys())[:3],
            sorted(loaded.keys() - wanted.keys())[:3],
        )
        raise ModelError(
            f"'{path}' does not fit the encoder: it lacks {', '.join(lacking) or 'nothing'} and has "
            f"{', '.join(unknown) or 'nothing'} that the encoder does not have."
        )
    if wrong := [name for name in wanted if loaded[name].shape != wanted[name].shape]:
        raise ModelError(f"'{path}' does not fit the encoder: '{wrong[0]}' has another shape.")
    encoder.load_state_dict(loaded, strict=True)
    logger.info("%s: %s", path.name, report)
    return report


def _from_hub(architecture: str, image_size: int, drop_path_rate: float) -> Backbone:
    try:
        return Backbone(architecture, image_size=image_size, drop_path_rate=drop_path_rate, pretrained=True)
    except (OSError, RuntimeError) as error:
        raise ModelError(
            f"The pretrained weights of '{architecture}' could not be fetched from the Hugging Face hub "
            f"({error}). Without a network, give the path of a weights file as 'start'."
        ) from error


def locate_weights(start: str, architecture: str) -> Path:
    """Returns the weights file that a start names; see `start_backbone`. A file of the hub is fetched.

    Raises:
        ModelError: it is not there, or is of another architecture.
    """
    try:
        spec = START.parse(start)
    except SpecError as error:
        raise ModelError(f"{error} An encoder starts from {START_HELP}.") from error
    if spec.kind == "package":
        return _in_package(spec.target)
    if spec.kind == "hub":
        return _fetched(spec.target)
    path = Path(start)
    if not path.is_dir():
        return path
    config = load_config(path)
    if config.architecture.split(".")[0] != architecture.split(".")[0]:
        raise ModelError(f"'{path}' holds a {config.architecture}, the recipe asks for {architecture}.")
    return path / WEIGHTS


def _fetched(place: str) -> Path:
    owner, _, rest = place.partition("/")
    name, _, file = rest.partition("/")
    if not file:
        raise ModelError(f"'hub:{place}' is not of the form hub:OWNER/NAME/FILE.")
    try:
        return Path(hf_hub_download(f"{owner}/{name}", file))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise ModelError(
            f"'{file}' could not be fetched from '{owner}/{name}' on the Hugging Face hub ({error}). "
            "Without a network, fetch it elsewhere and give its path."
        ) from error


def _in_package(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"The package '{package}' that carries the weights is not installed.")
    folder = Path(spec.submodule_search_locations[0])
    files = sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES)
    if len(files) != 1:
        raise ModelError(f"The package '{package}' carries {len(files)} weights files; one is expected.")
    return files[0]


def _read(path: Path) -> tuple[dict[str, torch.Tensor], Report]:
    if path.suffix == ".safetensors":
        try:
            value = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"'{path}' cannot be read as weights: {error}") from error
    else:
        value = read_torch_file(path)
    if is_official(value):
        return official_encoder(value)
    if not isinstance(value, dict) or not all(isinstance(item, torch.Tensor) for item in value.values()):
        raise ModelError(f"'{path}' is neither a plain table of tensors nor the published MerMED checkpoint.")
    kinds = {name: _kind(name) for name in value}
    tensors = {name: tensor for name, tensor in value.items() if not kinds[name]}
    left_out = Counter(kind for kind in kinds.values() if kind)
    return tensors, Report("", len(tensors), dict(left_out))


def _fitting(
    loaded: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor], path: Path
) -> dict[str, torch.Tensor]:
    """Returns the tensors under the encoder's names where prefixes or all names differ."""
    for prefix in _PREFIXES:
        bare = {name.removeprefix(prefix): tensor for name, tensor in loaded.items()}
        if bare.keys() == wanted.keys():
            return bare
    return _by_order(loaded, wanted, path)


def _kind(name: str) -> str:
    """Returns what a tensor is where it is no part of an encoder, else ""."""
    if name.startswith(f"{STAGE_POOLING}."):
        return "stage pooling"
    return "classifier" if name.rpartition(".")[0] in _CLASSIFIERS else ""


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
