"""The memory: rings of teacher embeddings, one for each modality."""

from collections.abc import Sequence

import torch
from torch import nn


class MemoryBank(nn.Module):
    """First in, first out memories of teacher embeddings, a ring for each modality.

    The paper keeps one memory with the modality beside each embedding, and masks what is of another modality.
    As its batches are balanced, every modality owns an equal share of it; stored as rings, nothing has to be
    masked. A single ring stands for a memory without this restriction. Counters live on the host, because
    they steer slicing; they are saved with the rings.

    Args:
        rings: their keys, a modality each; the order gives a ring's index.
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
        """Returns the (filled, dim) memories of a ring, only slots that were written."""
        return self._ring(index)[: min(self._written[index], self.slots)]

    def fill(self) -> dict[str, float]:
        """Returns how full each ring is, 0..1."""
        return {
            key: min(written, self.slots) / self.slots
            for key, written in zip(self.rings, self._written, strict=True)
        }

    def knows(self, ring: torch.Tensor) -> torch.Tensor:
        """Returns for the indices of rings (batch,) on the CPU whether these hold anything."""
        return torch.tensor(self._written)[ring] > 0

    @property
    def is_full(self) -> bool:
        """Whether the warm-up is over: every slot of every ring was written."""
        return all(written >= self.slots for written in self._written)

    @torch.no_grad()
    def add(self, embeddings: torch.Tensor, ring: torch.Tensor) -> None:
        """Writes embeddings (batch, dim) into rings (batch,) over the oldest ones.

        Any batch size: it wraps at the end of a ring, and of more than a ring holds the last ones stay.
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
