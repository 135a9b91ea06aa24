"""Heads of a few images: the fit, what is left out, the file."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load
from sklearn.linear_model import LogisticRegression

from mermed_core.errors import FewShotError
from mermed_core.fitting.few_shot import MOST_IMAGES, Example, fit_few_shot
from mermed_core.models.few_shot_head import FACTS, NUMBERS, from_zip, to_zip


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def examples(counts: dict[str, int], spread: float = 0.4, seed: int = 0) -> list[Example]:
    """Images around one direction a label, each a patient of its own."""
    random = np.random.default_rng(seed)
    found = []
    for number, (label, count) in enumerate(counts.items()):
        middle = np.eye(16)[number]
        for vector in unit(middle + spread * random.normal(size=(count, 16)) / 4):
            found.append(Example(label, vector, str(len(found))))
    return found


def test_leaving_out_is_what_a_loop_over_scikit_learn_finds():
    given = examples({"a": 6, "b": 9}, spread=2.5)
    head = fit_few_shot(given, "m")
    vectors = np.stack([each.vector for each in given]).astype(float)
    labels = np.array([each.label for each in given])
    right = 0
    for row in range(len(given)):
        rest = np.arange(len(given)) != row
        model = LogisticRegression(C=10.0, class_weight="balanced").fit(vectors[rest], labels[rest])
        right += model.predict(vectors[[row]])[0] == labels[row]
    assert (head.left_out.right, head.left_out.images, head.left_out.groups) == (right, 15, 15)
    assert head.left_out.low < head.left_out.share < head.left_out.high
    assert head.left_out.guessing == 9 / 15
    assert head.labels == ("a", "b")
    assert head.counts == (6, 9)


def test_more_than_two_labels_are_told_apart():
    head = fit_few_shot(examples({"a": 4, "b": 4, "c": 4}), "m")
    assert head.left_out.right == 12
    assert head.left_out.beats_guessing
    for number, label in enumerate(head.labels):
        answer = head.answer(np.eye(16, dtype=np.float32)[number])
        assert next(iter(answer.probabilities)) == label
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert answer.familiar


def test_what_is_unlike_all_examples_is_said():
    answer = fit_few_shot(examples({"a": 4, "b": 4}), "m").answer(np.eye(16, dtype=np.float32)[9])
    assert not answer.familiar
    assert answer.similarity < answer.reach


def test_images_of_a_patient_are_left_out_together():
    """Labels that are noise, each image three times: only a patient that is left out whole shows it."""
    random = np.random.default_rng(3)
    vectors = unit(random.normal(size=(16, 16)))
    given = [Example("ab"[row % 2], vectors[row], str(row)) for row in range(16) for _ in range(3)]
    apart = [replace(each, group=str(number)) for number, each in enumerate(given)]
    assert fit_few_shot(apart, "m").left_out.share == 1
    together = fit_few_shot(given, "m").left_out
    assert together.share < 0.9
    assert together.groups == 16


def test_it_is_never_surer_than_the_fit():
    assert fit_few_shot(examples({"a": 5, "b": 5}), "m").head.temperature >= 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "at least two labels"),
        (examples({"a": 5}), "at least two labels"),
        (examples({"a": 5, "b": 1}), "'b' has images of one patient"),
        (examples({str(number): 2 for number in range(13)}), "At most 12 labels"),
        (examples({"a": MOST_IMAGES, "b": 2}), f"{MOST_IMAGES} images"),
        (examples({"a" * 61: 2, "b": 2}), "1 to 60 letters"),
        (
            [*(both := examples({"a": 3, "b": 3})), replace(both[0], label="b")],
            "The same image is given as 'a'",
        ),
    ],
)
def test_what_cannot_be_learned_from_gets_a_sentence(given, said):
    with pytest.raises(FewShotError, match=said):
        fit_few_shot(given, "m")


def test_the_file_gives_the_same_head_again():
    head = fit_few_shot(examples({"a": 4, "Größe > 5 mm": 5}), "m")
    data = to_zip(head)
    again = from_zip(data, "m")
    vector = unit(np.ones((1, 16)))[0]
    assert again.answer(vector) == head.answer(vector)
    assert (again.left_out, again.counts, again.labels) == (head.left_out, head.counts, head.labels)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert json.loads(archive.read(FACTS))["labels"] == ["a", "Größe > 5 mm"]
        assert set(load(archive.read(NUMBERS))) == {"weight", "bias", "centres"}


def changed(data: bytes, name: str, new: bytes) -> bytes:
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for each in (FACTS, NUMBERS):
            archive.writestr(each, new if each == name else old.read(each))
    return buffer.getvalue()


def test_what_is_no_head_is_refused_with_a_sentence():
    data = to_zip(fit_few_shot(examples({"a": 4, "b": 4}), "m"))
    facts = json.loads(zipfile.ZipFile(io.BytesIO(data)).read(FACTS))
    with pytest.raises(FewShotError, match="another model"):
        from_zip(data, "n")
    with pytest.raises(FewShotError, match="format 9"):
        from_zip(changed(data, FACTS, json.dumps(facts | {"format": 9}).encode()), "m")
    for wrong in (
        b"",
        b"PK\x03\x04",
        data[: len(data) // 2],
        changed(data, NUMBERS, b"nothing"),
        changed(data, NUMBERS, bytes(5 * 2**20)),
        changed(data, FACTS, b"[]"),
        changed(data, FACTS, json.dumps(facts | {"labels": ["a", "b", "c"]}).encode()),
        changed(data, FACTS, json.dumps(facts | {"labels": ["a", "a"]}).encode()),
        changed(data, FACTS, json.dumps(facts | {"temperature": 0}).encode()),
    ):
        with pytest.raises(FewShotError, match="not a classifier that was saved here"):
            from_zip(wrong, "m")
