"""The memory consistency loss of MerMED-FM (arXiv 2507.00185, after MaSSL, ICML 2024)."""

import torch

from mermed_core.pretraining.bank import MemoryBank
from mermed_core.pretraining.blocks import random_blocks


def block_consistency(
    student: torch.Tensor,
    teacher: torch.Tensor,
    block: torch.Tensor,
    *,
    student_temperature: float,
    teacher_temperature: float,
) -> torch.Tensor:
    """Returns for each image the cross-entropy between teacher and student over one block of memories.

    Averaged over all pairs of a teacher view u and a student view v ≠ u; the teacher's views are the first
    ones of the student. With p_u the softmax of the teacher's similarities and M the memories,

        −Σ_k p_u[k] · log softmax(s_v·M / τ)[k]  =  logsumexp(s_v·M / τ) − s_v·(p_u M) / τ,

    because p_u sums to 1. So every softmax is taken once a view, not once a pair, and a pair costs one inner
    product of two embeddings.

    Args:
        student: (views, batch, dim), unit norm.
        teacher: (teacher views, batch, dim), unit norm, without gradient.
        block: (memories, dim), one memory at least, of the modality of all these images.
        student_temperature: τ of the student, above 0.
        teacher_temperature: of the teacher, above 0.

    Returns:
        (batch,), 0 or more.
    """
    target = torch.softmax(teacher @ block.T / teacher_temperature, dim=-1) @ block
    normaliser = torch.logsumexp(student @ block.T / student_temperature, dim=-1)
    agreement = torch.einsum("ubd,vbd->uvb", target, student) / student_temperature
    cross_entropy = normaliser - agreement
    different = ~torch.eye(len(teacher), len(student), dtype=torch.bool, device=student.device)
    return cross_entropy[different].mean(dim=0)


def memory_consistency(
    student: torch.Tensor,
    teacher: torch.Tensor,
    modality: torch.Tensor,
    bank: MemoryBank,
    *,
    blocks: int,
    student_temperature: float,
    teacher_temperature: float,
    generator: torch.Generator,
) -> torch.Tensor | None:
    """Returns the loss of a batch: each image meets the memories of its own modality, cut into random blocks.

    Averaged over pairs of views, blocks and images. Images whose ring is still empty do not count.

    Args:
        student: (views, batch, dim), unit norm.
        teacher: (teacher views, batch, dim), unit norm; the first views of the student.
        modality: (batch,) index of each image's ring, on the CPU.
        bank: the memory.
        blocks: number of blocks that each ring is cut into.
        student_temperature: above 0.
        teacher_temperature: above 0.
        generator: decides the blocks.

    Returns:
        A scalar, or None where the memory of every modality in the batch is empty.
    """
    terms = []
    for index in range(len(bank.modalities)):
        rows = torch.nonzero(modality == index).flatten().to(student.device)
        memories = bank.memories(index)
        cuts = random_blocks(len(memories), blocks, generator)
        if not len(rows) or not cuts:
            continue
        losses = [
            block_consistency(
                student[:, rows],
                teacher[:, rows],
                memories.index_select(0, cut.to(memories.device)),
                student_temperature=student_temperature,
                teacher_temperature=teacher_temperature,
            )
            for cut in cuts
        ]
        terms.append(torch.stack(losses).mean(dim=0))
    return torch.cat(terms).mean() if terms else None
