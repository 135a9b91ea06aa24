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
        self._device = embedder.device
        self._lock = threading.Lock()

    def explain(
        self, pixels: np.ndarray, modality: str, head: Head, label: str, method: str = DEFAULT
    ) -> Saliency:
        """Returns where an image (height, width, 3) uint8 speaks for one class of a head.

        Raises:
            ValueError: the head has no such class.
        """
        heat, peak = self.support(pixels, modality, head.weight[head.classes.index(label)], method)
        return Saliency(heat, peak, head.task, label, method)

    def support(
        self, pixels: np.ndarray, modality: str, weight: np.ndarray, method: str = DEFAULT
    ) -> tuple[np.ndarray, float]:
        """Returns where an image speaks for a direction of the embedding, and the peak before scaling.

        Args:
            pixels: (height, width, 3) uint8.
            modality: whose normalisation is used.
            weight: (width,) the direction, such as the weights of a class.
            method: a key of `models.cam.METHODS`.

        Returns:
            (height, width) float32 in 0..1, and its maximum before it was scaled.
        """
        with self._lock:
            image = self._prepare(pixels, modality).unsqueeze(0)
            result = activation_map(self._backbone, image, weight, method)
        return self._to_image(result.heat, pixels), result.peak

    @torch.no_grad()
    def regions(self, pixels: np.ndarray, modality: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns what the encoder sees in each cell of its deepest map that is fine enough to point.

        Args:
            pixels: (height, width, 3) uint8.
            modality: whose normalisation is used.

        Returns:
            (cells, channels) features, and (cells, 2) the middles of the cells as column and row, 0..1 of the
            image's sides; cells that lie in padding are left out.
        """
        seen: list[torch.Tensor] = []
        with self._lock:
            hook = self._backbone.cam_layers()[-1].register_forward_hook(lambda *each: seen.append(each[2]))
            try:
                self._backbone(self._prepare(pixels, modality).unsqueeze(0).to(self._device))
            finally:
                hook.remove()
        cells = self._backbone.to_feature_map(seen[0])[0].float().cpu().numpy()
        rows, columns = (places.ravel() for places in np.indices(cells.shape[1:]))
        shares = np.column_stack([(columns + 0.5) / cells.shape[2], (rows + 0.5) / cells.shape[1]])
        middles = self._to_shares(shares, pixels)
        inside = ((middles > 0) & (middles < 1)).all(axis=1)
        return cells.reshape(len(cells), -1).T[inside], middles[inside]

    def _to_shares(self, shares: np.ndarray, pixels: np.ndarray) -> np.ndarray:
        """Brings places (places, 2) on the square input to the image, undoing the preprocessing."""
        box = self._preprocessing.picture(pixels)
        length = np.array([box.width, box.height], np.float64)
        if self._preprocessing.resize == "pad":
            side = length.max()
            places = shares * side - (side - length) // 2
        else:
            places = shares * length
        places[(places < 0) | (places > length)] = np.nan
        return (places + np.array([box.left, box.top])) / np.array(pixels.shape[1::-1])

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
