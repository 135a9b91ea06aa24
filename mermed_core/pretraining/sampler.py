"""Balanced batches: the same number of images of every modality, as a function of seed and step alone."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mermed_core.data.manifest import Manifest
from mermed_core.pretraining.random_streams import Stream, derive_seed


class BalancedSampler:
    """Gives the images of any step without having given those of the steps before it.

    Every modality goes through its own images in an order that is reshuffled in each cycle. Where the batch
    cannot be divided by the number of modalities, the remaining places go to each modality in turn throughout
    the run.

    Args:
        modality: (images,) index 0..modalities-1 of each image's modality; each index occurs.
        batch: images in a global batch.
        seed: decides every order.
        epoch: separates several passes with one seed, such as filling the memory and training.
        shard: (images,) number of the shard that holds each image, or None for images in files of their own.
        mixed_shards: number of shards of a modality whose images are shuffled together. The shards are taken
            in an order that is reshuffled in each cycle, so that only a few are being read at a time.
        source: (images,) name of the data set that each image comes from; needed where `source_power` is
            below 1.
        source_power: within a modality, a source's share is proportional to its number of images to this
            power: 1 treats every image alike, 0 every source. Every source goes through all of its images
            before it repeats one. Not for shards.
    """

    def __init__(
        self,
        modality: Sequence[int] | np.ndarray,
        *,
        batch: int,
        seed: int,
        epoch: int = 0,
        shard: np.ndarray | None = None,
        mixed_shards: int = 1,
        source: np.ndarray | None = None,
        source_power: float = 1.0,
    ) -> None:
        modality = np.asarray(modality)
        self.members = [np.flatnonzero(modality == index) for index in range(int(modality.max()) + 1)]
        if not all(len(rows) for rows in self.members):
            raise ValueError("every modality index up to the largest must have an image")
        if source_power < 1 and (source is None or shard is not None):
            raise ValueError("a source_power below 1 needs the sources, and images that are not in shards")
        self.batch_size = batch
        self._seed = (seed, epoch)
        self._shard = shard
        self._mixed_shards = mixed_shards
        self._sources = [_split_by_source(rows, source, source_power) for rows in self.members]
        self._order = lru_cache(maxsize=2 * len(self.members))(self._shuffle)

    @property
    def steps_per_epoch(self) -> int:
        """Number of full batches that the images fill, at least one."""
        return max(1, sum(map(len, self.members)) // self.batch_size)

    def batch(self, step: int) -> np.ndarray:
        """Returns the (batch,) rows of a step's global batch, modality by modality."""
        return np.concatenate(
            [
                self._take(index, self._count_before(index, step), self._count_before(index, step + 1))
                for index in range(len(self.members))
            ]
        )

    def share(self, rank: int, world_size: int) -> np.ndarray:
        """Returns the places (0..batch-1) in every global batch that one of `world_size` processes works on.

        Together the processes have every place once, and each has as balanced a share as the numbers allow.
        """
        return np.arange(self.batch_size)[rank::world_size]

    def _count_before(self, index: int, step: int) -> int:
        """Returns how many images of a modality all steps before `step` have taken."""
        count = len(self.members)
        whole, left_over = divmod(self.batch_size, count)
        return step * whole + (step * left_over + count - 1 - index) // count

    def _take(self, index: int, first: int, last: int) -> np.ndarray:
        """Returns the images at positions first..last-1 of a modality's endless order."""
        size = len(self.members[index])
        return np.array(
            [self._order(index, position // size)[position % size] for position in range(first, last)],
            dtype=np.int64,
        )

    def _shuffle(self, index: int, cycle: int) -> np.ndarray:
        """Returns the images of one cycle of a modality, as many as the modality has, in their order."""
        seed, epoch = self._seed
        chance = np.random.default_rng(derive_seed(seed, Stream.ORDER, epoch, index, cycle))
        members = self.members[index]
        if len(self._sources[index]) > 1:
            return chance.permutation(self._take_by_source(index, cycle))
        if self._shard is None:
            return chance.permutation(members)
        shards, own = np.unique(self._shard[members], return_inverse=True)
        place = chance.permutation(len(shards)) // self._mixed_shards
        mixed = chance.permutation(len(members))
        return members[mixed][np.argsort(place[own[mixed]], kind="stable")]

    def _take_by_source(self, index: int, cycle: int) -> np.ndarray:
        """Returns the images of one cycle of a modality: the next ones in each source's endless order."""
        seed, epoch = self._seed
        taken = []
        for number, (rows, share) in enumerate(self._sources[index]):
            first, last = cycle * share, (cycle + 1) * share
            for turn in range(first // len(rows), (last - 1) // len(rows) + 1):
                chance = np.random.default_rng(derive_seed(seed, Stream.ORDER, epoch, index, turn, number))
                begin = turn * len(rows)
                taken.append(chance.permutation(rows)[max(0, first - begin) : last - begin])
        return np.concatenate(taken)


def shards_of(manifest: Manifest) -> np.ndarray | None:
    """Returns the number of the shard that holds each image, or None where images are files of their own."""
    if "offset" not in manifest.frame:
        return None
    return np.unique(manifest.frame["path"].fillna("").to_numpy(str), return_inverse=True)[1]


def _split_by_source(
    rows: np.ndarray, source: np.ndarray | None, power: float
) -> list[tuple[np.ndarray, int]]:
    """Returns the images of a modality by source, each with its share of a cycle.

    A cycle has as many images as the modality. The shares are rounded by largest remainder. With a power of 1
    all images count as one source, which keeps the order that runs without sources have.
    """
    if source is None or power == 1:
        return [(rows, len(rows))]
    parts = [rows[source[rows] == name] for name in np.unique(source[rows])]
    weights = np.array([len(part) for part in parts], dtype=float) ** power
    exact = weights / weights.sum() * len(rows)
    # A power up to 1 gives the smallest source no less than its own images; rounding must not take its last.
    shares = np.maximum(np.floor(exact), 1).astype(int)
    missing = len(rows) - int(shares.sum())
    shares[np.argsort(shares - exact, kind="stable")[:missing]] += 1
    return list(zip(parts, shares.tolist(), strict=True))
