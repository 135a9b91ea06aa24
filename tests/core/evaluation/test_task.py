"""Tasks hold the labelled images of one label set, in the order of the manifest."""

import numpy as np
import pandas as pd
import pytest

from mermed_core.data.manifest import Manifest
from mermed_core.embed import Embeddings
from mermed_core.errors import ManifestError
from mermed_core.evaluation.predictions import from_long, predictions_on, to_long
from mermed_core.evaluation.task import tasks_of

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


def test_label_sets_that_cannot_be_learned_are_an_error():
    with pytest.raises(ManifestError, match="two classes"):
        tasks_of(embedded([ROWS[0], ROWS[3]]))
    with pytest.raises(ManifestError, match="mixes the modalities ct, oct"):
        tasks_of(embedded([*ROWS, ("oct", ["a"], "train", "p7", "F")], task="lung"))


def test_a_long_table_gives_the_predictions_back():
    (task,) = tasks_of(embedded(ROWS))
    said = predictions_on(
        task.rows(np.array([2, 0])), np.array([[0.25, 0.75], [1, 0]]), encoder="e", protocol="knn"
    )
    table = to_long(said)
    assert table["case_id"].tolist() == np.repeat(said.case_ids, 2).tolist()
    assert table["label"].tolist() == ["a", "b", "a", "b"]
    again = from_long(table, task)
    assert (again.encoder, again.protocol, again.task) == ("e", "knn", "lung")
    for name in ("case_ids", "groups", "targets", "probabilities"):
        np.testing.assert_array_equal(getattr(again, name), getattr(said, name))
    assert again.columns["sex"].tolist() == ["F", "F"]
