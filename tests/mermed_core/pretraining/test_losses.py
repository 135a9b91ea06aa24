"""The losses against brute force written here, as the papers describe them, pair by pair."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mermed_core.pretraining.losses import koleo, memory_consistency, ring_consistency
from mermed_core.pretraining.memory_bank import MemoryBank, random_blocks

MODALITIES = ("ct", "cxr", "oct")


def unit(*shape, seed):
    values = np.random.default_rng(seed).normal(size=shape)
    return torch.from_numpy(values / np.linalg.norm(values, axis=-1, keepdims=True))


def filled_bank(slots, counts, dim, seed=0):
    bank = MemoryBank(MODALITIES[: len(counts)], slots=slots, dim=dim).double()
    for index, count in enumerate(counts):
        bank.add(unit(count, dim, seed=seed + index), torch.full((count,), index))
    return bank


def log_softmax(values):
    shifted = values - max(values)
    return shifted - math.log(sum(math.exp(value) for value in shifted))


def plain_block(student, teacher, memories, student_temperature, teacher_temperature):
    """One image, one block: the mean over pairs of different views of −Σ p log q."""
    pairs = []
    for u, target in enumerate(teacher):
        p = np.exp(log_softmax(memories @ target / teacher_temperature))
        for v, prediction in enumerate(student):
            if u != v:
                pairs.append(-(p * log_softmax(memories @ prediction / student_temperature)).sum())
    return sum(pairs) / len(pairs)


def plain_loss(student, teacher, modality, bank, blocks, temperatures, seed):
    """Image by image, block by block; the blocks are drawn ring by ring, as the loss does."""
    generator = torch.Generator().manual_seed(seed)
    images = []
    for index in range(len(bank.rings)):
        memories = bank.memories(index).numpy()
        cuts = random_blocks(len(memories), blocks, generator)
        for image in np.flatnonzero(modality.numpy() == index) if cuts else ():
            views = student[:, image].numpy(), teacher[:, image].numpy()
            losses = [plain_block(*views, memories[cut.numpy()], *temperatures) for cut in cuts]
            images += [np.mean(losses)]
    return float(np.mean(images))


def loss_of(student, teacher, modality, bank, blocks, temperatures=(0.1, 0.05), seed=0):
    return memory_consistency(
        student,
        teacher,
        modality,
        bank,
        blocks=blocks,
        student_temperature=temperatures[0],
        teacher_temperature=temperatures[1],
        generator=torch.Generator().manual_seed(seed),
    )


@settings(max_examples=30)
@given(
    views=st.integers(1, 4),
    teacher_views=st.integers(1, 3),
    counts=st.lists(st.integers(0, 9), min_size=1, max_size=3),
    blocks=st.integers(1, 5),
    seed=st.integers(0, 1000),
)
def test_equals_the_plain_sum_over_images_blocks_and_pairs(views, teacher_views, counts, blocks, seed):
    views = max(views, teacher_views, 2)
    bank = filled_bank(6, counts, 5, seed)
    modality = torch.from_numpy(np.random.default_rng(seed).integers(0, len(counts), 7))
    student = unit(views, 7, 5, seed=seed + 10).requires_grad_()
    teacher = unit(teacher_views, 7, 5, seed=seed + 11)
    loss = loss_of(student, teacher, modality, bank, blocks, seed=seed)
    if not any(counts[index] for index in modality):
        assert loss is None
        return
    assert loss is not None
    expected = plain_loss(student.detach(), teacher, modality, bank, blocks, (0.1, 0.05), seed)
    assert loss.item() == pytest.approx(expected, abs=1e-9)
    (gradient,) = torch.autograd.grad(loss, student)
    assert torch.isfinite(gradient).all()


def masked_whole_memory_loss(student, teacher, memory, owner, modality, cuts, temperatures):
    """The paper's form: logits to the whole memory, −∞ where the modality differs, gathered into blocks.

    Both softmaxes are taken anew for every pair; cross-entropy with 0 · −∞ taken as 0.
    """
    mask = torch.where(owner[None, :] == modality[:, None], 0.0, -math.inf).double()
    terms = []
    for cut in cuts:
        for u in range(len(teacher)):
            for v in range(len(student)):
                if u == v:
                    continue
                p = torch.softmax((teacher[u] @ memory.T / temperatures[1] + mask)[:, cut], dim=-1)
                q = torch.log_softmax((student[v] @ memory.T / temperatures[0] + mask)[:, cut], dim=-1)
                terms.append(-(p * q.masked_fill(torch.isinf(mask[:, cut]), 0.0)).sum(dim=-1).mean())
    return torch.stack(terms).mean()


def test_equal_shares_give_loss_and_gradient_of_the_masked_whole_memory():
    slots, blocks, dim, temperatures = 12, 4, 6, (0.1, 0.04)
    bank = filled_bank(slots, [slots] * 3, dim)
    modality = torch.arange(3).repeat_interleave(4)
    student = unit(5, 12, dim, seed=20).requires_grad_()
    teacher = unit(2, 12, dim, seed=21)
    loss = loss_of(student, teacher, modality, bank, blocks, temperatures, seed=3)
    generator = torch.Generator().manual_seed(3)
    rings = [random_blocks(slots, blocks, generator) for _ in range(3)]
    cuts = [torch.cat([rings[m][block] + m * slots for m in range(3)]) for block in range(blocks)]
    memory = torch.cat([bank.memories(index) for index in range(3)])
    owner = torch.arange(3).repeat_interleave(slots)
    expected = masked_whole_memory_loss(student, teacher, memory, owner, modality, cuts, temperatures)
    assert loss is not None
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-9)
    ours, theirs = (torch.autograd.grad(value, student, retain_graph=True)[0] for value in (loss, expected))
    assert ours.abs().max() > 1e-3
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_a_memory_of_another_modality_changes_nothing():
    student, teacher = unit(3, 4, 5, seed=1), unit(2, 4, 5, seed=2)
    modality = torch.zeros(4, dtype=torch.long)
    losses = [
        loss_of(student, teacher, modality, filled_bank(8, [8, count], 5), blocks=2) for count in (0, 3, 8)
    ]
    assert losses[0] == losses[1] == losses[2]


def test_images_whose_ring_is_empty_do_not_count():
    bank = filled_bank(8, [8, 0], 5)
    student, teacher = unit(3, 4, 5, seed=1).requires_grad_(), unit(2, 4, 5, seed=2)
    whole = loss_of(student, teacher, torch.tensor([0, 1, 0, 1]), bank, blocks=2)
    part = loss_of(student[:, ::2], teacher[:, ::2], torch.tensor([0, 0]), bank, blocks=2)
    assert whole is not None
    torch.testing.assert_close(whole, part)
    (gradient,) = torch.autograd.grad(whole, student)
    assert not gradient[:, 1::2].any()
    assert gradient[:, ::2].any()


def ring_loss(student, teacher, memories, cuts, temperatures=(0.1, 0.04)):
    return ring_consistency(
        student,
        teacher,
        memories,
        cuts,
        student_temperature=temperatures[0],
        teacher_temperature=temperatures[1],
    )


def test_the_gradient_is_that_of_finite_differences():
    student = unit(3, 2, 4, seed=1).requires_grad_()
    teacher, memories = unit(2, 2, 4, seed=2), unit(9, 4, seed=3)
    cuts = random_blocks(9, 2, torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(lambda value: ring_loss(value, teacher, memories, cuts), student)


def test_the_gradient_is_finite_with_sharp_temperatures_in_single_precision():
    student = unit(4, 6, 8, seed=1).float().requires_grad_()
    memories = unit(50, 8, seed=3).float()
    losses = ring_loss(
        student, unit(2, 6, 8, seed=2).float(), memories, torch.arange(50).split(25), (1e-3, 1e-4)
    )
    assert losses.shape == (6,)
    assert torch.isfinite(losses).all()
    assert torch.isfinite(torch.autograd.grad(losses.sum(), student)[0]).all()


def test_agreement_is_the_entropy_of_the_teacher():
    embedding, memories = unit(1, 1, 5, seed=1), unit(9, 5, seed=2)
    loss = ring_loss(embedding.expand(2, 1, 5), embedding, memories, [torch.arange(9)], (0.2, 0.2))
    p = torch.softmax(embedding[0, 0] @ memories.T / 0.2, dim=0)
    assert loss.item() == pytest.approx(float(-(p * p.log()).sum()), abs=1e-12)


def embeddings(views=2, batch=6, dim=4, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(views, batch, dim)))


def plain(views):
    """−log of the distance to the nearest other image of the same view, image by image."""
    terms = []
    for view in views.numpy():
        points = [point / np.linalg.norm(point) for point in view]
        for i, point in enumerate(points):
            nearest = min(np.linalg.norm(point - other) for j, other in enumerate(points) if i != j)
            terms.append(-math.log(nearest))
    return np.mean(terms)


def test_equals_the_plain_sum():
    assert koleo(embeddings()).item() == pytest.approx(plain(embeddings()), abs=1e-6)


def test_its_gradient_drives_neighbours_apart_and_equal_ones_do_not_break_it():
    close = torch.tensor([[[1.0, 0.01], [1.0, -0.01], [-1.0, 0.0]]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(koleo(close), close)
    assert gradient[0, 0, 1] < 0 < gradient[0, 1, 1]
    same = torch.ones(1, 3, 2, requires_grad=True)
    value = koleo(same)
    (gradient,) = torch.autograd.grad(value, same)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


def test_half_precision_is_widened_first():
    near = torch.nn.functional.normalize(torch.tensor([[[1.0, 0.0], [1.0, 2e-3], [0.0, 1.0]]]), dim=-1)
    assert koleo(near.to(torch.bfloat16)).dtype == torch.float32
    assert koleo(near).item() == pytest.approx((2 * -math.log(2e-3) - math.log(2**0.5)) / 3, rel=1e-2)


def test_shares_of_two_ranks_have_the_mean_of_the_whole():
    whole = embeddings(batch=6)
    shares = []
    for rank in range(2):
        views = iter(whole)
        own = whole[:, rank * 3 : rank * 3 + 3]
        shares.append(
            koleo(own, lambda _, views=views: torch.nn.functional.normalize(next(views), dim=-1), rank)
        )
    assert np.mean([share.item() for share in shares]) == pytest.approx(koleo(whole).item(), abs=1e-9)
