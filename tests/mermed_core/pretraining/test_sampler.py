from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mermed_core.pretraining.sampler import BalancedSampler


def modality_of(sizes):
    rows = np.repeat(np.arange(len(sizes)), sizes)
    return np.random.default_rng(0).permutation(rows)


@settings(max_examples=60)
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


@settings(max_examples=30)
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


def by_source(sizes, power, *, batch=8, seed=3, **options):
    """Returns a sampler over one modality with sources of these sizes, and each image's source."""
    source = np.random.default_rng(1).permutation(np.repeat([f"s{i}" for i in range(len(sizes))], sizes))
    modality = np.zeros(len(source), int)
    return BalancedSampler(
        modality, batch=batch, seed=seed, source=source, source_power=power, **options
    ), source


@pytest.mark.parametrize(
    ("power", "shares"), [(0.0, [37, 37, 37]), (0.5, [77, 23, 11]), (1.0, [100, 9, 2]), (0.25, [58, 31, 22])]
)
def test_a_sources_share_goes_with_a_power_of_its_size(power, shares):
    """For √: 111 · (10, 3, 1.414) / 14.414 = (77.01, 23.10, 10.89), of which the last is rounded up."""
    sampler, source = by_source([100, 9, 2], power, batch=111)
    for step in range(3):
        names, counts = np.unique(source[sampler.batch(step)], return_counts=True)
        assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == dict(
            zip(("s0", "s1", "s2"), shares, strict=True)
        )


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    power=st.floats(0, 1, exclude_max=True),
    batch=st.integers(1, 40),
    steps=st.integers(1, 12),
)
def test_shares_hold_in_every_cycle_and_a_source_repeats_no_image_before_it_gave_all(
    sizes, power, batch, steps
):
    sampler, source = by_source(sizes, power, batch=batch)
    rows = np.concatenate([sampler.batch(step) for step in range(steps)])
    total = sum(sizes)
    exact = np.array(sizes, float) ** power
    exact *= total / exact.sum()
    for cycle in range(len(rows) // total):
        drawn = source[rows[cycle * total : (cycle + 1) * total]]
        counts = np.array([(drawn == f"s{i}").sum() for i in range(len(sizes))])
        assert (np.abs(counts - exact) < 1 + 1e-9).all()
        assert (counts >= 1).all()
    whole = rows[: len(rows) // total * total]  # within a cycle the sources are mixed
    for index in range(len(sizes)):
        uses = np.bincount(whole, minlength=total)[source == f"s{index}"]
        assert uses.max() - uses.min() <= 1


def test_with_sources_a_step_does_not_depend_on_the_steps_before_it():
    whole, _ = by_source([40, 7, 3], 0.4, batch=7)
    expected = [whole.batch(step).tolist() for step in range(30)]
    for step in (29, 3, 17):
        assert by_source([40, 7, 3], 0.4, batch=7)[0].batch(step).tolist() == expected[step]
    other, _ = by_source([40, 7, 3], 0.4, batch=7, epoch=1)
    assert [other.batch(step).tolist() for step in range(30)] != expected


@settings(max_examples=20)
@given(sizes=st.lists(st.integers(1, 20), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_at_power_one_the_order_is_that_without_sources(sizes, seed):
    sampler, source = by_source(sizes, 1.0, seed=seed)
    plain = BalancedSampler(np.zeros(len(source), int), batch=8, seed=seed)
    assert all(np.array_equal(sampler.batch(step), plain.batch(step)) for step in range(9))


def test_the_order_of_a_seed_never_changes():
    """A run that is continued with newer code must go on with the same images."""
    plain = BalancedSampler([0, 0, 0, 1, 1, 1, 1, 1], batch=5, seed=7)
    assert [plain.batch(step).tolist() for step in range(3)] == [
        [1, 2, 0, 4, 3],
        [0, 2, 7, 6, 5],
        [1, 1, 2, 5, 6],
    ]
    sampler, _ = by_source([6, 2], 0.5, batch=5, seed=7)
    assert [sampler.batch(step).tolist() for step in range(3)] == [
        [4, 6, 7, 5, 0],
        [5, 3, 2, 7, 1],
        [6, 0, 1, 5, 7],
    ]


def test_a_power_below_one_needs_sources_and_no_shards():
    with pytest.raises(ValueError, match="needs the sources"):
        BalancedSampler([0, 0], batch=2, seed=0, source_power=0.5)
    with pytest.raises(ValueError, match="not in shards"):
        by_source([3, 2], 0.5, shard=np.zeros(5, int))
