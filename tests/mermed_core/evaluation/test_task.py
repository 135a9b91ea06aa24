"""Tasks hold the labelled images of one label set, in the order of the manifest."""

import numpy as np
import pandas as pd
import pytest

from mermed_core.data.manifest import Manifest
from mermed_core.data.splits import split_by_group
from mermed_core.errors import ManifestError
from mermed_core.evaluation.predictions import from_long, predictions_on, to_long
from mermed_core.evaluation.protocols.cross_validation import cross_validation
from mermed_core.evaluation.task import tasks_of
from mermed_core.models.embedder import Embeddings

ROWS = [
    ("ct", ["a"], "train", "p1", "F"),
    ("ct", ["b"], "train", "p2", "M"),
    ("ct", None, "train", "p3", "M"),
    ("ct", ["b"], "test", "p4", "F"),
    ("ct", ["c"], "test", "p5", "F"),
]


def embedded(rows, **columns):
    frame = pd.DataFrame(rows, columns=["modality", "labels", "split", "group", "sex"])
    frame = frame.assign(source="lung", image=[b"x"] * len(frame), **columns)
    manifest = Manifest.from_frame(frame)
    return Embeddings(np.eye(len(frame), dtype=np.float32), manifest, (), {})


def test_a_task_holds_the_images_whose_class_can_be_learned():
    (task,) = tasks_of(embedded(ROWS))
    assert (task.name, task.modality, task.kind, task.classes) == ("lung", "ct", "multiclass", ("a", "b"))
    assert task.groups.tolist() == ["p1", "p2", "p4"]
    assert task.targets.tolist() == [[1, 0], [0, 1], [0, 1]]
    assert task.vectors.argmax(axis=1).tolist() == [0, 1, 3]
    assert task.columns["sex"].tolist() == ["F", "M", "F"]
    assert task.split("test").case_ids.tolist() == task.case_ids[2:].tolist()


def test_of_several_labels_images_without_any_stay():
    rows = [*ROWS[:2], ("ct", [], "train", "p6", "F"), ROWS[3], ROWS[4]]
    (task,) = tasks_of(embedded(rows, task_kind="multilabel"))
    assert task.targets.tolist() == [[1, 0], [0, 1], [0, 0], [0, 1], [0, 0]]


def test_images_and_classes_that_are_left_out_are_counted_in_the_log(caplog):
    tasks_of(embedded(ROWS))
    assert caplog.messages == ["task 'lung': no training image shows c: 1 of 4 images are left out."]
    caplog.clear()
    tasks_of(embedded(ROWS, task_kind="multilabel"))
    assert caplog.messages == ["task 'lung': no training image shows c: 0 of 4 images are left out."]
    caplog.clear()
    tasks_of(embedded(ROWS[:4]))
    assert not caplog.messages


def test_a_label_set_that_is_left_out_is_named_with_the_reason(caplog):
    rows = [*ROWS[:4], ("ct", ["x"], "train", "p6", "F"), ("ct", ["y"], "test", "p7", "F")]
    (task,) = tasks_of(embedded(rows, task=["lung"] * 4 + ["other"] * 2))
    assert task.name == "lung"
    (message,) = caplog.messages
    assert message.startswith(
        "task 'other' is left out: the train split shows only one class (x); tables that"
    )


def test_a_set_without_any_split_is_divided_by_its_groups(caplog):
    rows = [("ct", ["ab"[number % 2]], "", f"p{number // 4}", "F") for number in range(240)]
    images = embedded([*rows, *ROWS[:4]], task=["own"] * 240 + ["lung"] * 4)
    lung, own = tasks_of(images)
    assert lung.splits.tolist() == ["train", "train", "test"]
    expected = split_by_group(images.manifest.select(np.arange(240)), fractions=(0.7, 0.1, 0.2))
    assert own.splits.tolist() == expected.frame["split"].tolist()
    assert set(own.splits) == {"train", "val", "test"}
    assert pd.Series(own.splits).groupby(own.groups).nunique().max() == 1
    counts = ", ".join(f"{name} {(own.splits == name).sum()}" for name in ("train", "val", "test"))
    assert caplog.messages == [f"task 'own' has no splits; its groups were divided into {counts} images."]


def test_a_set_of_test_images_alone_can_be_cross_validated(caplog):
    rows = [("ct", ["abc"[number % 3]], "test", f"p{number}", "F") for number in range(12)]
    (task,) = tasks_of(embedded(rows))
    assert task.classes == ("a", "b", "c")
    assert "can only be cross-validated" in caplog.text
    assert cross_validation(task, encoder="tiny").probabilities.shape == (12, 3)


def test_a_group_in_two_splits_is_warned_of(caplog):
    (task,) = tasks_of(embedded([*ROWS[:4], ("ct", ["a"], "test", "p2", "M")]))
    assert task.splits.tolist() == ["train", "train", "test", "test"]
    assert caplog.messages == [
        "task 'lung': 1 groups (p2) lie in several splits; all images of a patient belong in one split."
    ]


def test_label_sets_that_cannot_be_learned_are_an_error():
    with pytest.raises(ManifestError, match="two classes"):
        tasks_of(embedded([ROWS[0], ROWS[3]]))
    with pytest.raises(ManifestError, match="mixes the modalities ct, oct"):
        tasks_of(embedded([*ROWS, ("oct", ["a"], "train", "p7", "F")], task="lung"))


def test_a_long_table_gives_the_predictions_back():
    (task,) = tasks_of(embedded(ROWS))
    predicted = predictions_on(
        task.rows(np.array([2, 0])), np.array([[0.25, 0.75], [1, 0]]), encoder="e", protocol="knn"
    )
    table = to_long(predicted)
    assert table["case_id"].tolist() == np.repeat(predicted.case_ids, 2).tolist()
    assert table["label"].tolist() == ["a", "b", "a", "b"]
    again = from_long(table, task)
    assert (again.encoder, again.protocol, again.task) == ("e", "knn", "lung")
    for name in ("case_ids", "groups", "targets", "probabilities"):
        np.testing.assert_array_equal(getattr(again, name), getattr(predicted, name))
    assert again.columns["sex"].tolist() == ["F", "F"]
