"""The method as the paper's authors run it, written plainly: what ours is measured against.

One memory holds the embeddings of all modalities with a label each. Every step copies it, multiplies all
embeddings with all of it, puts −∞ where the modality differs, gathers the logits into random blocks, and
takes both softmaxes anew for every pair of different views. Clipping is for each parameter by itself, with
its norm
read by the host; the moving average is a loop over parameters.
"""

import math

import torch
from torch import nn

from mermed_core.pretraining.student_teacher import SelfSupervisedNetwork


class PlainMemory:
    """Embeddings of all modalities, first in, first out.

    Args:
        size: number of embeddings; a multiple of the batch and of the block.
        dim: length of each.
        block: embeddings in a block.
        device: where they are kept.
    """

    def __init__(self, size: int, dim: int, block: int, device: torch.device | str) -> None:
        self.bank = torch.zeros(size, dim, device=device)
        self.owner = torch.zeros(size, dtype=torch.long, device=device)
        self.block = block
        self.pointer = 0

    def add(self, embeddings: torch.Tensor, modality: torch.Tensor) -> None:
        """Writes embeddings (batch, dim) of modalities (batch,) over the oldest ones."""
        last = self.pointer + len(embeddings)
        places = torch.arange(self.pointer, last, device=self.bank.device) % len(self.bank)
        self.bank[places] = embeddings
        self.owner[places] = modality
        self.pointer = (self.pointer + len(embeddings)) % len(self.bank)

    def loss(
        self,
        student: torch.Tensor,
        teacher: torch.Tensor,
        modality: torch.Tensor,
        temperatures: tuple[float, float],
        order: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Returns the loss of student (views, batch, dim) and teacher (teacher views, batch, dim).

        Args:
            student: unit norm.
            teacher: unit norm.
            modality: (batch,).
            temperatures: of student and teacher.
            order: (size,) in which the memory is cut into blocks; by chance where None.
        """
        memory = self.bank.clone()
        order = torch.randperm(len(memory), device=memory.device) if order is None else order
        mask = torch.zeros(len(modality), len(memory), dtype=student.dtype, device=memory.device)
        mask[self.owner[None, :] != modality[:, None]] = -math.inf
        predictions = self._blocks(student, memory, mask, temperatures[0], order)
        targets = self._blocks(teacher, memory, mask, temperatures[1], order)
        terms = []
        for first, target in enumerate(targets):
            for second, prediction in enumerate(predictions):
                if first == second:
                    continue
                p = torch.softmax(target, dim=-1)
                q = torch.log_softmax(prediction, dim=-1)
                terms.append(-(p * q.masked_fill(torch.isinf(q), 0.0)).sum(dim=-1).mean())
        return torch.stack(terms).mean()

    def _blocks(
        self,
        views: torch.Tensor,
        memory: torch.Tensor,
        mask: torch.Tensor,
        temperature: float,
        order: torch.Tensor,
    ) -> torch.Tensor:
        """Returns logits (views, batch, blocks, block)."""
        logits = views.flatten(0, 1) @ memory.T / temperature
        logits = logits.unflatten(0, views.shape[:2]) + mask
        return logits[..., order].unflatten(-1, (-1, self.block))


def plain_step(
    student: SelfSupervisedNetwork,
    teacher: SelfSupervisedNetwork,
    optimiser: torch.optim.Optimizer,
    memory: PlainMemory,
    views: tuple[torch.Tensor, torch.Tensor],
    modality: torch.Tensor,
    *,
    temperatures: tuple[float, float],
    clip: float,
    momentum: float,
    half: bool,
) -> float:
    """Learns from global and local views (views, batch, 3, size, size), normalised; returns the loss."""
    with torch.autocast(modality.device.type, torch.bfloat16, enabled=half):
        with torch.no_grad():
            taught = teacher(views[0]).projected
        learned = student(*views).projected
    loss = memory.loss(learned, taught, modality, temperatures)
    if not math.isfinite(loss.item()):
        raise ValueError("the loss is not finite")
    optimiser.zero_grad()
    loss.backward()
    clip_each(student, clip)
    optimiser.step()
    with torch.no_grad():
        for mine, other in zip(teacher.parameters(), student.parameters(), strict=True):
            mine.data.mul_(momentum).add_((1 - momentum) * other.detach().data)
    memory.add(taught[0], modality)
    return loss.item()


def clip_each(network: nn.Module, limit: float) -> None:
    """Scales the gradient of each parameter to a norm of at most `limit`."""
    for parameter in network.parameters():
        if parameter.grad is not None:
            share = limit / (parameter.grad.data.norm(2).item() + 1e-6)
            if share < 1:
                parameter.grad.data.mul_(share)
