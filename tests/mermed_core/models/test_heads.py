import json
from dataclasses import replace

import numpy as np
import pytest

from mermed_core.errors import ModelError
from mermed_core.models.heads import (
    HEADS,
    MODALITY_TASK,
    NUMBERS,
    Head,
    HeadSet,
    load_heads,
    region_task,
    save_heads,
    to_probabilities,
)


def head(task="lung", modality="ct", kind="multiclass", classes=("a", "b", "c"), dim=4, seed=0) -> Head:
    generator = np.random.default_rng(seed)
    weight = generator.normal(size=(len(classes), dim)).astype(np.float32)
    bias = generator.normal(size=len(classes)).astype(np.float32)
    return Head(task, modality, kind, classes, weight, bias, 1.7, 12)


def test_probabilities_are_softmax_of_the_calibrated_logits():
    one = head()
    vectors = np.random.default_rng(1).normal(size=(5, 4))
    logits = (vectors @ one.weight.T + one.bias) / 1.7
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(one.probabilities(vectors), expected, rtol=1e-5)


def test_labels_that_do_not_exclude_each_other_get_a_sigmoid_each():
    logits = np.array([[0.0, 2.0, -2.0]])
    np.testing.assert_allclose(to_probabilities(logits, "multilabel"), 1 / (1 + np.exp(-logits)))


def test_heads_come_back_as_they_were(tmp_path):
    before = HeadSet(
        (head(MODALITY_TASK, "", classes=("ct", "oct")), head(), head("chest", "cxr", "multilabel"))
    )
    save_heads(tmp_path, before)
    after = load_heads(tmp_path, 4)
    for left, right in zip(before.heads, after.heads, strict=True):
        np.testing.assert_array_equal(left.weight, right.weight)
        np.testing.assert_array_equal(left.bias, right.bias)
        assert (
            left.task,
            left.modality,
            left.kind,
            left.classes,
            left.temperature,
            left.training_images,
        ) == (
            right.task,
            right.modality,
            right.kind,
            right.classes,
            right.temperature,
            right.training_images,
        )


def test_heads_that_only_sort_name_no_findings():
    heads = HeadSet(
        (head(MODALITY_TASK, ""), head(region_task("ct"), "ct"), head("lung"), head("chest", "cxr"))
    )
    assert [item.task for item in heads.findings] == ["lung", "chest"]
    with pytest.raises(ModelError, match="no head 'liver'"):
        heads.get("liver")


def test_regions_are_those_of_the_modality_the_most_probable_first():
    sorter = head(region_task("ct"), "ct", classes=("abdomen", "chest", "head"))
    heads = HeadSet((head("lung"), sorter, head("chest", "cxr")))
    vector = np.random.default_rng(2).normal(size=4)
    regions = heads.regions("ct", vector)
    logits = (sorter.weight @ vector + sorter.bias) / 1.7
    expected = np.exp(logits) / np.exp(logits).sum()
    assert regions == pytest.approx(dict(zip(sorter.classes, expected, strict=True)))
    assert list(regions.values()) == sorted(regions.values(), reverse=True)
    assert heads.regions("cxr", vector) == {}


def test_missing_heads_say_how_to_fit_them(tmp_path):
    with pytest.raises(ModelError, match=r"mermed fit"):
        load_heads(tmp_path, 4)


def test_heads_for_other_vectors_are_refused(tmp_path):
    save_heads(tmp_path, HeadSet((head(),)))
    with pytest.raises(ModelError, match="length 5"):
        load_heads(tmp_path, 5)


@pytest.mark.parametrize("file", [HEADS, NUMBERS])
@pytest.mark.parametrize("content", [b"", b"[{}]", b"nothing", b'{"a": 1}'])
def test_damaged_heads_are_a_sentence(tmp_path, file, content):
    save_heads(tmp_path, HeadSet((head(),)))
    (tmp_path / file).write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        load_heads(tmp_path, 4)


def test_heads_json_is_for_people(tmp_path):
    save_heads(tmp_path, HeadSet((head(),)))
    assert json.loads((tmp_path / HEADS).read_text())[0]["classes"] == ["a", "b", "c"]


def calibrated(kind="multiclass", cases=20) -> Head:
    rising = np.linspace(0, 0.6, cases, dtype=np.float32)
    few = np.linspace(0, 0.6, 5, dtype=np.float32)
    return replace(head(kind=kind), calibration=(rising, rising / 2, few), meanings={"x:A": "a", "y:A": "b"})


def test_calibration_and_meanings_come_back_and_older_folders_have_none(tmp_path):
    save_heads(tmp_path, HeadSet((calibrated(), head("old"))))
    new, old = load_heads(tmp_path, 4).heads
    for before, after in zip(calibrated().calibration, new.calibration, strict=True):
        np.testing.assert_array_equal(before, after)
    assert new.class_of("x", ("A",)) == "a"
    assert new.class_of("y", ("A", "B")) == "b"
    assert new.class_of("z", ("A",)) == ""
    assert old.calibration == ()
    assert old.meanings == {}
    np.testing.assert_allclose(old.limits, 0.9)


def test_limits_are_conformal_where_there_are_enough_cases():
    scores = calibrated().calibration
    # ⌈21 · 0.9⌉ = 19th of 20; five cases are too few.
    np.testing.assert_allclose(calibrated().limits, [scores[0][18], scores[1][18], 0.9])


@pytest.mark.parametrize(
    ("kind", "shares", "words"),
    [
        ("multiclass", [0.92, 0.05, 0.03], ["likely", "unlikely", "unlikely"]),
        ("multiclass", [0.45, 0.30, 0.25], ["possible", "unlikely", "possible"]),
        ("multiclass", [0.45, 0.52, 0.03], ["possible", "possible", "unlikely"]),
        ("multiclass", [0.3, 0.62, 0.08], ["unlikely", "possible", "unlikely"]),  # the first, below its limit
        ("multilabel", [0.92, 0.95, 0.03], ["likely", "likely", "unlikely"]),
        ("multilabel", [0.7, 0.75, 0.2], ["possible", "possible", "possible"]),
    ],
)
def test_three_words_say_how_likely_a_class_is(kind, shares, words):
    assert [str(word) for word in calibrated(kind).likelihoods(np.array(shares))] == words
