import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mermed_core.pretraining.memory_bank import MemoryBank, random_blocks


@settings(max_examples=60)
@given(
    slots=st.integers(1, 7),
    batches=st.lists(st.lists(st.integers(0, 2), max_size=20), max_size=6),
)
def test_a_ring_holds_the_last_memories_of_its_modality(slots, batches):
    bank = MemoryBank(("ct", "oct", "cxr"), slots=slots, dim=1)
    given_so_far = {0: [], 1: [], 2: []}
    value = 0.0
    for batch in batches:
        values = [value := value + 1 for _ in batch]
        bank.add(torch.tensor(values).reshape(-1, 1), torch.tensor(batch, dtype=torch.long))
        for index, number in zip(batch, values, strict=True):
            given_so_far[index].append(number)
    for index, key in enumerate(bank.rings):
        expected = given_so_far[index][-slots:]
        assert sorted(bank.memories(index).flatten().tolist()) == expected
        assert bank.fill()[key] == len(expected) / slots
    assert bank.is_full == all(len(numbers) >= slots for numbers in given_so_far.values())


def test_the_oldest_memory_gives_way_first():
    bank = MemoryBank(("ct",), slots=3, dim=1)
    for number in range(5):
        bank.add(torch.tensor([[float(number)]]), torch.tensor([0]))
    assert bank.memories(0).flatten().tolist() == [3.0, 4.0, 2.0]


def test_the_state_goes_on_where_it_was_saved():
    first, second = (MemoryBank(("ct", "oct"), slots=4, dim=2) for _ in range(2))
    generator = np.random.default_rng(0)

    def add(bank, seed):
        generator = np.random.default_rng(seed)
        values = torch.from_numpy(generator.normal(size=(5, 2))).float()
        bank.add(values, torch.from_numpy(generator.integers(0, 2, 5)))

    add(first, int(generator.integers(100)))
    second.load_state_dict(first.state_dict())
    add(first, 7)
    add(second, 7)
    assert second.fill() == first.fill()
    for index in range(2):
        assert torch.equal(first.memories(index), second.memories(index))


def test_memories_have_no_gradient():
    bank = MemoryBank(("ct",), slots=4, dim=2)
    bank.add(torch.ones(2, 2, requires_grad=True), torch.zeros(2, dtype=torch.long))
    assert not bank.memories(0).requires_grad


@pytest.mark.parametrize(("count", "blocks"), [(18725, 8), (7, 3), (3, 5), (1, 1), (4, 4)])
def test_blocks_are_a_partition_into_like_parts(count, blocks):
    cuts = random_blocks(count, blocks, torch.Generator().manual_seed(0))
    assert len(cuts) == min(blocks, count)
    assert torch.cat(cuts).sort().values.tolist() == list(range(count))
    sizes = {len(cut) for cut in cuts}
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1


def test_an_empty_ring_has_no_blocks_and_chance_comes_from_the_generator():
    assert random_blocks(0, 4, torch.Generator()) == ()
    first, again, other = (
        torch.cat(random_blocks(50, 4, torch.Generator().manual_seed(seed))).tolist() for seed in (1, 1, 2)
    )
    assert first == again != other
