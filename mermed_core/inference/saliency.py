"""Where the model looked: a class activation map for one class of one head."""

import copy
import threading

import numpy as np
import torch
from torchvision.transforms.v2 import functional as F

from mermed_core.models.cam import DEFAULT, activation_map
from mermed_core.models.embedder import Embedder
from mermed_core.models.heads import Head
from mermed_core.records import Saliency


class Explainer:
    """Draws class activation maps; thread-safe.

    Maps need hooks and gradients, and hooks on the encoder that serves would mix the images of two users, so
    this works on a copy.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._prepare = embedder.prepare
        self._preprocessing = embedder.config.preprocessing
        self._backbone = copy.deepcopy(embedder.backbone).requires_grad_(False)
        self._lock = threading.Lock()

    def explain(self, pixels: np.ndarray, modality: str, head: Head, label: str) -> Saliency:
        """Returns where an image (height, width, 3) uint8 speaks for one class of a head.

        Raises:
            ValueError: the head has no such class.
        """
        weight = head.weight[head.classes.index(label)]
        with self._lock:
            result = activation_map(self._backbone, self._prepare(pixels, modality).unsqueeze(0), weight)
        return Saliency(self._to_image(result.heat, pixels), result.peak, head.task, label, DEFAULT)

    def _to_image(self, heat: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Brings a square map back to the size of the image (height, width), undoing the preprocessing."""
        box = self._preprocessing.picture(pixels)
        square = torch.from_numpy(np.ascontiguousarray(heat, dtype=np.float32))[None]
        if self._preprocessing.resize == "pad":
            side = max(box.height, box.width)
            top, left = (
                (side - box.height) // 2,
                (side - box.width) // 2,
            )  # as preprocessing.pad_to_square does
            seen = F.crop(F.resize(square, [side, side]), top, left, box.height, box.width)
        else:
            seen = F.resize(square, [box.height, box.width])
        whole = np.zeros(pixels.shape[:2], np.float32)  # what was not looked at is cold
        box.cut(whole)[...] = seen[0].clamp(0, 1).numpy()
        return whole
