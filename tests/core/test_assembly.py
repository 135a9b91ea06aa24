import numpy as np
import pandas as pd
import pytest

from mermed_core.assembly import assemble
from mermed_core.data.manifest import Manifest
from mermed_core.embed import embed_manifest
from mermed_core.errors import ManifestError
from mermed_core.heads import MODALITY_TASK
from mermed_core.metrics import auroc
from mermed_core.modalities import MODALITY_KEYS


def test_there_is_a_head_for_every_label_set_and_one_for_the_modality(assembly, phantoms):
    assert {head.task for head in assembly.heads.findings} == {f"phantom_{key}" for key in MODALITY_KEYS}
    assert assembly.heads.get(MODALITY_TASK).classes == tuple(sorted(MODALITY_KEYS))
    assert {item.task for item in phantoms.label_sets()} == {head.task for head in assembly.heads.findings}


def test_the_figures_are_those_of_the_test_split(assembly, embedder, phantoms):
    test = embed_manifest(embedder, phantoms.split("test"))
    frame = test.manifest.frame
    head = assembly.heads.get("phantom_fundus")
    rows = np.flatnonzero((frame["task"] == "phantom_fundus").to_numpy())
    targets = np.array([[float(name in frame["labels"].iloc[row]) for name in head.classes] for row in rows])
    figure = assembly.metrics["phantom_fundus"]
    assert figure["auroc"] == pytest.approx(auroc(targets, head.probabilities(test.vectors[rows])))
    assert (figure["n_test"], figure["modality"]) == (len(rows), "fundus")
    best = assembly.heads.get(MODALITY_TASK).probabilities(test.vectors).argmax(1)
    names = np.array(assembly.heads.get(MODALITY_TASK).classes)[best]
    assert assembly.metrics["modality_accuracy"] == pytest.approx(
        (names == frame["modality"].to_numpy()).mean()
    )
    accepted = assembly.gate.scores(test.vectors) <= assembly.gate.threshold
    assert assembly.metrics["known_accepted"] == pytest.approx(accepted.mean())


def test_a_handful_of_patients_gives_no_interval(assembly):
    for figure in assembly.metrics.values():
        if isinstance(figure, dict):
            assert (figure["auroc_low"] is None) == (figure["n_groups"] < 5)


def test_a_modality_with_two_label_sets_gets_a_head_that_tells_them_apart(embedder, phantoms):
    frame = phantoms.frame[phantoms.frame["modality"].isin(["ct", "oct"])].copy()
    second = frame[frame["modality"] == "oct"].copy()
    second[["modality", "task", "source"]] = ["ct", "second", "second"]
    second["case_id"] = "second/" + second["case_id"]
    assembly = assemble(embedder, Manifest.from_frame(pd.concat([frame, second])))
    sorter = assembly.heads.get("label_set:ct")
    assert sorter.classes == ("phantom_ct", "second")
    vectors = embed_manifest(embedder, Manifest.from_frame(second)).vectors
    assert (sorter.probabilities(vectors).argmax(1) == 1).mean() > 0.9


def test_without_training_images_there_is_a_sentence(embedder, phantoms):
    with pytest.raises(ManifestError, match="train split"):
        assemble(embedder, phantoms.split("test"))
