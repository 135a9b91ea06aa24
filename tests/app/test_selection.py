"""Selections as text and as bits, there and back."""

import base64

import numpy as np
import pytest

from app import selection
from mermed_core.errors import CollectionError

ORDER = np.random.default_rng(0).permutation(21)


def packed(flags: np.ndarray) -> str:
    return base64.b64encode(np.packbits(flags, bitorder="little").tobytes()).decode()


def test_bits_of_the_map_become_positions():
    flags = np.zeros(21, bool)
    flags[[2, 20]] = True
    assert selection.from_map(ORDER, [], packed(flags)).tolist() == sorted(ORDER[[2, 20]])


def test_numbers_of_points_become_positions_and_what_is_no_point_is_left_out():
    found = selection.from_map(ORDER, [3, 3, -1, 21, "4", None, True], "")
    assert found.tolist() == [ORDER[3]]


@pytest.mark.parametrize("bits", ["AA==", "no base64!", packed(np.ones(99, bool))])
def test_bits_that_do_not_fit_are_refused(bits):
    with pytest.raises(CollectionError, match="selection"):
        selection.from_map(ORDER, [], bits)


def test_few_cases_are_ids_and_many_are_bits(services):
    collection = services.predictor.collection
    few = np.array([3, 7])
    text = selection.as_text(collection, few)
    assert text.splitlines() == list(collection.records["case_id"].iloc[few])
    assert selection.from_text(collection, text).tolist() == [3, 7]
    everything = np.arange(len(collection))
    bits = selection.as_text(collection, everything, few=10)
    assert bits.startswith("bits:")
    assert len(bits) < len(collection) / 4
    assert selection.from_text(collection, bits).tolist() == everything.tolist()


def test_an_unknown_case_is_refused(services):
    with pytest.raises(CollectionError, match="no case 'nobody'"):
        selection.from_text(services.predictor.collection, "nobody")
