"""Where the model looked: Grad-CAM (Selvaraju et al. 2017) for one class of one head."""

import copy
import threading
from typing import cast

import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn
from torchvision.transforms.v2 import functional as F

from mermed_core.backbone import Backbone
from mermed_core.embed import Embedder
from mermed_core.heads import Head
from mermed_core.records import Saliency

METHOD = "Grad-CAM"


class Explainer:
    """Draws class activation maps; thread-safe.

    It works on a copy of the encoder, because a map needs hooks and gradients, and hooks on the encoder that
    serves would mix the images of two users.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._prepare = embedder.prepare
        self._pads = embedder.config.preprocessing.resize == "pad"
        self._backbone = copy.deepcopy(embedder.backbone).requires_grad_(False)
        self._lock = threading.Lock()

    def explain(self, pixels: np.ndarray, modality: str, head: Head, label: str) -> Saliency:
        """Returns where an image (height, width, 3) uint8 speaks for one class of a head.

        Raises:
            ValueError: the head has no such class.
        """
        target = cast(
            nn.Module, ClassifierOutputTarget(head.classes.index(label))
        )  # its hints are too narrow
        # The weights take no gradient, so that it must start at the image.
        image = self._prepare(pixels, modality).unsqueeze(0).requires_grad_(True)
        classifier = _Classifier(self._backbone, head)
        with self._lock:
            cam = _PeakGradCAM(
                classifier,
                [self._backbone.cam_layer()],
                reshape_transform=self._backbone.to_feature_map,
            )
            try:
                heat = cam(image, [target])[0]
            finally:
                cam.activations_and_grads.release()
        return Saliency(self._to_image(heat, pixels), cam.peak, head.task, label, METHOD)

    def _to_image(self, heat: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Brings a square map back to the size of the image (height, width), undoing the resize."""
        height, width = pixels.shape[:2]
        square = torch.from_numpy(np.ascontiguousarray(heat, dtype=np.float32))[None]
        if self._pads:
            side = max(height, width)
            top, left = (side - height) // 2, (side - width) // 2  # as transforms.pad_to_square puts it
            full = F.resize(square, [side, side])
            return F.crop(full, top, left, height, width)[0].clamp(0, 1).numpy()
        return F.resize(square, [height, width])[0].clamp(0, 1).numpy()


class _Classifier(nn.Module):
    """Encoder and head as one network from images to logits (batch, classes)."""

    def __init__(self, backbone: Backbone, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        device = next(backbone.parameters()).device
        self.weight = torch.from_numpy(head.weight).to(device)
        self.bias = torch.from_numpy(head.bias).to(device)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        vectors = nn.functional.normalize(self.backbone(images), dim=1)
        return vectors @ self.weight.T + self.bias


class _PeakGradCAM(GradCAM):
    """Grad-CAM that keeps the maximum from before the map is stretched to 0..1."""

    peak = 0.0

    def get_cam_image(self, *args: object, **kwargs: object) -> np.ndarray:
        cam = super().get_cam_image(*args, **kwargs)  # pyright: ignore[reportArgumentType]
        self.peak = max(0.0, float(cam.max()))
        return cam
