from dataclasses import replace

import numpy as np
import pytest

from mermed_core.data.phantoms import FINDINGS, draw_phantom
from mermed_core.inference.predictor import MedicalImage
from mermed_core.inference.second_look import SecondLook, second_look, small_changes
from mermed_core.records import Finding


@pytest.fixture
def image() -> MedicalImage:
    return MedicalImage(draw_phantom("oct", FINDINGS["oct"][0], size=96, seed=3).pixels, 1, 0, "PNG", ())


def test_the_spread_is_that_of_every_changed_copy(predictor, image):
    embedding = predictor.embed(image, modality="oct")
    head = predictor.heads.get("phantom_oct")
    analysis = replace(
        predictor.analyse(embedding, neighbours=1),
        findings=tuple(Finding("phantom_oct", name, 0.5) for name in head.classes),
    )
    (look,) = second_look(predictor, image, embedding, analysis)
    shares = [head.probabilities(embedding.vector[None])[0]]
    first = int(shares[0].argmax())
    turned = []
    for name, change in small_changes("oct").items():
        copy = predictor.embed(replace(image, pixels=change(image.pixels)), modality="oct")
        shares.append(head.probabilities(copy.vector[None])[0])
        if shares[-1].argmax() != first:
            turned.append((name, head.classes[shares[-1].argmax()]))
    own = [share[first] for share in shares]
    assert (look.task, look.label, look.copies) == ("phantom_oct", head.classes[first], 8)
    assert (look.low, look.high) == pytest.approx((min(own), max(own)))
    assert look.turned == tuple(turned)
    assert second_look(predictor, image, embedding, replace(analysis, findings=())) == ()


def test_an_answer_is_stable_where_it_stays_first_and_near():
    look = SecondLook("set", "a", 0.7, 0.9, 8, ())
    assert look.stable
    assert not replace(look, low=0.6).stable
    assert not replace(look, turned=(("darker", "b"),)).stable


def test_changes_are_small_and_only_what_has_no_side_is_mirrored(image):
    for name, change in small_changes("oct").items():
        before, after = image.pixels, change(image.pixels)
        assert after.dtype == np.uint8
        assert min(after.shape[:2]) >= 0.65 * min(before.shape[:2])
        assert not np.array_equal(before, after), name
    assert "mirrored" in small_changes("oct")
    assert "mirrored" not in small_changes("cxr")
    assert "mirrored" not in small_changes("ct")
