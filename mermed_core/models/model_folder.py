"""The model folder: config.json and model.safetensors, enough to rebuild encoder and preprocessing strictly.

Beside them stand heads/ (see heads.py), README.md (the model card) and metrics.json.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mermed_core.errors import ModelError
from mermed_core.files import write_file, write_json
from mermed_core.models.backbone import Backbone
from mermed_core.models.preprocessing import Preprocessing

FORMAT = 1
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
# Before the names of the tensors that are no part of the encoder.
JOIN = "stage_join"


@dataclass(frozen=True)
class ModelConfig:
    """What is needed beside the weights to rebuild a model.

    Attributes:
        name: short name for people.
        architecture: timm name of the encoder.
        preprocessing: image size, resize and normalisation.
        training: where the weights come from (recipe, data, steps, code revision); free of paths.
        licence: licence of the weights.
        stages: how many of the encoder's last stages are joined in an embedding, see `joining`.
        focus: how wide the middle is that joined stages look at beside the whole; 0 for the whole alone.
    """

    name: str
    architecture: str
    preprocessing: Preprocessing
    training: dict[str, Any] = field(default_factory=dict)
    licence: str = "unknown"
    stages: int = 0
    focus: float = 0.0

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Self:
        """Reads what `to_dict` gave."""
        return cls(
            name=str(value["name"]),
            architecture=str(value["architecture"]),
            preprocessing=Preprocessing.from_dict(value["preprocessing"]),
            training=dict(value["training"]),
            licence=str(value["licence"]),
            stages=int(value.get("stages", 0)),
            focus=float(value.get("focus", 0.0)),
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {
            "format": FORMAT,
            "name": self.name,
            "architecture": self.architecture,
            "preprocessing": self.preprocessing.to_dict(),
            "training": self.training,
            "licence": self.licence,
            "stages": self.stages,
            "focus": self.focus,
        }


def save_model(folder: Path, backbone: Backbone, config: ModelConfig) -> None:
    """Writes config and weights into an existing folder (a staging folder of `artefacts.write_folder`)."""
    tensors = backbone.encoder.state_dict()
    if backbone.join is not None:
        tensors |= {f"{JOIN}.{name}": tensor for name, tensor in backbone.join.state_dict().items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with write_file(folder / WEIGHTS) as staging:
        save_file(tensors, staging)
    write_json(folder / CONFIG, config.to_dict())


def load_config(folder: Path) -> ModelConfig:
    """Reads the config of a model folder.

    Raises:
        ModelError: no such folder, or a config that is damaged or of a newer format.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise ModelError(f"There is no model in '{folder}': {CONFIG} is missing.")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] != FORMAT:
            raise ModelError(f"'{path}' has format {value['format']}; this version reads format {FORMAT}.")
        return ModelConfig.from_dict(value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"'{path}' is damaged: {error!r}.") from error


def load_model(folder: Path, device: torch.device | None = None) -> tuple[Backbone, ModelConfig]:
    """Rebuilds the encoder of a model folder, in evaluation mode; every tensor must fit.

    Raises:
        ModelError: the folder is incomplete, or its weights do not fit its config.
    """
    config = load_config(folder)
    size = config.preprocessing.image_size
    backbone = Backbone(config.architecture, image_size=size, stages=config.stages, focus=config.focus)
    try:
        tensors = load_file(folder / WEIGHTS)
        joined = {name: tensors.pop(name) for name in list(tensors) if name.startswith(f"{JOIN}.")}
        backbone.encoder.load_state_dict(tensors, strict=True)
        if backbone.join is not None:
            backbone.join.load_state_dict({name.partition(".")[2]: joined[name] for name in joined})
        elif joined:
            raise RuntimeError(f"they hold {next(iter(joined))}, which the config does not know of")
    except (OSError, SafetensorError) as error:
        raise ModelError(f"The weights in '{folder}' cannot be read: {error}.") from error
    except RuntimeError as error:
        raise ModelError(f"The weights in '{folder}' do not fit {config.architecture}: {error}") from error
    return backbone.to(device or "cpu").for_inference(), config


def fingerprint(folder: Path) -> str:
    """Returns 16 hexadecimal digits that change with the weights or the preprocessing, not with the heads."""
    config = load_config(folder)
    parts = [config.architecture, config.preprocessing.to_dict()]
    if config.focus:  # models from before there was one keep their fingerprint
        parts.append(config.focus)
    identity = json.dumps(parts, sort_keys=True)
    digest = hashlib.sha256(identity.encode())
    try:
        digest.update((folder / WEIGHTS).read_bytes())
    except OSError as error:
        raise ModelError(f"The weights in '{folder}' cannot be read: {error}.") from error
    return digest.hexdigest()[:16]
