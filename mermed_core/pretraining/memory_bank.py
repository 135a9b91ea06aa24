"""The memory: one ring of teacher embeddings for each modality, cut into random blocks."""

from collections.abc import Sequence

import torch
from torch import nn


class MemoryBank(nn.Module):
    """First-in-first-out memories of teacher embeddings, one ring for each modality.

    The paper keeps a single memory with a modality for each embedding and masks those of other modalities.
    Since its batches are balanced, every modality owns an equal share of the memory; kept as rings, nothing
    has to be masked. A bank with a single ring is a memory without that restriction. The counters stay on the
    host because they decide slices; they are saved with the rings.

    Args:
        rings: their keys, usually modalities; the order gives the index of a ring.
        slots: embeddings in a ring.
        dim: length of an embedding.
    """

    def __init__(self, rings: Sequence[str], *, slots: int, dim: int) -> None:
        super().__init__()
        self.rings = tuple(rings)
        self.slots = slots
        self._written = [0] * len(self.rings)
        for key in self.rings:
            self.register_buffer(f"ring_{key}", torch.zeros(slots, dim))

    def memories(self, index: int) -> torch.Tensor:
        """Returns the memories of a ring, (filled, dim): only the slots that have been written."""
        return self._ring(index)[: min(self._written[index], self.slots)]

    def fill(self) -> dict[str, float]:
        """Returns how full each ring is, 0..1."""
        return {
            key: min(written, self.slots) / self.slots
            for key, written in zip(self.rings, self._written, strict=True)
        }

    def has_memories(self, ring: torch.Tensor) -> torch.Tensor:
        """Returns whether these rings hold anything, (batch,), for their indices (batch,) on the CPU."""
        return torch.tensor(self._written)[ring] > 0

    @property
    def is_full(self) -> bool:
        """Whether every slot of every ring has been written."""
        return all(written >= self.slots for written in self._written)

    @torch.no_grad()
    def add(self, embeddings: torch.Tensor, ring: torch.Tensor) -> None:
        """Writes embeddings (batch, dim) into rings (batch,), over the oldest memories.

        The batch may have any size: a ring wraps at its end, and of more than it holds the last ones stay.
        """
        ring = ring.cpu()
        for index in range(len(self.rings)):
            rows = torch.nonzero(ring == index).flatten().to(embeddings.device, non_blocking=True)
            self._write(index, embeddings[rows])

    def get_extra_state(self) -> torch.Tensor:
        """Returns the counters for the state dict."""
        return torch.tensor(self._written, dtype=torch.int64)

    def set_extra_state(self, state: torch.Tensor) -> None:
        """Takes the counters from a state dict."""
        self._written = [int(count) for count in state]

    def _ring(self, index: int) -> torch.Tensor:
        return self.get_buffer(f"ring_{self.rings[index]}")

    def _write(self, index: int, embeddings: torch.Tensor) -> None:
        first = self._written[index] + max(0, len(embeddings) - self.slots)
        last = self._written[index] + len(embeddings)
        ring = self._ring(index)
        places = torch.arange(first, last, device=ring.device) % self.slots
        ring[places] = embeddings[-self.slots :].to(ring.dtype)
        self._written[index] = last


def random_blocks(count: int, blocks: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Cuts the numbers 0..count-1 at random into blocks whose sizes differ by at most one (MaSSL, ICML 2024).

    With fewer memories than blocks, each memory is a block of its own; an empty ring has none. So no block is
    ever empty, and no softmax is taken over nothing.
    """
    if count == 0:
        return ()
    return torch.randperm(count, generator=generator).tensor_split(min(blocks, count))
