"""The model folder: config.json and model.safetensors rebuild encoder and preprocessing exactly.

Beside them are heads/ (`heads`, `ood`), README.md (the model card) and metrics.json (`model_metrics`).
"""

import hashlib
import json
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from mermed_core.errors import ModelError
from mermed_core.files import write_file, write_json
from mermed_core.models.backbone import Backbone
from mermed_core.models.preprocessing import Preprocessing

FORMAT = 2
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"
# Prefix of the tensors that are no part of the encoder: existing weights, and their fingerprints, have it.
STAGE_POOLING = "stage_join"
# What format 1 called these settings.
_OLD_NAMES = {"stages": "pooled_stages", "focus": "centre_sigma"}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ModelConfig:
    """What is needed beside the weights to rebuild a model.

    Attributes:
        name: short name for people.
        architecture: timm name of the encoder.
        preprocessing: image size, resize and normalisation.
        training: where the weights come from (recipe, data, steps, code revision); free of paths.
        licence: licence of the weights.
        pooled_stages: how many of the encoder's last stages are pooled into the embedding, see `Backbone`.
        centre_sigma: width of the centre that pooled stages weigh beside the whole image, 0..1 of the side;
            0 for the whole image alone.
    """

    name: str
    architecture: str
    preprocessing: Preprocessing
    training: dict[str, Any] = field(default_factory=dict)
    licence: str = "unknown"
    pooled_stages: Annotated[int, Field(ge=0)] = 0
    centre_sigma: Annotated[float, Field(ge=0)] = 0.0


_CONFIG = TypeAdapter(ModelConfig)


def save_model(folder: Path, backbone: Backbone, config: ModelConfig) -> None:
    """Writes config and weights into an existing folder (a staging folder of `files.write_folder`)."""
    tensors = backbone.encoder.state_dict()
    if backbone.pooling is not None:
        pooling = backbone.pooling.state_dict()
        tensors |= {f"{STAGE_POOLING}.{name}": tensor for name, tensor in pooling.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with write_file(folder / WEIGHTS) as staging:
        save_file(tensors, staging)
    write_json(folder / CONFIG, {"format": FORMAT, **_CONFIG.dump_python(config, mode="json")})


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
        stated = value.pop("format")
        if stated not in range(1, FORMAT + 1):
            raise ModelError(f"'{path}' has format {stated}; this version reads formats up to {FORMAT}.")
        return _CONFIG.validate_python({_OLD_NAMES.get(name, name): entry for name, entry in value.items()})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ModelError(f"'{path}' is damaged: {key}: {first['msg']}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"'{path}' is damaged: {error!r}.") from error


def load_model(folder: Path, device: torch.device | None = None) -> tuple[Backbone, ModelConfig]:
    """Rebuilds the encoder of a model folder, in evaluation mode; every tensor must fit.

    Raises:
        ModelError: the folder is incomplete, or its weights do not fit its config.
    """
    config = load_config(folder)
    size = config.preprocessing.image_size
    backbone = Backbone(
        config.architecture,
        image_size=size,
        pooled_stages=config.pooled_stages,
        centre_sigma=config.centre_sigma,
    )
    try:
        tensors = load_file(folder / WEIGHTS)
        pooling = {name: tensors.pop(name) for name in list(tensors) if name.startswith(f"{STAGE_POOLING}.")}
        backbone.encoder.load_state_dict(tensors, strict=True)
        if backbone.pooling is not None:
            backbone.pooling.load_state_dict({name.partition(".")[2]: pooling[name] for name in pooling})
        elif pooling:
            raise RuntimeError(f"they hold {next(iter(pooling))}, which the config does not mention")
    except (OSError, SafetensorError) as error:
        raise ModelError(f"The weights in '{folder}' cannot be read: {error}.") from error
    except RuntimeError as error:
        raise ModelError(f"The weights in '{folder}' do not fit {config.architecture}: {error}") from error
    return backbone.to(device or "cpu").for_inference(), config


def read_card(folder: Path) -> str:
    """Returns the model card without the settings above it, "" where there is none."""
    path = folder / CARD
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    if text.startswith("---\n"):
        text = text.partition("\n---\n")[2]
    return text.strip()


def fingerprint(folder: Path) -> str:
    """Returns 16 hexadecimal digits that change with the weights or the preprocessing, not with the heads."""
    config = load_config(folder)
    parts = [config.architecture, config.preprocessing.to_dict()]
    if config.centre_sigma:  # models from before there was one keep their fingerprint
        parts.append(config.centre_sigma)
    identity = json.dumps(parts, sort_keys=True)
    digest = hashlib.sha256(identity.encode())
    try:
        digest.update((folder / WEIGHTS).read_bytes())
    except OSError as error:
        raise ModelError(f"The weights in '{folder}' cannot be read: {error}.") from error
    return digest.hexdigest()[:16]
