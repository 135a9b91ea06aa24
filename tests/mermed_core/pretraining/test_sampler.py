from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mermed_core.pretraining.sampler import BalancedSampler


def modality_of(sizes):
    rows = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(0).permutation(rows)


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=7),
    batch=st.integers(1, 40),
    steps=st.integers(1, 12),
)
def test_every_modality_has_its_share_and_goes_through_all_its_images(sizes, batch, steps):
    modality = modality_of(sizes)
    sampler = BalancedSampler(modality, batch=batch, seed=1)
    given_so_far = []
    for step in range(steps):
        rows = sampler.batch(step)
        assert len(rows) == batch
        counts = np.bincount(modality[rows], minlength=len(sizes))
        assert counts.max() - counts.min() <= 1
        given_so_far.extend(rows.tolist())
    totals = np.bincount(modality[given_so_far], minlength=len(sizes))
    assert totals.max() - totals.min() <= 1  # what is left over goes round
    images = Counter(given_so_far)
    for index in range(len(sizes)):
        uses = [images[int(row)] for row in np.flatnonzero(modality == index)]
        assert max(uses) - min(uses) <= 1  # no image a second time before all had a first


def test_the_order_changes_with_cycle_seed_and_epoch():
    modality = np.zeros(12, dtype=int)

    def orders(**options):
        sampler = BalancedSampler(modality, batch=12, **options)
        return [tuple(sampler.batch(step)) for step in range(2)]

    first, second = orders(seed=0)
    assert first != second
    assert first not in orders(seed=1)
    assert first not in orders(seed=0, epoch=1)
    assert orders(seed=0) == [first, second]


def test_a_step_does_not_depend_on_the_steps_before_it():
    modality = modality_of([5, 9, 2])
    whole = BalancedSampler(modality, batch=7, seed=4)
    expected = [whole.batch(step).tolist() for step in range(20)]
    resumed = BalancedSampler(modality, batch=7, seed=4)
    assert [resumed.batch(step).tolist() for step in (19, 3, 11)] == [expected[step] for step in (19, 3, 11)]


@pytest.mark.parametrize("world", [1, 2, 3, 8, 14])
def test_ranks_have_every_place_once_even_with_fewer_images_than_ranks(world):
    sampler = BalancedSampler(modality_of([1, 3, 40]), batch=14, seed=0)
    places = [sampler.share(rank, world) for rank in range(world)]
    assert sorted(np.concatenate(places).tolist()) == list(range(14))
    sizes = [len(each) for each in places]
    assert max(sizes) - min(sizes) <= 1
    assert len(sampler.batch(0)) == 14


def test_an_epoch_has_the_batches_that_the_images_fill():
    assert BalancedSampler(modality_of([20, 15]), batch=8, seed=0).steps_per_epoch == 4
    assert BalancedSampler(modality_of([2, 1]), batch=8, seed=0).steps_per_epoch == 1


def test_a_gap_in_the_modality_numbers_is_refused():
    with pytest.raises(ValueError, match="modality index"):
        BalancedSampler([0, 2], batch=2, seed=0)


@pytest.mark.parametrize("world", [2, 4, 8])
@pytest.mark.parametrize("parts", [1, 3])
def test_every_rank_and_every_part_of_it_is_balanced(world, parts):
    sizes = (1, 40, 3, 9)
    modality = np.repeat(np.arange(4), sizes)
    sampler = BalancedSampler(modality, batch=4 * world * parts * 2, seed=0)
    for step in range(3):
        rows = sampler.batch(step)
        for rank in range(world):
            share = rows[sampler.share(rank, world)]
            for part in range(parts):
                assert np.bincount(modality[share[part::parts]]).tolist() == [2, 2, 2, 2]


@settings(deadline=None, max_examples=30)
@given(
    shards=st.lists(st.integers(1, 6), min_size=1, max_size=8),
    mixed=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_shards_are_taken_a_few_at_a_time_and_every_image_once_a_cycle(shards, mixed, seed):
    shard = np.repeat(np.arange(len(shards)), shards)
    count = len(shard)
    modality = np.zeros(count, int)
    sampler = BalancedSampler(modality, batch=1, seed=seed, shard=shard, mixed_shards=mixed)
    for cycle in range(2):
        rows = [int(sampler.batch(cycle * count + step)[0]) for step in range(count)]
        assert sorted(rows) == list(range(count))
        places = [np.flatnonzero(shard[rows] == number) for number in range(len(shards))]
        spans = [(place.min(), place.max()) for place in places]
        open_at = [sum(first <= moment <= last for first, last in spans) for moment in range(count)]
        assert max(open_at) <= mixed
