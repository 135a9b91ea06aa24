"""The detector on numbers so few that every witness can be worked out by hand."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mermed_core.errors import ModelError
from mermed_core.models.ood import (
    NUMBERS,
    SETTINGS,
    OODDetector,
    load_detector,
    save_detector,
    unit,
)
from mermed_core.records import Familiarity


def array(*values: object) -> np.ndarray:
    return np.array(values, np.float32)


@pytest.fixture
def detector() -> OODDetector:
    """Four numbers in, of which the first three are seen; two modalities; the first two measure nearness."""
    return OODDetector(
        mean=array(0.5, 0, 0, 0),
        basis=np.eye(3, 4, dtype=np.float32),
        scale=array(2, 1, 0.5),
        known_weight=array(1, -1, 2),
        known_bias=array(0.25),
        whitening=array([1, 0], [0, 2]),
        references=unit(array([1, 0], [3, 4], [0, 1])),
        owners=np.array([0, 0, 1]),
        outliers=unit(array([-1, 0], [0, -1])),
        subspace_means=array([0, 0, 0], [0, 1, 0]),
        subspaces=array([[1, 0, 0]], [[0, 0, 1]]),
        witness_mean=np.zeros(6, np.float32),
        witness_scale=np.ones(6, np.float32),
        witness_weight=array(1, 0, 0, 0, 0, 0),
        witness_bias=array(-1),
        quantiles=np.linspace(0, 10, 101, dtype=np.float32),
        threshold=array(0),
    )


VECTOR = array(1.5, 2, 0.5, 1)  # seen as (1, 2, 0.5), with 1 outside
LOGITS = array(3, 1)


def test_the_witnesses_are_those_worked_out_by_hand(detector):
    known, margin, nearest, unknown, beside, outside = detector.witnesses(VECTOR[None], LOGITS[None])[0]
    assert known == pytest.approx(1 / 2 - 2 / 1 + 2 * 0.5 / 0.5 + 0.25)
    assert margin == pytest.approx(2)
    near = np.array([1, 4]) / 17**0.5  # (1, 2) whitened
    # Two references are of its modality; the third one is not and counts as −1.
    assert nearest == pytest.approx((near @ [1, 0] + near @ [0.6, 0.8] - 1) / 3)
    assert unknown == pytest.approx((near @ [-1, 0] + near @ [0, -1]) / 2)
    # Its modality spans the first axis, so that 2² + 0.5² lie beside it, and 1² lies outside everything.
    assert beside == pytest.approx(np.log(2**2 + 0.5**2 + 1))
    assert outside == pytest.approx(0, abs=1e-6)


def test_what_another_modality_spans_is_measured_from_its_mean(detector):
    beside = detector.witnesses(VECTOR[None], LOGITS[None, ::-1])[0, 4]
    # From (0, 1, 0) it is (1, 1, 0.5) away, of which the third is spanned.
    assert beside == pytest.approx(np.log(1**2 + 1**2 + 1))


@pytest.mark.parametrize(("logits", "margin"), [([5, 4.5], 0.5), ([90, 0], 12), ([7], 12)])
def test_a_margin_is_at_most_as_clear_as_it_gets(detector, logits, margin):
    witnesses = detector.witnesses(VECTOR[None], array(logits))
    assert witnesses[0, 1] == pytest.approx(margin)


def test_without_outliers_nothing_unknown_is_near(detector):
    bare = replace(detector, outliers=np.empty((0, 2), np.float32))
    assert bare.witnesses(VECTOR[None], LOGITS[None])[0, 3] == 0


def test_only_the_five_nearest_references_count(detector):
    random = np.random.default_rng(0)
    references = unit(random.normal(size=(40, 2)))
    many = replace(detector, references=references, owners=np.repeat([0, 1], 20), outliers=references[:9])
    witnesses = many.witnesses(VECTOR[None], LOGITS[None])[0]
    near = many.near(VECTOR[None])[0]
    assert witnesses[2] == pytest.approx(np.sort(references[:20] @ near)[-5:].mean(), abs=1e-5)
    assert witnesses[3] == pytest.approx(np.sort(references[:9] @ near)[-3:].mean(), abs=1e-5)


def test_a_score_is_the_weighed_sum_and_decides(detector):
    random = np.random.default_rng(0)
    weighed = replace(
        detector,
        witness_mean=array(*random.normal(size=6)),
        witness_scale=array(*random.uniform(1, 2, 6)),
        witness_weight=array(*random.normal(size=6)),
        threshold=array(0.1),
    )
    vectors = random.normal(size=(50, 4)).astype(np.float32)
    logits = random.normal(size=(50, 2)).astype(np.float32)
    expected = np.array(
        [
            sum(
                weighed.witness_weight[i] * (number - weighed.witness_mean[i]) / weighed.witness_scale[i]
                for i, number in enumerate(row)
            )
            - 1
            for row in weighed.witnesses(vectors, logits)
        ]
    )
    np.testing.assert_allclose(weighed.scores(vectors, logits), expected, rtol=1e-4, atol=1e-4)
    passed = weighed.passes(vectors, logits)
    assert passed.tolist() == (expected >= 0.1).tolist()
    assert 0 < passed.sum() < 50


def test_the_judgement_has_three_sentences(detector):
    def judged(score: float) -> tuple[bool, str]:
        vector = array(0.5 + 2 * (score + 1 - 0.25), 0, 0, 0)  # the first witness alone decides
        assert detector.scores(vector[None], LOGITS[None])[0] == pytest.approx(score, abs=1e-5)
        return detector.judge(vector, LOGITS, "oct")

    known, reason = judged(-0.5)
    assert known is Familiarity.UNKNOWN
    assert "none of the seven" in reason
    assert "the nearest is OCT" in reason
    known, reason = judged(0.55)
    assert known is Familiarity.UNUSUAL
    assert "unusual for OCT: 94% of images" in reason  # 6 of 101 quantiles lie below
    known, reason = judged(5.05)
    assert known is Familiarity.FAMILIAR
    assert reason.startswith("It is recognised as OCT more clearly than 50% of images from hospitals")


def test_a_detector_comes_back_with_its_largest_arrays_in_half_precision(detector, tmp_path):
    random = np.random.default_rng(0)
    before = replace(detector, references=unit(random.normal(size=(3, 2))), scale=array(2.0001, 1, 0.5))
    save_detector(tmp_path, before)
    stored = load_file(tmp_path / NUMBERS)
    halved = {name for name, values in stored.items() if values.dtype == np.float16}
    assert halved == {"basis", "references", "outliers", "subspaces"}
    after = load_detector(tmp_path, 4)
    for field in fields(OODDetector):
        left, right = getattr(before, field.name), getattr(after, field.name)
        assert right.dtype == (np.int64 if field.name == "owners" else np.float32)
        tolerance = 1e-3 if field.name in halved else 0
        np.testing.assert_allclose(right, left, atol=tolerance, rtol=0, err_msg=field.name)
    assert after.scores(VECTOR[None], LOGITS[None]) == pytest.approx(
        before.scores(VECTOR[None], LOGITS[None]), abs=1e-3
    )


def test_a_missing_or_wrong_detector_is_a_sentence(detector, tmp_path):
    with pytest.raises(ModelError, match=r"mermed fit"):
        load_detector(tmp_path, 4)
    save_detector(tmp_path, detector)
    with pytest.raises(ModelError, match="length 7"):
        load_detector(tmp_path, 7)


@pytest.mark.parametrize("change", [{"format": 1}, {"witnesses": ["distance"]}])
def test_a_detector_of_another_version_is_to_be_fitted_again(detector, tmp_path, change):
    save_detector(tmp_path, detector)
    settings = json.loads((tmp_path / SETTINGS).read_text())
    (tmp_path / SETTINGS).write_text(json.dumps(settings | change))
    with pytest.raises(ModelError, match=r"another version.*mermed fit"):
        load_detector(tmp_path, 4)


def test_a_detector_of_the_first_format_is_to_be_fitted_again(detector, tmp_path):
    save_detector(tmp_path, detector)
    (tmp_path / SETTINGS).write_text('{"residual": 0.1, "threshold": 2.0}')
    with pytest.raises(ModelError, match=r"another version.*mermed fit"):
        load_detector(tmp_path, 4)


@pytest.mark.parametrize(
    ("file", "content"), [(SETTINGS, b"{"), (SETTINGS, b"[]"), (NUMBERS, b"{}"), (NUMBERS, b"")]
)
def test_a_damaged_detector_is_a_sentence(detector, tmp_path, file, content):
    save_detector(tmp_path, detector)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        load_detector(tmp_path, 4)


@pytest.mark.parametrize("name", ["owners", "threshold"])
def test_a_detector_that_lacks_an_array_is_damaged(detector, tmp_path, name):
    save_detector(tmp_path, detector)
    arrays = load_file(tmp_path / NUMBERS)
    del arrays[name]
    save_file(arrays, tmp_path / NUMBERS)
    with pytest.raises(ModelError, match="damaged"):
        load_detector(tmp_path, 4)
