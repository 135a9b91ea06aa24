"""The published MerMED-FM weights: a training checkpoint whose teacher is a plain ViT.

The file (Hugging Face youngzhou12/MerMED, MerMED.pth, 1.61 GB) has the keys student, teacher, optimizer,
memory_bank, epoch, args and fp16_scaler. The teacher's tensors below `module.backbone.` are those of a timm
ViT-B/16 with a class token, and its embedding is that token after the last norm.

The preprocessing is not in the file. Images are squashed to 224 × 224 and normalised with ImageNet's mean and
standard deviation, as in the authors' code that extracts embeddings. They pretrained with each modality's own
statistics, so that is offered as well.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch

from mermed_core.errors import ModelError
from mermed_core.models.model_folder import ModelConfig
from mermed_core.models.preprocessing import Preprocessing, paper_normalisation
from mermed_core.records import RESEARCH_ONLY

ARCHITECTURE = "vit_base_patch16_224"
IMAGE_SIZE = 224
NORMALISATIONS = ("imagenet", "modality")
LICENCE = "unclear: Apache-2.0 on the model card, CC BY-NC 4.0 in the repository; use the stricter"

_NETWORK = "teacher"
_ENCODER = "module.backbone."


@dataclass(frozen=True)
class Report:
    """Which parts of a file went into the encoder, and which did not.

    Attributes:
        taken_from: the part of the file that holds the encoder; "" for the whole of it.
        taken: number of tensors in the encoder, each of them loaded.
        left_out: other parts of the file, with the number of tensors below each.
    """

    taken_from: str
    taken: int
    left_out: dict[str, int]

    def __str__(self) -> str:
        """Returns the report as a sentence."""
        rest = ", ".join(f"{name} ({count})" for name, count in self.left_out.items())
        source = f" from {self.taken_from}" if self.taken_from else ""
        return f"{self.taken} tensors loaded{source}" + (f"; left out: {rest}" if rest else "")

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self)


def is_official(value: Any) -> bool:
    """Returns whether the content of a file has the layout of the published checkpoint."""
    network = value.get(_NETWORK) if isinstance(value, dict) else None
    return isinstance(network, dict) and any(str(name).startswith(_ENCODER) for name in network)


def official_encoder(value: dict[str, Any]) -> tuple[dict[str, torch.Tensor], Report]:
    """Returns the teacher's encoder under timm's names, and a report of what the file holds.

    Raises:
        ModelError: something among the encoder's values is no tensor.
    """
    network = value[_NETWORK]
    encoder = {
        name.removeprefix(_ENCODER): tensor for name, tensor in network.items() if name.startswith(_ENCODER)
    }
    if wrong := [name for name, tensor in encoder.items() if not isinstance(tensor, torch.Tensor)]:
        raise ModelError(f"'{_NETWORK}' of the checkpoint holds '{_ENCODER}{wrong[0]}', which is no tensor.")
    others = {name: tensor for name, tensor in network.items() if not name.startswith(_ENCODER)}
    left_out = {f"{_NETWORK} besides": _count(others)} if others else {}
    left_out |= {str(key): _count(part) for key, part in value.items() if key != _NETWORK}
    return encoder, Report(f"{_NETWORK}/{_ENCODER.rstrip('.')}", len(encoder), left_out)


def official_config(normalisation: str, report: Report, architecture: str = ARCHITECTURE) -> ModelConfig:
    """Returns the config of a model folder with these weights; see the module about the normalisation.

    Args:
        normalisation: "imagenet", or "modality" for the statistics of the pretraining.
        report: what was loaded.
        architecture: timm name.
    """
    statistics = paper_normalisation() if normalisation == "modality" else {}
    training = {
        "method": "MerMED-FM by its authors (arXiv 2507.00185)",
        "weights": "teacher of the published checkpoint",
        "normalisation": normalisation,
        "loaded": report.to_dict(),
    }
    preprocessing = Preprocessing(IMAGE_SIZE, "squash", modalities=statistics)
    return ModelConfig("mermed-official", architecture, preprocessing, training, LICENCE)


def official_card(config: ModelConfig) -> str:
    """Returns the model card: whose weights these are, how images are prepared for them, which licence."""
    chosen = config.training["normalisation"]
    statistics = "ImageNet's" if chosen == "imagenet" else "each modality's own, as in the pretraining"
    loaded, side = config.training["loaded"], config.preprocessing.image_size
    return "\n\n".join(
        [
            "---\nlibrary_name: timm\nlicense: other\n---",
            f"# {config.name}",
            f"**{RESEARCH_ONLY}**",
            "The encoder of MerMED-FM as its authors published it (arXiv 2507.00185), converted to this "
            "format; nothing was trained.",
            f"{loaded['taken']} tensors of `{loaded['taken_from']}` as `{config.architecture}`; images are "
            f"squashed to {side} × {side} px and normalised with {statistics} mean and standard deviation. "
            "The authors pretrained with each modality's statistics and extract embeddings with ImageNet's; "
            "either can be chosen when the weights are imported.",
            f"Licence of the weights: {config.licence}.\n",
        ]
    )


def _count(part: Any) -> int:
    """Counts the tensors in nested containers."""
    if isinstance(part, torch.Tensor):
        return 1
    if isinstance(part, dict):
        return sum(map(_count, part.values()))
    return sum(map(_count, part)) if isinstance(part, list | tuple) else 0
