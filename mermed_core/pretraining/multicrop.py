"""The multi-crop: several large and small views of one image, and their normalisation by modality."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode

from mermed_core.models.preprocessing import Preprocessing, to_tensor
from mermed_core.pretraining.augmentation import draw_params
from mermed_core.pretraining.recipe import Views


class MultiCrop:
    """Cuts views out of one image and draws their augmentation parameters, which `augment` applies later.

    Cutting needs the image in its original size, so it happens where the image is read. Everything else is
    faster for a whole batch on the device that trains.
    """

    def __init__(self, recipe: Views) -> None:
        self._recipe = recipe
        self._global = _crop(recipe, recipe.global_size, recipe.global_scale)
        self._local = _crop(recipe, recipe.local_size, recipe.local_scale)

    def __call__(self, pixels: np.ndarray, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns uint8 views (global_count, 3, size, size), (local_count, 3, size, size), (views, params).

        Args:
            pixels: (height, width, 3) uint8.
            seed: decides every crop; torch's own random state is left unchanged.
        """
        image, recipe = to_tensor(pixels), self._recipe
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return (
                _stack([self._global(image) for _ in range(recipe.global_count)], recipe.global_size),
                _stack([self._local(image) for _ in range(recipe.local_count)], recipe.local_size),
                draw_params(recipe, torch.default_generator),
            )


class ModalityNormaliser(nn.Module):
    """Normalises views of several modalities, as `Preprocessing` does with one image.

    Args:
        preprocessing: holds mean and std of each modality.
        modalities: keys; the order gives the modality's index.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, preprocessing: Preprocessing, modalities: Sequence[str]) -> None:
        super().__init__()
        pairs = torch.tensor([preprocessing.statistics(key) for key in modalities])
        self.register_buffer("mean", pairs[:, 0, :, None, None])
        self.register_buffer("std", pairs[:, 1, :, None, None])

    def forward(self, views: torch.Tensor, modality: torch.Tensor) -> torch.Tensor:
        """Normalises views (views, batch, 3, height, width), 0..1, of modalities (batch,)."""
        return (views - self.mean[modality]) / self.std[modality]


def _crop(recipe: Views, size: int, scale: tuple[float, float]) -> v2.RandomResizedCrop:
    return v2.RandomResizedCrop(
        size, scale=scale, ratio=recipe.aspect, interpolation=InterpolationMode.BICUBIC, antialias=True
    )


def _stack(views: list[torch.Tensor], size: int) -> torch.Tensor:
    return torch.stack(views) if views else torch.empty(0, 3, size, size, dtype=torch.uint8)
