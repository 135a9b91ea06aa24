"""The memory consistency loss of MerMED-FM (arXiv 2507.00185, after MaSSL, ICML 2024)."""

from collections.abc import Sequence
from typing import Any, cast

import torch

from mermed_core.pretraining.blocks import random_blocks
from mermed_core.pretraining.memory_bank import MemoryBank


class _Meeting(torch.autograd.Function):
    """Embeddings meet the blocks of one ring; the gradient is found on the way forward.

    The gradient of logsumexp(s·M / τ) is the mean of the memories M weighted by softmax(s·M / τ), over τ: the
    same product that makes the teacher's target. So student and teacher share two matrix products a block,
    and nothing of the size of a block is kept for the way back.
    """

    @staticmethod
    def forward(ctx: Any, student: torch.Tensor, teacher: torch.Tensor, *rest: Any) -> Any:
        """Returns logsumexp (rows,) of the student and the expected memory (teacher rows, dim).

        Both are averaged over the blocks; student (rows, dim) and teacher (teacher rows, dim) come divided by
        their temperatures.
        """
        memories, cuts = rest
        rows = torch.cat([student, teacher])
        normaliser, expected = rows.new_zeros(len(rows)), torch.zeros_like(rows)
        for cut in cuts:
            # without waiting, or a GPU would stand still between any two blocks
            block = memories.index_select(0, cut.to(memories.device, non_blocking=True))
            similarity = rows @ block.T
            share = torch.softmax(similarity, dim=-1)
            # log softmax of the largest is the largest minus logsumexp: no second pass over the exponentials
            normaliser += similarity.amax(dim=-1) - share.amax(dim=-1).log()
            expected += share @ block
        normaliser, expected = normaliser / len(cuts), expected / len(cuts)
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
    cuts: Sequence[torch.Tensor],
    *,
    student_temperature: float,
    teacher_temperature: float,
) -> torch.Tensor:
    """Returns for each image the cross-entropy between teacher and student over the blocks of one ring.

    Averaged over the blocks and over all pairs of a teacher view u and a student view v ≠ u; the teacher's
    views are the first ones of the student. With p_u the softmax of the teacher's similarities and M the
    memories of a block,

        −Σ_k p_u[k] · log softmax(s_v·M / τ)[k]  =  logsumexp(s_v·M / τ) − s_v·(p_u M) / τ,

    because p_u sums to 1. So every softmax is taken once a view, not once a pair, and a pair costs one inner
    product of two embeddings.

    Args:
        student: (views, batch, dim), unit norm.
        teacher: (teacher views, batch, dim), unit norm, without gradient.
        memories: (memories, dim), of the modality of all these images.
        cuts: the numbers of the memories in each block, one block at least.
        student_temperature: τ of the student, above 0.
        teacher_temperature: of the teacher, above 0.

    Returns:
        (batch,), 0 or more.
    """
    scaled = student / student_temperature
    meeting = _Meeting.apply(
        scaled.flatten(0, 1), teacher.flatten(0, 1) / teacher_temperature, memories, cuts
    )
    normaliser, target = cast(tuple[torch.Tensor, torch.Tensor], meeting)
    agreement = torch.einsum("ubd,vbd->uvb", target.view_as(teacher), scaled)
    cross_entropy = normaliser.view(student.shape[:2]) - agreement
    same = torch.eye(*cross_entropy.shape[:2], dtype=torch.bool, device=student.device)
    # not picked by the mask: a GPU would have to tell the host how many there are, and stand still meanwhile
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
    """Returns the loss of a batch: each image meets the memories of its ring, cut into random blocks.

    Averaged over pairs of views, blocks and images. Images whose ring is still empty do not count.

    Args:
        student: (views, batch, dim), unit norm.
        teacher: (teacher views, batch, dim), unit norm; the first views of the student.
        ring: (batch,) index of each image's ring, on the CPU: that of its modality.
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
        cuts = random_blocks(len(memories), blocks, generator)
        if len(rows) and cuts:
            terms.append(
                ring_consistency(
                    student[:, rows],
                    teacher[:, rows],
                    memories,
                    cuts,
                    student_temperature=student_temperature,
                    teacher_temperature=teacher_temperature,
                )
            )
    return torch.cat(terms).mean() if terms else None
