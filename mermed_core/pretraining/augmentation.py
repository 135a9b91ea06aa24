"""Rotation, flip, colour jitter and blur of a whole batch of views, each view with its own parameters."""

from enum import IntEnum

import torch
from torch.nn import functional
from torchvision.transforms import v2

from mermed_core.pretraining.recipe import Views

# On a CPU, a part that fits the cache is several times as fast as the whole batch at once.
_PART_PIXELS = 2**18


class Param(IntEnum):
    """The columns of a table of augmentation parameters.

    Attributes:
        ANGLE: rotation in radians, counter-clockwise.
        FLIP: 1 to mirror, 0 otherwise.
        BRIGHTNESS: factor.
        CONTRAST: factor of the distance to the mean grey value.
        SATURATION: factor of the distance to grey.
        HUE: shift as a fraction of the colour circle.
        SIGMA: of the blur in pixels; 0 for no blur.
    """

    ANGLE = 0
    FLIP = 1
    BRIGHTNESS = 2
    CONTRAST = 3
    SATURATION = 4
    HUE = 5
    SIGMA = 6


def draw_params(recipe: Views, generator: torch.Generator) -> torch.Tensor:
    """Draws the parameters of all views of one image: (views, params), global views first."""
    count = recipe.global_count + recipe.local_count
    drawn = torch.rand(count, len(Param) + 2, generator=generator)
    *uniform, jittered, blurred = drawn.unbind(dim=1)
    params = torch.stack(uniform, dim=1)
    params[:, Param.ANGLE] = torch.deg2rad(_between(uniform[Param.ANGLE], recipe.rotation))
    params[:, Param.FLIP] = (uniform[Param.FLIP] < recipe.flip).float()
    on = jittered < recipe.jitter_probability
    for column, strength in zip(
        (Param.BRIGHTNESS, Param.CONTRAST, Param.SATURATION), recipe.jitter, strict=False
    ):
        params[:, column] = torch.where(on, 1 + _between(uniform[column], strength), 1.0)
    params[:, Param.HUE] = torch.where(on, _between(uniform[Param.HUE], recipe.jitter[3]), 0.0)
    low, high = recipe.blur_sigma
    sigma = low + (high - low) * uniform[Param.SIGMA]
    params[:, Param.SIGMA] = torch.where(blurred < _blur_shares(recipe), sigma, 0.0)
    return params


def augment(views: torch.Tensor, params: torch.Tensor) -> torch.Tensor:
    """Augments views (batch, 3, height, width), uint8 or float 0..1, by params (batch, params).

    In this order: rotation about the centre (the outside is black), flip, brightness, contrast, saturation,
    hue, blur. Every operation is that of torchvision, with parameters that differ from view to view. The
    parameters are best left on the CPU, which must know which views to blur and how widely.

    Returns:
        (batch, 3, height, width) float, 0..1.
    """
    if not len(views):
        return views.float()
    params = params.cpu()
    if views.device.type != "cpu":
        return _augment_part(views, params)
    size = max(1, _PART_PIXELS // views.shape[-2:].numel())
    parts = zip(views.split(size), params.split(size), strict=True)
    return torch.cat([_augment_part(part, some) for part, some in parts])


def rotate_and_flip(images: torch.Tensor, angle: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """Rotates images (batch, 3, height, width) by angles (batch,) in radians, then mirrors if flip is 1."""
    height, width = images.shape[-2:]
    mirror = 1 - 2 * flip
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = (
        torch.stack([cosine * mirror, -sine * height / width, zero], dim=1),
        torch.stack([sine * mirror * width / height, cosine, zero], dim=1),
    )
    grid = functional.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", align_corners=False)


def jitter(images: torch.Tensor, params: torch.Tensor) -> torch.Tensor:
    """Applies brightness, contrast, saturation and hue of params (batch, params) to images in 0..1."""
    factor = params[:, :, None, None, None].unbind(dim=1)
    images = (images * factor[Param.BRIGHTNESS]).clamp_(0, 1)
    mean = v2.functional.rgb_to_grayscale(images).mean(dim=(1, 2, 3), keepdim=True)
    images = torch.lerp(mean, images, factor[Param.CONTRAST]).clamp_(0, 1)
    grey = v2.functional.rgb_to_grayscale(images)
    images = torch.lerp(grey, images, factor[Param.SATURATION]).clamp_(0, 1)
    return shift_hue(images, factor[Param.HUE][:, 0])


def shift_hue(images: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Shifts the hue of images (batch, 3, height, width) by fractions (batch, 1, 1) of the colour circle."""
    red, green, blue = images.unbind(dim=1)
    high, low = images.amax(dim=1), images.amin(dim=1)
    spread = high - low
    safe = torch.where(spread > 0, spread, 1.0)
    hue = torch.where(
        high == red,
        (green - blue) / safe,
        torch.where(high == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = (hue + 6 * shift)[:, None]
    offsets = torch.tensor([0.0, 4.0, 2.0], device=images.device)[:, None, None]
    weight = ((hue + offsets).remainder(6) - 3).abs_().sub_(1).clamp_(0, 1)
    return low[:, None] + spread[:, None] * weight


def blur(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Blurs images (batch, 3, height, width) with sigmas (batch,) in pixels, above 0; reflects at edges."""
    radius = max(1, min(int(3 * sigma.max().item() + 0.999), min(images.shape[-2:]) - 1))
    sigma = sigma.to(images.device, non_blocking=True)
    places = torch.arange(-radius, radius + 1, device=images.device)
    kernel = torch.exp(-0.5 * (places / sigma[:, None]) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)
    planes = images.reshape(1, -1, *images.shape[-2:])
    padded = functional.pad(planes, (radius, radius, radius, radius), mode="reflect")
    across = functional.conv2d(padded, kernel[:, None, None, :], groups=len(kernel))
    return functional.conv2d(across, kernel[:, None, :, None], groups=len(kernel)).reshape(images.shape)


def _augment_part(views: torch.Tensor, params: torch.Tensor) -> torch.Tensor:
    images = views.float() / 255 if views.dtype == torch.uint8 else views
    there = params.to(images.device, non_blocking=True)
    images = rotate_and_flip(images, there[:, Param.ANGLE], there[:, Param.FLIP])
    images = jitter(images, there)
    blurred = torch.nonzero(params[:, Param.SIGMA]).flatten()
    if len(blurred):
        rows = blurred.to(images.device, non_blocking=True)
        images[rows] = blur(images[rows], params[blurred, Param.SIGMA])
    return images


def _between(uniform: torch.Tensor, strength: float) -> torch.Tensor:
    return (2 * uniform - 1) * strength


def _blur_shares(recipe: Views) -> torch.Tensor:
    shares = [recipe.blur_first, *[recipe.blur_other] * (recipe.global_count - 1)]
    return torch.tensor(shares + [recipe.blur_local] * recipe.local_count)
