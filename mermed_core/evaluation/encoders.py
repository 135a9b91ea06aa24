"""Opens any encoder for an evaluation, with the preprocessing that belongs to it."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import timm
import torch
from huggingface_hub.errors import HfHubHTTPError
from timm.data.config import resolve_data_config
from timm.models import load_model_config_from_hf
from torch import nn

from mermed_core.device import choose_device
from mermed_core.errors import EvaluationError
from mermed_core.models.backbone import Backbone
from mermed_core.models.embedder import Embedder
from mermed_core.models.model_folder import ModelConfig
from mermed_core.models.preprocessing import Preprocessing
from mermed_core.models.pretrained import start_backbone
from mermed_core.specs import ENCODER, Spec, SpecError, split_name

ENCODER_HELP = (
    "a model folder; a timm name with its pretrained weights (timm:NAME, hf_hub:OWNER/NAME); "
    "open_clip:NAME/TAG or open_clip:hf-hub:OWNER/NAME where that package is installed; weights:NAME=START "
    "(whatever encoder.start of a recipe can be); or a baseline: random:NAME, pixels. @SIZE after a name "
    "sets the side of the input in pixels"
)
_PIXELS = 32
_HUB = ("hf-hub:", "hf_hub:")


def open_encoder(spec: str, device: torch.device | None = None) -> Embedder:
    """Opens an encoder by its specification, see `ENCODER_HELP`, or by NAME=SPECIFICATION.

    Reports use the name in its config: NAME, else the model's own name, else the specification.

    Raises:
        EvaluationError: there is no such kind of encoder, or it cannot be obtained.
        ModelError: its weights are missing or do not fit.
    """
    device = device or choose_device()
    name, text = split_name(spec)
    if Path(text).is_dir():
        embedder = Embedder.load(Path(text), device)
        if name:
            embedder.config = replace(embedder.config, name=name)
        return embedder
    parsed = _parsed(text)
    module, preprocessing = _KINDS[parsed.kind](parsed)
    config = ModelConfig(name or text, parsed.target or parsed.kind, preprocessing)
    fingerprint = _fingerprint(module, preprocessing)
    module = module.to(device).to(memory_format=torch.channels_last).eval()
    return Embedder(cast(Backbone, module), config, fingerprint, device)


def _parsed(text: str) -> Spec:
    try:
        spec = ENCODER.parse(text)
    except SpecError as error:
        raise EvaluationError(f"{error} An encoder can be {ENCODER_HELP}.") from error
    if (
        spec.kind == ENCODER.default
        and not text.startswith(f"{spec.kind}:")
        and not timm.is_model(spec.target)
    ):
        raise EvaluationError(f"'{text}' is not an encoder. It can be {ENCODER_HELP}.")
    return spec


class Pixels(nn.Module):
    """No encoder at all: the normalised pixels themselves, a baseline that any encoder must beat."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns images (batch, 3, height, width) as (batch, 3 · height · width)."""
        return images.flatten(1)


class _ClipImages(nn.Module):
    """The image half of an open_clip model."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model.encode_image(images)


def _pixels(spec: Spec) -> tuple[nn.Module, Preprocessing]:
    return Pixels(), Preprocessing(spec.number or _PIXELS, "squash")


def _from_timm(spec: Spec) -> tuple[nn.Module, Preprocessing]:
    return _pretrained(spec.target, spec.number)


def _pretrained(name: str, size: int | None) -> tuple[nn.Module, Preprocessing]:
    if not name.startswith(_HUB) and not timm.is_model(name):
        raise EvaluationError(f"timm has no architecture '{name}'; see timm.list_models().")
    try:
        options: dict[str, Any] = {"img_size": size} if size and _takes_size(name) else {}
        model = timm.create_model(name, pretrained=True, num_classes=0, **options)
    except (OSError, RuntimeError, ValueError, HfHubHTTPError) as error:
        raise EvaluationError(
            f"The weights of '{name}' cannot be downloaded from the hub: {error}"
        ) from error
    return model, _of_timm(model, size)


def _from_hub(spec: Spec) -> tuple[nn.Module, Preprocessing]:
    return _pretrained(f"hf-hub:{spec.target}", spec.number)


def _random(spec: Spec) -> tuple[nn.Module, Preprocessing]:
    torch.manual_seed(0)
    return _started(spec.target, "random", spec.number)


def _weights(spec: Spec) -> tuple[nn.Module, Preprocessing]:
    if not spec.start:
        raise EvaluationError(f"'{spec}' does not say where the weights are; write weights:NAME=START.")
    return _started(spec.target, spec.start, spec.number)


def _started(architecture: str, start: str, size: int | None) -> tuple[nn.Module, Preprocessing]:
    side = size or _own_size(architecture)
    backbone = start_backbone(architecture, start, image_size=side)
    backbone.check_size(side)
    return backbone, _of_timm(backbone.encoder, side)


def _open_clip(spec: Spec) -> tuple[nn.Module, Preprocessing]:
    name, size = spec.target, spec.number
    try:
        import open_clip  # pyright: ignore[reportMissingImports]  # optional: not in requirements.txt
    except ImportError as error:
        raise EvaluationError(
            "open_clip: names need the package open_clip_torch, which is not installed."
        ) from error
    architecture, _, tag = (name, "", None) if name.startswith(_HUB) else name.rpartition("/")
    if not architecture:
        raise EvaluationError(f"'open_clip:{name}' does not say which weights; write open_clip:NAME/TAG.")
    options: dict[str, Any] = {"force_image_size": size} if size else {}
    try:
        model, _, _ = open_clip.create_model_and_transforms(architecture, pretrained=tag, **options)
    except (OSError, RuntimeError, TypeError, ValueError, HfHubHTTPError) as error:
        raise EvaluationError(f"open_clip cannot open '{name}': {error}") from error
    visual: Any = model.visual
    side = visual.image_size[0] if isinstance(visual.image_size, tuple) else visual.image_size
    if size not in (None, side):  # some weights come with a network of their own
        raise EvaluationError(f"open_clip opens '{name}' for {side} px only; leave out @{size}.")
    return _ClipImages(model), Preprocessing(
        side, "squash", (tuple(visual.image_mean), tuple(visual.image_std))
    )


_KINDS: dict[str, Callable[[Spec], tuple[nn.Module, Preprocessing]]] = {
    "timm": _from_timm,
    "hf_hub": _from_hub,
    "hf-hub": _from_hub,
    "open_clip": _open_clip,
    "weights": _weights,
    "random": _random,
    "pixels": _pixels,
}


def _takes_size(name: str) -> bool:
    """Returns whether a timm model is built for one size of input, which is then passed as `img_size`."""
    architecture = load_model_config_from_hf(name.partition(":")[2])[1] if name.startswith(_HUB) else name
    settings = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
    return settings is not None and settings.fixed_input_size


def _own_size(architecture: str) -> int:
    if not timm.is_model(architecture):
        raise EvaluationError(f"timm has no architecture '{architecture}'; see timm.list_models().")
    settings = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
    return settings.input_size[-1] if settings else 224


def _of_timm(model: nn.Module, size: int | None) -> Preprocessing:
    """Returns the preprocessing that a timm model was pretrained with, without its centre crop."""
    settings = resolve_data_config(model=model)
    statistics = (tuple(settings["mean"]), tuple(settings["std"]))
    return Preprocessing(size or settings["input_size"][-1], "squash", statistics)


def _fingerprint(module: nn.Module, preprocessing: Preprocessing) -> str:
    digest = hashlib.sha256(json.dumps([type(module).__name__, preprocessing.to_dict()]).encode())
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
