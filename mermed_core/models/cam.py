"""Class activation maps: which parts of an image speak for a class."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from mermed_core.models.backbone import Backbone

# All of them weigh the activations of a layer by the gradient of the class's logit; they differ in how.
METHODS = {
    "Grad-CAM": "GradCAM",
    "Grad-CAM++": "GradCAMPlusPlus",
    "XGrad-CAM": "XGradCAM",
    "HiResCAM": "HiResCAM",
    "LayerCAM": "LayerCAM",
    "EigenGradCAM": "EigenGradCAM",
}
"""Names for people, and what pytorch-grad-cam calls the class."""
# HiResCAM (Draelos and Carin 2020) points best at the findings of phantoms, see docs/experiments.md.
DEFAULT = "HiResCAM"
# Standard deviation of the smoothing, as a share of the side: the peak should be that of a region, and one
# cell of the finer stage is smaller than any finding.
_SMOOTHING = 0.025
_LEAST = 1e-12  # keeps an empty map from being divided by zero


@dataclass(frozen=True)
class ActivationMap:
    """Where an image speaks for a class.

    Attributes:
        heat: (size, size) in 0..1, the mean over the layers, each stretched to 0..1, smoothed.
        peak: the largest value of any layer before it was stretched.
    """

    heat: np.ndarray
    peak: float


def activation_map(
    backbone: Backbone, image: torch.Tensor, weight: np.ndarray, method: str = DEFAULT
) -> ActivationMap:
    """Returns the map of the logit that a class's weights give to the embedding.

    Hooks are put on the encoder and removed again, so two threads need an encoder each.

    Args:
        backbone: the encoder; its `cam_layers` are looked at.
        image: prepared, (1, 3, size, size).
        weight: (dim,) of a class.
        method: a key of `METHODS`.
    """
    import pytorch_grad_cam  # takes a second, and a page starts without

    weights = torch.from_numpy(weight).to(next(backbone.parameters()).device)

    def logit(vector: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(vector, dim=0) @ weights

    cam = getattr(pytorch_grad_cam, METHODS[method])(
        backbone, backbone.cam_layers(), reshape_transform=backbone.to_feature_map
    )
    peaks, weigh = [0.0], cam.get_cam_image

    def weigh_and_remember(*layer: Any) -> np.ndarray:
        values = weigh(*layer)
        peaks.append(float(values.max()))
        return values

    cam.get_cam_image = weigh_and_remember
    try:
        # The weights need no gradient, so it has to start at the image.
        heat = cam(image.detach().requires_grad_(True), [logit])[0]
    finally:
        cam.activations_and_grads.release()
    smooth = gaussian_filter(heat, _SMOOTHING * len(heat))
    return ActivationMap(smooth / max(float(smooth.max()), _LEAST), max(peaks))
