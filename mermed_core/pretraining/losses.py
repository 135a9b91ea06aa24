"""The losses of MerMED-FM (arXiv 2507.00185): memory consistency (MaSSL, ICML 2024) and KoLeo."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch.nn import functional

from mermed_core.pretraining.memory_bank import MemoryBank, random_blocks

# Two equal embeddings have no direction in which to move apart; this keeps their logarithm finite.
_SMALLEST_DISTANCE = 1e-8


class _BlockSoftmax(torch.autograd.Function):
    """The softmax of embeddings over the blocks of one ring, whose gradient is computed in the forward pass.

    The gradient of logsumexp(s·M / τ) is the mean of the memories M weighted by softmax(s·M / τ), over τ: the
    same product as the teacher's target. So student and teacher share two matrix products for each block, and
    nothing of the size of a block is kept for the backward pass.
    """

    @staticmethod
    def forward(ctx: Any, student: torch.Tensor, teacher: torch.Tensor, *rest: Any) -> Any:
        """Returns logsumexp (rows,) of the student and the expected memory (teacher rows, dim).

        Both are averaged over the blocks; student (rows, dim) and teacher (teacher rows, dim) come divided by
        their temperatures.
        """
        memories, blocks = rest
        rows = torch.cat([student, teacher])
        normaliser, expected = rows.new_zeros(len(rows)), torch.zeros_like(rows)
        for numbers in blocks:
            # non_blocking, or a GPU would stand still between two blocks
            block = memories.index_select(0, numbers.to(memories.device, non_blocking=True))
            similarity = rows @ block.T
            share = torch.softmax(similarity, dim=-1)
            # log softmax of the largest is the largest minus logsumexp: no second pass over the exponentials
            normaliser += similarity.amax(dim=-1) - share.amax(dim=-1).log()
            expected += share @ block
        normaliser, expected = normaliser / len(blocks), expected / len(blocks)
        ctx.save_for_backward(expected[: len(student)])
        return normaliser[: len(student)], expected[len(student) :]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        """Returns the gradient of the student."""
        (expected,) = ctx.saved_tensors
        return gradients[0].unsqueeze(-1) * expected, None, None, None


def ring_consistency(
    student: torch.Tensor,
    teacher: torch.Tensor,
    memories: torch.Tensor,
    blocks: Sequence[torch.Tensor],
    *,
    student_temperature: float,
    teacher_temperature: float,
) -> torch.Tensor:
    """Returns the cross-entropy of each image between teacher and student over the blocks of one ring.

    It is averaged over the blocks and over all pairs of a teacher view u and a student view v ≠ u; the
    teacher's views are the first ones of the student. With p_u the softmax of the teacher's similarities and
    M the memories of a block,

        −Σ_k p_u[k] · log softmax(s_v·M / τ)[k]  =  logsumexp(s_v·M / τ) − s_v·(p_u M) / τ,

    because p_u sums to 1. So each softmax is taken once for a view, not once for a pair, and a pair costs one
    inner product of two embeddings.

    Args:
        student: (views, batch, dim), unit norm.
        teacher: (teacher views, batch, dim), unit norm, without gradient.
        memories: (memories, dim), of the modality of all these images.
        blocks: the numbers of the memories in each block; at least one block.
        student_temperature: τ of the student, above 0.
        teacher_temperature: the teacher's, above 0.

    Returns:
        (batch,), 0 or more.
    """
    scaled = student / student_temperature
    sums = _BlockSoftmax.apply(
        scaled.flatten(0, 1), teacher.flatten(0, 1) / teacher_temperature, memories, blocks
    )
    normaliser, target = cast(tuple[torch.Tensor, torch.Tensor], sums)
    agreement = torch.einsum("ubd,vbd->uvb", target.view_as(teacher), scaled)
    cross_entropy = normaliser.view(student.shape[:2]) - agreement
    same = torch.eye(*cross_entropy.shape[:2], dtype=torch.bool, device=student.device)
    # not indexed by the mask: a GPU would have to tell the host how many there are and stand still meanwhile
    pairs = cross_entropy.masked_fill(same.unsqueeze(-1), 0.0).sum(dim=(0, 1))
    return pairs / (len(teacher) * (len(student) - 1))


def memory_consistency(
    student: torch.Tensor,
    teacher: torch.Tensor,
    ring: torch.Tensor,
    bank: MemoryBank,
    *,
    blocks: int,
    student_temperature: float,
    teacher_temperature: float,
    generator: torch.Generator,
) -> torch.Tensor | None:
    """Returns the loss of a batch, in which each image is compared with the memories of its ring.

    Every ring is cut into random blocks; the loss is averaged over pairs of views, blocks and images. Images
    whose ring is still empty do not count.

    Args:
        student: (views, batch, dim), unit norm.
        teacher: (teacher views, batch, dim), unit norm; the first views of the student.
        ring: (batch,) index of each image's ring, on the CPU.
        bank: the memory.
        blocks: number of blocks that each ring is cut into.
        student_temperature: above 0.
        teacher_temperature: above 0.
        generator: decides the blocks.

    Returns:
        A scalar, or None where every ring in the batch is empty.
    """
    terms = []
    for index in range(len(bank.rings)):
        rows = torch.nonzero(ring == index).flatten().to(student.device, non_blocking=True)
        memories = bank.memories(index)
        parts = random_blocks(len(memories), blocks, generator)
        if len(rows) and parts:
            terms.append(
                ring_consistency(
                    student[:, rows],
                    teacher[:, rows],
                    memories,
                    parts,
                    student_temperature=student_temperature,
                    teacher_temperature=teacher_temperature,
                )
            )
    return torch.cat(terms).mean() if terms else None


def koleo(
    embeddings: torch.Tensor, gather: Callable[[torch.Tensor], torch.Tensor] | None = None, rank: int = 0
) -> torch.Tensor:
    """Returns the KoLeo regulariser, which spreads the embeddings of a batch (arXiv 1806.03198, 2304.07193).

    It is the mean of −log of each embedding's distance to its nearest neighbour in the same view, always in
    single precision at least: half precision loses the distance of near neighbours.

    Args:
        embeddings: (views, batch, dim) of this process, of any length above 0; at least two images in all.
        gather: joins the processes' (batch, dim) along the batch, with gradients; None for one process.
        rank: which of the joined parts is this process's own.

    Returns:
        A scalar over this process's embeddings; the mean over the processes is that of the whole batch.
    """
    wide = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
    return torch.stack(
        [_koleo_of_view(view, gather, rank) for view in functional.normalize(wide, dim=-1)]
    ).mean()


def _koleo_of_view(
    own: torch.Tensor, gather: Callable[[torch.Tensor], torch.Tensor] | None, rank: int
) -> torch.Tensor:
    everyone = gather(own) if gather else own
    rows = torch.arange(len(own), device=own.device)
    with torch.no_grad():
        similarity = own @ everyone.T
        similarity[rows, rows + rank * len(own)] = -2
        nearest = similarity.argmax(dim=1)
    distance = functional.pairwise_distance(own, everyone[nearest], eps=_SMALLEST_DISTANCE)
    return -torch.log(distance + _SMALLEST_DISTANCE).mean()
