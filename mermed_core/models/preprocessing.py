"""From pixels to the encoder's input: the same in training and in serving, and stored beside the weights."""

from dataclasses import asdict, field
from typing import Annotated, Any, Literal, get_args

import numpy as np
import timm
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from mermed_core.imaging.frames import Box, find_picture
from mermed_core.modalities import MODALITIES

_Channels = Annotated[tuple[float, ...], Field(min_length=3, max_length=3)]
# Mean and standard deviation of each channel, RGB in 0..1.
Statistics = tuple[_Channels, _Channels]
Resize = Literal["squash", "pad"]

IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
RESIZES: tuple[str, ...] = get_args(Resize)


def paper_normalisation() -> dict[str, Statistics]:
    """Returns the paper's mean and standard deviation of each modality."""
    return {key: (modality.mean, modality.std) for key, modality in MODALITIES.items()}


def timm_normalisation(architecture: str) -> Statistics:
    """Returns the mean and standard deviation that the weights of a timm architecture were trained with.

    ImageNet's where timm knows no weights for it.
    """
    settings = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
    return (settings.mean, settings.std) if settings else IMAGENET


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Preprocessing:
    """How an image becomes the encoder's input.

    Attributes:
        image_size: side of the square input in pixels.
        resize: "squash" to the square without keeping the aspect, or "pad" with black to a square first.
        neutral: mean and std (0..1) used while the modality is not known.
        modalities: mean and std (0..1) of each modality; empty means that `neutral` serves for all.
        trim: leave out border, padding and the window around the picture, see `imaging.frames`.
    """

    image_size: Annotated[int, Field(gt=0)] = 224
    resize: Resize = "squash"
    neutral: Statistics = IMAGENET
    modalities: dict[str, Statistics] = field(default_factory=dict)
    trim: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        values = asdict(self)
        if not self.trim:  # models from before there was a choice keep their fingerprint
            del values["trim"]
        return values

    def statistics(self, modality: str | None) -> Statistics:
        """Returns mean and std of a modality, or the neutral ones where the modality is not known."""
        return self.modalities.get(modality, self.neutral) if modality else self.neutral

    def picture(self, pixels: np.ndarray) -> Box:
        """Returns the part of pixels (height, width, 3) uint8 that the encoder sees."""
        return find_picture(pixels) if self.trim else Box(0, 0, *pixels.shape[:2])

    def __call__(self, pixels: np.ndarray, modality: str | None = None) -> torch.Tensor:
        """Turns (height, width, 3) uint8 pixels into a normalised tensor (3, image_size, image_size)."""
        image = to_tensor(self.picture(pixels).cut(pixels))
        if self.resize == "pad":
            image = pad_to_square(image)
        side = [self.image_size, self.image_size]
        image = F.resize(image, side, interpolation=InterpolationMode.BICUBIC, antialias=True)
        # In place: for an image alone, fresh memory for each step costs more than the arithmetic.
        return normalise(image.float().div_(255), self.statistics(modality), inplace=True)


def to_tensor(pixels: np.ndarray) -> torch.Tensor:
    """Returns (height, width, 3) uint8 pixels as a uint8 tensor (3, height, width).

    Raises:
        ValueError: another type or shape, such as floats in 0..1, whose range would be mistaken.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels must be (height, width, 3) uint8, not {pixels.shape} {pixels.dtype}")
    # A copy: a decoder's pixels may be read-only, which a tensor cannot be.
    return torch.from_numpy(pixels.copy(order="C")).permute(2, 0, 1)


def pad_to_square(image: torch.Tensor) -> torch.Tensor:
    """Adds black at the short sides of an image (3, height, width) so that it becomes square."""
    height, width = image.shape[-2:]
    side = max(height, width)
    left, top = (side - width) // 2, (side - height) // 2
    return F.pad(image, [left, top, side - width - left, side - height - top])


def normalise(images: torch.Tensor, statistics: Statistics, *, inplace: bool = False) -> torch.Tensor:
    """Subtracts the mean and divides by the std of images (..., 3, height, width) in 0..1."""
    mean, std = statistics
    return F.normalize(images, list(mean), list(std), inplace)
