"""Images to unit vectors: one image or a whole manifest, through the model folder's own preprocessing."""

import contextlib
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from mermed_core.data.manifest import Manifest
from mermed_core.device import choose_device, compute_on
from mermed_core.errors import ImageError, NothingReadableError
from mermed_core.imaging.thumbnails import make_thumbnail
from mermed_core.models.backbone import Backbone
from mermed_core.models.model_folder import ModelConfig, fingerprint, load_model
from mermed_core.progress_bar import progress_bar

logger = logging.getLogger(__name__)

Task = TypeVar("Task")
Result = TypeVar("Result")

# Images in one forward pass. On a CPU the maps of more do not stay in its cache (measured: 64 take 1.4 times
# as long an image as 16); a GPU waits for its host with fewer.
_BATCH_ON_CPU, _BATCH_ON_GPU = 16, 256
_BATCHES_AHEAD = 2
_MOST_READERS = 8


class Embedder:
    """A model folder's encoder with its preprocessing, ready to embed.

    Args:
        backbone: the encoder, in evaluation mode on `device`.
        config: the model folder's config.
        fingerprint: what identifies weights and preprocessing.
        device: where the encoder runs.
    """

    def __init__(
        self, backbone: Backbone, config: ModelConfig, fingerprint: str, device: torch.device
    ) -> None:
        self.backbone = backbone
        self.config = config
        self.fingerprint = fingerprint
        self.device = device

    @classmethod
    def load(cls, folder: Path, device: torch.device | None = None) -> Self:
        """Loads the encoder of a model folder.

        Raises:
            ModelError: the folder is not a complete model.
        """
        device = device or choose_device()
        backbone, config = load_model(folder, device)
        return cls(backbone, config, fingerprint(folder), device)

    @property
    def preprocessing_is_shared(self) -> bool:
        """Whether every modality is normalised alike, so that an embedding needs no modality."""
        return not self.config.preprocessing.modalities

    def prepare(self, pixels: np.ndarray, modality: str | None) -> torch.Tensor:
        """Returns the encoder's input (3, size, size) for pixels (height, width, 3) uint8."""
        return self.config.preprocessing(pixels, modality)

    @torch.inference_mode()
    def embed_tensors(self, images: torch.Tensor, *, unit: bool = True) -> np.ndarray:
        """Embeds prepared images (batch, 3, size, size) as float32 vectors (batch, dim)."""
        vectors = self.backbone(images.to(self.device)).float()
        return (torch.nn.functional.normalize(vectors, dim=1) if unit else vectors).cpu().numpy()

    def embed(self, pixels: np.ndarray, modality: str | None) -> np.ndarray:
        """Embeds one image (height, width, 3) uint8 as a float32 unit vector (dim,)."""
        return self.embed_tensors(self.prepare(pixels, modality).unsqueeze(0))[0]


@dataclass(frozen=True)
class Embeddings:
    """The vectors of a manifest.

    Attributes:
        vectors: (images, dim) float32, unit norm, one row for each image that could be read.
        manifest: the rows that could be read, in the same order.
        thumbnails: JPEG bytes of each, in the same order; empty where none were made.
        broken: case_id → reason, for each image that could not be read.
    """

    vectors: np.ndarray
    manifest: Manifest
    thumbnails: tuple[bytes, ...]
    broken: dict[str, str]


@dataclass(frozen=True)
class EmbeddedBatch:
    """What was embedded together, as soon as it is.

    Attributes:
        vectors: (images, dim) of the images of the batch that could be read.
        rows: where each of them stands in the batch.
        broken: case_id → reason, for each of the others.
    """

    vectors: np.ndarray
    rows: np.ndarray
    broken: dict[str, str]


def embed_manifest(
    embedder: Embedder,
    manifest: Manifest,
    *,
    neutral: bool = False,
    unit: bool = True,
    thumbnails: bool = False,
    batch_size: int | None = None,
    workers: int = 0,
    augment: Callable[[np.ndarray, int], np.ndarray] | None = None,
    bar: tqdm | None = None,
    each: Callable[[EmbeddedBatch], None] | None = None,
) -> Embeddings:
    """Embeds every image of a manifest once, with a progress bar; broken images are left out and named.

    Images are read and prepared while the encoder works on others.

    Args:
        embedder: the model.
        manifest: the images.
        neutral: normalise as if the modality were not known, as the modality head needs it.
        unit: bring the vectors to unit norm.
        thumbnails: make a small picture of each image as well.
        batch_size: images in one forward pass; default: what suits the device.
        workers: processes that read images ahead; 0 reads in threads of this one.
        augment: changes the pixels (height, width, 3) uint8 of the image at a position, as a corruption does.
        bar: a progress bar to advance; without one a new one is shown.
        each: gets every batch, in order, as soon as it is embedded; broken images are then its to name.

    Raises:
        NothingReadableError: not one image could be read.
    """
    images = _PreparedImages(embedder, manifest, neutral, thumbnails, augment)
    size = batch_size or batch_for(embedder.device)
    vectors: list[np.ndarray] = []
    kept: list[_Prepared] = []
    broken: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        if bar is None:
            bar = stack.enter_context(progress_bar("embedding", "image", total=len(manifest)))
        for batch, embedded in _embedded(embedder, images, size, workers, unit):
            rows = [row for row, item in enumerate(batch) if item.image is not None]
            if embedded is not None:
                vectors.append(embedded)
            kept += [replace(batch[row], image=None) for row in rows]
            unread = _unread(batch, manifest)
            broken |= unread
            if each is not None:
                found = np.empty((0, 0), np.float32) if embedded is None else embedded
                each(EmbeddedBatch(found, np.array(rows, np.int64), unread))
            bar.update(len(batch))
    if each is None:
        _name_broken(broken)
    if not vectors:
        raise NothingReadableError(broken)
    pictures = tuple(item.thumbnail for item in kept) if thumbnails else ()
    return Embeddings(
        np.concatenate(vectors), manifest.select([item.position for item in kept]), pictures, broken
    )


def _unread(batch: "Sequence[_Prepared]", manifest: Manifest) -> dict[str, str]:
    ids = manifest.frame["case_id"]
    return {str(ids.iloc[item.position]): item.reason for item in batch if item.image is None}


def _name_broken(broken: dict[str, str]) -> None:
    for case_id, reason in broken.items():
        logger.warning("left out %s: %s", case_id, reason)


def batch_for(device: torch.device) -> int:
    """Returns how many images are embedded at once where nobody says it."""
    return _BATCH_ON_CPU if device.type == "cpu" else _BATCH_ON_GPU


@dataclass(frozen=True)
class _Prepared:
    """One image on its way to the encoder, or the reason why it cannot be read."""

    position: int
    image: torch.Tensor | None = None
    thumbnail: bytes = b""
    reason: str = ""


def _embedded(
    embedder: Embedder, images: "_PreparedImages", size: int, workers: int, unit: bool
) -> Iterator[tuple[list[_Prepared], np.ndarray | None]]:
    """Yields batches in order with the vectors of their images that could be read; None where none could."""

    def encoded(batch: list[_Prepared]) -> tuple[list[_Prepared], np.ndarray | None]:
        good = [item.image for item in batch if item.image is not None]
        return batch, embedder.embed_tensors(torch.stack(good), unit=unit) if good else None

    if workers:
        yield from map(encoded, DataLoader(images, size, num_workers=workers, collate_fn=list))
    elif embedder.device.type == "cpu":
        # A batch for each core takes 0.7 of the time of one batch on all of them, which wait for each other.
        def read_and_encoded(rows: range) -> tuple[list[_Prepared], np.ndarray | None]:
            return encoded([images[row] for row in rows])

        parts = [range(start, min(start + size, len(images))) for start in range(0, len(images), size)]
        yield from _in_order(read_and_encoded, parts, torch.get_num_threads(), _BATCHES_AHEAD)
    else:
        readers = max(1, min(_MOST_READERS, (os.cpu_count() or 1) - 1))
        ahead = (1 + _BATCHES_AHEAD) * size // readers
        read = _in_order(images.__getitem__, range(len(images)), readers, ahead)
        while batch := list(islice(read, size)):
            yield encoded(batch)


def _in_order(
    work: Callable[[Task], Result], tasks: Iterable[Task], threads: int, ahead: int
) -> Iterator[Result]:
    """Yields the results of tasks in order, `ahead` a thread before they are asked for.

    Decoders and the encoder need no Python lock; a thread has one core, also for the encoder.
    """
    to_come = iter(tasks)
    pool = ThreadPoolExecutor(threads, "embedding", initializer=compute_on, initargs=(1,))
    try:
        waiting = deque(pool.submit(work, task) for task in islice(to_come, threads * ahead))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(work, task) for task in islice(to_come, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


class _PreparedImages(Dataset[_Prepared]):
    def __init__(
        self,
        embedder: Embedder,
        manifest: Manifest,
        neutral: bool,
        thumbnails: bool,
        augment: Callable[[np.ndarray, int], np.ndarray] | None,
    ) -> None:
        self._prepare = embedder.config.preprocessing
        self._manifest = manifest
        self._thumbnails = thumbnails
        self._augment = augment
        self._modalities: Sequence[str | None] = (
            [None] * len(manifest) if neutral else manifest.frame["modality"].tolist()
        )

    def __len__(self) -> int:
        return len(self._manifest)

    def __getitem__(self, position: int) -> _Prepared:
        try:
            pixels = self._manifest.read_image(position).pixels
        except ImageError as error:
            return _Prepared(position, reason=str(error))
        if self._augment is not None:
            pixels = self._augment(pixels, position)
        thumbnail = make_thumbnail(pixels) if self._thumbnails else b""
        return _Prepared(position, self._prepare(pixels, self._modalities[position]), thumbnail)
