"""From the manifest to batches of views, which worker processes read while the network trains."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from mermed_core.data.manifest import Manifest
from mermed_core.errors import ImageError, ManifestError
from mermed_core.pretraining.multicrop import MultiCrop
from mermed_core.pretraining.random_streams import Stream, derive_seed
from mermed_core.pretraining.sampler import BalancedSampler


@dataclass(frozen=True)
class Request:
    """One place in a batch: its step and place, which seed the views, and the row to read."""

    step: int
    place: int
    row: int


@dataclass(frozen=True)
class Sample:
    """The views of one image; `unreadable` names the images that had to be skipped, with the reason."""

    global_views: torch.Tensor
    local_views: torch.Tensor
    params: torch.Tensor
    modality: int
    unreadable: dict[str, str]


@dataclass(frozen=True)
class Batch:
    """The views of a batch.

    Attributes:
        global_views: (views, batch, 3, size, size) uint8.
        local_views: (views, batch, 3, size, size) uint8.
        params: (views, batch, params), augmentation parameters, global views first.
        modality: (batch,) index of each image's modality.
        unreadable: case ids of the images that had to be skipped, with the reason.
    """

    global_views: torch.Tensor
    local_views: torch.Tensor
    params: torch.Tensor
    modality: torch.Tensor
    unreadable: dict[str, str]

    def pin_memory(self) -> "Batch":
        """Returns the batch in page-locked memory, from which a GPU copies while it computes."""
        return replace(
            self,
            global_views=self.global_views.pin_memory(),
            local_views=self.local_views.pin_memory(),
            params=self.params.pin_memory(),
            modality=self.modality.pin_memory(),
        )

    def part(self, number: int, parts: int) -> "Batch":
        """Returns every `parts`-th image from `number` on, as balanced as the batch itself."""
        some = slice(number, None, parts)
        return Batch(
            self.global_views[:, some],
            self.local_views[:, some],
            self.params[:, some],
            self.modality[some],
            self.unreadable,
        )


class ViewDataset(Dataset[Sample]):
    """Reads images and cuts their views; an unreadable image is replaced by the next of its modality.

    Args:
        manifest: the images.
        modality: (images,) index of each image's modality.
        views: the multi-crop.
        seed: of the run.
        epoch: separates several passes with one seed.
    """

    def __init__(
        self, manifest: Manifest, modality: np.ndarray, views: MultiCrop, *, seed: int, epoch: int = 0
    ) -> None:
        self._manifest = manifest
        self._modality = modality
        self._views = views
        self._seed = (seed, epoch)

    def __getitem__(self, request: Request) -> Sample:
        """Returns the views of one place in a batch."""
        unreadable: dict[str, str] = {}
        seed, epoch = self._seed
        for row in self._candidates(request.row):
            try:
                pixels = self._manifest.read_image(row).pixels
            except (ImageError, OSError) as error:
                unreadable[str(self._manifest.frame["case_id"].iloc[row])] = str(error)
                continue
            place = derive_seed(seed, Stream.VIEWS, epoch, request.step, request.place)
            return Sample(*self._views(pixels, place), int(self._modality[row]), unreadable)
        name, reason = next(iter(unreadable.items()))
        raise ManifestError(f"No image of the modality of '{name}' can be read; the first one: {reason}")

    def _candidates(self, row: int) -> Iterator[int]:
        """Yields the row, then the others of its modality in the manifest's order, wrapping at its end."""
        yield row  # nearly always enough; listing the others means going through the whole table
        members = np.flatnonzero(self._modality == self._modality[row])
        start = int(np.searchsorted(members, row)) + 1
        yield from (int(members[(start + offset) % len(members)]) for offset in range(len(members) - 1))


def load_batches(
    dataset: ViewDataset,
    sampler: BalancedSampler,
    steps: range,
    *,
    workers: int,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[Sample]:
    """Returns one process's share of the batches of these steps, in order.

    The batches do not depend on the number of workers.
    """
    return DataLoader(
        dataset,
        batch_sampler=_Requests(sampler, steps, sampler.share(rank, world_size)),
        collate_fn=_collate,
        num_workers=workers,
        worker_init_fn=_start_worker,
        pin_memory=torch.cuda.is_available(),
    )


class _Requests:
    """The requests of each step, in the form that a DataLoader takes."""

    def __init__(self, sampler: BalancedSampler, steps: range, places: np.ndarray) -> None:
        self._sampler = sampler
        self._steps = steps
        self._places = places

    def __len__(self) -> int:
        return len(self._steps)

    def __iter__(self) -> Iterator[list[Request]]:
        for step in self._steps:
            rows = self._sampler.batch(step)
            yield [Request(step, int(place), int(rows[place])) for place in self._places]


def _collate(samples: list[Sample]) -> Batch:
    return Batch(
        torch.stack([sample.global_views for sample in samples], dim=1),
        torch.stack([sample.local_views for sample in samples], dim=1),
        torch.stack([sample.params for sample in samples], dim=1),
        torch.tensor([sample.modality for sample in samples]),
        {name: reason for sample in samples for name, reason in sample.unreadable.items()},
    )


def _start_worker(_: int) -> None:
    # Ctrl-C reaches every process of the terminal, but the training process alone decides how to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
