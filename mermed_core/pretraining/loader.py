"""From the manifest to batches of views, read by worker processes while the network trains."""

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
    """One place in a batch: the step and the place within the global batch (they seed the views), the row."""

    step: int
    place: int
    row: int


@dataclass(frozen=True)
class Sample:
    """The views of one image; `unreadable` names images that had to be passed over, with the reason."""

    global_views: torch.Tensor
    local_views: torch.Tensor
    amounts: torch.Tensor
    modality: int
    unreadable: dict[str, str]


@dataclass(frozen=True)
class Batch:
    """The views of a batch.

    Attributes:
        global_views: (views, batch, 3, size, size) uint8.
        local_views: (views, batch, 3, size, size) uint8.
        amounts: (views, batch, amounts) of the augmentation, global views first.
        modality: (batch,) index of each image's modality.
        unreadable: case ids of images that had to be passed over, with the reason.
    """

    global_views: torch.Tensor
    local_views: torch.Tensor
    amounts: torch.Tensor
    modality: torch.Tensor
    unreadable: dict[str, str]

    def pin_memory(self) -> "Batch":
        """Returns the batch in memory that a GPU copies from while it computes; the DataLoader calls it."""
        return replace(
            self,
            global_views=self.global_views.pin_memory(),
            local_views=self.local_views.pin_memory(),
            amounts=self.amounts.pin_memory(),
            modality=self.modality.pin_memory(),
        )

    def part(self, number: int, parts: int) -> "Batch":
        """Returns every `parts`-th image from `number` on: balanced like the batch, which is sorted."""
        some = slice(number, None, parts)
        return Batch(
            self.global_views[:, some],
            self.local_views[:, some],
            self.amounts[:, some],
            self.modality[some],
            self.unreadable,
        )


class ViewDataset(Dataset[Sample]):
    """Reads an image and cuts its views; one that cannot be read is replaced by the next of its modality.

    Args:
        manifest: the images.
        modality: (images,) index of each image's modality.
        views: the multi-crop.
        seed: of the run.
        epoch: sets apart several passes under one seed.
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
        raise ManifestError(f"No image of the modality of '{name}' can be read; the first says: {reason}")

    def _candidates(self, row: int) -> Iterator[int]:
        """Yields the row, then the others of its modality in the manifest's order, around its end."""
        yield row  # nearly always enough; to list the others means to look at the whole table
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
    world: int = 1,
) -> DataLoader:
    """Returns one rank's share of the batches of some steps, in order, the same for any number of workers."""
    return DataLoader(
        dataset,
        batch_sampler=_Plan(sampler, steps, sampler.share(rank, world)),
        collate_fn=_collate,
        num_workers=workers,
        worker_init_fn=_start_worker,
        pin_memory=torch.cuda.is_available(),
    )


class _Plan:
    """The requests of each step, as a DataLoader takes them."""

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
        torch.stack([sample.amounts for sample in samples], dim=1),
        torch.tensor([sample.modality for sample in samples]),
        {name: reason for sample in samples for name, reason in sample.unreadable.items()},
    )


def _start_worker(_: int) -> None:
    # Ctrl-C reaches every process of the terminal; the training process alone decides how to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
