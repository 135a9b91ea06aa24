"""Selections of the map as bits and of programs as ids."""

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
    assert selection.from_map(ORDER, packed(flags)).tolist() == sorted(ORDER[[2, 20]])


@pytest.mark.parametrize("bits", ["AA==", "no base64!", packed(np.ones(99, bool))])
def test_bits_that_do_not_fit_are_refused(bits):
    with pytest.raises(CollectionError, match="selection"):
        selection.from_map(ORDER, bits)


def test_ids_become_positions_in_their_order(services):
    collection = services.predictor.collection
    text = "\n".join(collection.records["case_id"].iloc[[7, 3]])
    assert selection.from_text(collection, text).tolist() == [7, 3]


def test_an_unknown_case_is_refused(services):
    with pytest.raises(CollectionError, match="no case 'nobody'"):
        selection.from_text(services.predictor.collection, "nobody")
