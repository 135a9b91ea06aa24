"""The multi-crop: several large and small views of one image, and their normalisation by modality."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import InterpolationMode

from mermed_core.pretraining.recipe import Views
from mermed_core.transforms import Preprocessing, to_tensor


class MultiCrop:
    """Cuts views out of one image: crop, rotation, flip, colour jitter (never grey), blur; on uint8."""

    def __init__(self, recipe: Views) -> None:
        self._recipe = recipe
        self._global = [
            _view(recipe, recipe.global_size, recipe.global_scale, blur)
            for blur in [recipe.blur_first, *[recipe.blur_other] * (recipe.global_count - 1)]
        ]
        self._local = [_view(recipe, recipe.local_size, recipe.local_scale, recipe.blur_local)]
        self._local *= recipe.local_count

    def __call__(self, pixels: np.ndarray, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns uint8 views (global_count, 3, size, size) and (local_count, 3, size, size).

        Args:
            pixels: (height, width, 3) uint8.
            seed: decides every crop; torch's own random state is left as it was.
        """
        image = to_tensor(pixels)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return (
                _stack([view(image) for view in self._global], self._recipe.global_size),
                _stack([view(image) for view in self._local], self._recipe.local_size),
            )


class ModalityNormaliser(nn.Module):
    """Turns uint8 views of several modalities into normalised floats, as `Preprocessing` does for one image.

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
        """Normalises views (views, batch, 3, height, width) of modalities (batch,)."""
        return (views.float() / 255 - self.mean[modality]) / self.std[modality]


def _view(recipe: Views, size: int, scale: tuple[float, float], blur: float) -> v2.Compose:
    # Three sigmas on either side hold all of the Gaussian but 0.3 %.
    kernel = 2 * math.ceil(3 * recipe.blur_sigma[1]) + 1
    steps: Sequence[nn.Module] = [
        v2.RandomResizedCrop(
            size, scale=scale, ratio=recipe.aspect, interpolation=InterpolationMode.BICUBIC, antialias=True
        ),
        v2.RandomRotation([-recipe.rotation, recipe.rotation], interpolation=InterpolationMode.BILINEAR),
        v2.RandomHorizontalFlip(recipe.flip),
        v2.RandomApply([v2.ColorJitter(*recipe.jitter)], p=recipe.jitter_probability),
        v2.RandomApply([v2.GaussianBlur(kernel, sigma=recipe.blur_sigma)], p=blur),
    ]
    return v2.Compose(steps)


def _stack(views: list[torch.Tensor], size: int) -> torch.Tensor:
    return torch.stack(views) if views else torch.empty(0, 3, size, size, dtype=torch.uint8)
