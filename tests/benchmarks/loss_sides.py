"""The loss and the memory: plain, ours, the floor, each as a call of one forward, backward, update."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from plain import PlainMemory
from torch.nn import functional

from mermed_core.pretraining.losses import memory_consistency
from mermed_core.pretraining.memory_bank import MemoryBank, random_blocks

TEMPERATURES = (0.1, 0.04)


@dataclass(frozen=True)
class Size:
    """Memories in all, in a block, length of each; modalities; views of student and teacher."""

    size: int
    block: int
    dim: int
    modalities: int
    views: int
    teacher_views: int

    @property
    def slots(self) -> int:
        """Memories of each modality."""
        return -(-self.size // self.modalities)

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return self.size // self.block


def _unit(*shape: int, device: str) -> torch.Tensor:
    return functional.normalize(torch.randn(*shape, device=device), dim=-1)


def _batch(size: Size, batch: int, device: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    student = _unit(size.views, batch, size.dim, device=device)
    modality = torch.arange(size.modalities).repeat_interleave(batch // size.modalities)
    return student.requires_grad_(), student.detach()[: size.teacher_views].clone(), modality


def plain(size: Size, batch: int, device: str) -> Callable[[], object]:
    """The authors' procedure."""
    memory = PlainMemory(size.size, size.dim, size.block, device)
    memory.add(
        _unit(size.size, size.dim, device=device), torch.arange(size.size, device=device) % size.modalities
    )

    def run() -> None:
        student, teacher, modality = _batch(size, batch, device)
        modality = modality.to(device)
        memory.loss(student, teacher, modality, TEMPERATURES).backward()
        memory.add(teacher[0], modality)

    return run


def ours(size: Size, batch: int, device: str) -> Callable[[], object]:
    """The memory by modality; which modality an image is of stays on the host."""
    bank = _filled(size, device)

    def run() -> None:
        student, teacher, modality = _batch(size, batch, device)
        loss = _our_loss(student, teacher, modality, bank, size)
        loss.backward()
        bank.add(teacher[0], modality)

    return run


def floor(size: Size, batch: int, device: str) -> Callable[[], object]:
    """Nothing but the similarities of the student with the memories of its modality, and their gradient."""
    bank = _filled(size, device)

    def run() -> None:
        student, _, modality = _batch(size, batch, device)
        for index in range(size.modalities):
            similarities = student[:, modality == index].flatten(0, 1) @ bank.memories(index).T
            similarities.backward(torch.ones_like(similarities))

    return run


SIDES = {"plain": plain, "ours": ours, "floor": floor}


def check_equal() -> float:
    """Returns the largest difference of loss and gradient at a small size in double precision.

    Every modality owns an equal share and every block holds all modalities in equal parts.
    """
    torch.manual_seed(0)
    size = Size(size=48, block=12, dim=6, modalities=3, views=5, teacher_views=2)
    bank = _filled(size, "cpu").double()
    memory = PlainMemory(size.size, size.dim, size.block, "cpu")
    memory.bank = torch.cat([bank.memories(index) for index in range(3)])
    memory.owner = torch.arange(3).repeat_interleave(size.slots)
    student, teacher, modality = _batch(size, 12, "cpu")
    student = student.detach().double().requires_grad_()
    generator = torch.Generator().manual_seed(0)
    rings = [random_blocks(size.slots, size.blocks, generator) for _ in range(3)]
    order = torch.cat([rings[m][b] + m * size.slots for b in range(size.blocks) for m in range(3)])
    losses = (
        _our_loss(student, teacher.double(), modality, bank, size),
        memory.loss(student, teacher.double(), modality, TEMPERATURES, order),
    )
    first, second = (torch.autograd.grad(loss, student)[0] for loss in losses)
    difference = max(abs(losses[0].item() - losses[1].item()), (first - second).abs().max().item())
    if not difference < 1e-9:
        raise AssertionError(f"the two forms differ by {difference}")
    return difference


def _filled(size: Size, device: str) -> MemoryBank:
    bank = MemoryBank([str(index) for index in range(size.modalities)], slots=size.slots, dim=size.dim)
    bank.to(device)
    count = size.slots * size.modalities
    bank.add(_unit(count, size.dim, device=device), torch.arange(count) % size.modalities)
    return bank


def _our_loss(
    student: torch.Tensor, teacher: torch.Tensor, modality: torch.Tensor, bank: MemoryBank, size: Size
) -> torch.Tensor:
    loss = memory_consistency(
        student,
        teacher,
        modality,
        bank,
        blocks=size.blocks,
        student_temperature=TEMPERATURES[0],
        teacher_temperature=TEMPERATURES[1],
        generator=torch.Generator().manual_seed(0),
    )
    if loss is None:
        raise AssertionError("the memory is empty")
    return loss
