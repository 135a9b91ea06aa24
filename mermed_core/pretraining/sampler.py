"""Balanced batches: the same number of images of every modality, as a function of seed and step alone."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from mermed_core.data.manifest import Manifest
from mermed_core.pretraining.random_streams import Stream, derive_seed


class BalancedSampler:
    """Gives the images of any step without having given those of the steps before it.

    Every modality goes through its own images in an order that is shuffled anew in each cycle. Where the
    batch does not divide by the modalities, the places left over go to them in turn, one modality after the
    other through the whole run.

    Args:
        modality: (images,) index 0..modalities-1 of each image's modality; each index occurs.
        batch: images in a global batch.
        seed: decides every order.
        epoch: sets apart several passes under one seed, such as filling the memory and training.
        shard: (images,) number of the shard that each image lies in, or None: images that lie alone.
        mixed_shards: shards of a modality whose images are shuffled together. The shards are taken in an
            order that is shuffled anew in each cycle, so that few of them are being read at a time.
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
    ) -> None:
        modality = np.asarray(modality)
        self.members = [np.flatnonzero(modality == index) for index in range(int(modality.max()) + 1)]
        if not all(len(rows) for rows in self.members):
            raise ValueError("every modality index up to the largest must have an image")
        self.batch_size = batch
        self._seed = (seed, epoch)
        self._shard = shard
        self._mixed_shards = mixed_shards
        self._order = lru_cache(maxsize=2 * len(self.members))(self._shuffled)

    @property
    def steps_per_epoch(self) -> int:
        """Full batches that the images fill, one at least."""
        return max(1, sum(map(len, self.members)) // self.batch_size)

    def batch(self, step: int) -> np.ndarray:
        """Returns the (batch,) rows of a step's global batch, modality by modality."""
        return np.concatenate(
            [
                self._take(index, self._given(index, step), self._given(index, step + 1))
                for index in range(len(self.members))
            ]
        )

    def share(self, rank: int, world: int) -> np.ndarray:
        """Returns the places (0..batch-1) in every global batch that one of `world` processes works on.

        Together the ranks have every place once; the balance of modalities holds within each rank as far as
        the numbers allow.
        """
        return np.arange(self.batch_size)[rank::world]

    def _given(self, index: int, step: int) -> int:
        """Counts the images of a modality in all steps before `step`."""
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

    def _shuffled(self, index: int, cycle: int) -> np.ndarray:
        seed, epoch = self._seed
        chance = np.random.default_rng(derive_seed(seed, Stream.ORDER, epoch, index, cycle))
        members = self.members[index]
        if self._shard is None:
            return chance.permutation(members)
        shards, own = np.unique(self._shard[members], return_inverse=True)
        place = chance.permutation(len(shards)) // self._mixed_shards
        mixed = chance.permutation(len(members))
        return members[mixed][np.argsort(place[own[mixed]], kind="stable")]


def shards_of(manifest: Manifest) -> np.ndarray | None:
    """Returns the number of the shard that each image lies in, or None where images lie alone."""
    if "offset" not in manifest.frame:
        return None
    return np.unique(manifest.frame["path"].fillna("").to_numpy(str), return_inverse=True)[1]
