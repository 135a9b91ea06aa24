from collections import Counter

import numpy as np

from mermed_core.data.sampling import spread_over_classes

LABELS = [["a"]] * 50 + [["b"]] * 7 + [["c"]] * 30


def chosen(labels, most, **options):
    return Counter(tuple(labels[i]) for i in spread_over_classes(labels, most, **options))


def test_a_small_class_is_whole_and_the_others_share_the_rest():
    assert chosen(LABELS, 27) == {("a",): 10, ("b",): 7, ("c",): 10}
    assert chosen(LABELS, 6) == {("a",): 2, ("b",): 2, ("c",): 2}


def test_positions_ascend_and_depend_on_the_seed_alone():
    positions = spread_over_classes(LABELS, 20, seed=3)
    assert (np.diff(positions) > 0).all()
    np.testing.assert_array_equal(positions, spread_over_classes(LABELS, 20, seed=3))
    assert positions.tolist() != spread_over_classes(LABELS, 20, seed=4).tolist()


def test_more_than_there_are_is_all():
    np.testing.assert_array_equal(spread_over_classes(LABELS, 1000), np.arange(87))
    assert spread_over_classes([], 5).tolist() == []


def test_several_classes_count_for_the_rarest_and_none_is_a_class():
    labels = [["common"]] * 20 + [["common", "rare"]] * 3 + [[]] * 20
    assert chosen(labels, 9) == {("common",): 3, ("common", "rare"): 3, (): 3}
