"""Robustness against corrupting, embedding and scoring by hand, image by image."""

import io
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from mermed_core.embed import embed_manifest
from mermed_core.errors import EvaluationError
from mermed_core.evaluation.corruptions import corrupt, proper_to
from mermed_core.evaluation.robustness import robustness
from mermed_core.evaluation.task import tasks_of
from mermed_core.fitting import fit_head


@pytest.fixture(scope="module")
def ct(embedder, phantoms):
    return next(task for task in tasks_of(embed_manifest(embedder, phantoms)) if task.modality == "ct")


@pytest.fixture(scope="module")
def head(ct):
    return fit_head(ct.label_set, "ct", ct.split("train").labelled(), ct.split("val").labelled())


@pytest.fixture(scope="module")
def figures(embedder, phantoms, ct, head):
    return robustness(embedder, phantoms, ct, head, encoder="tiny", severities=(2, 5), seed=4)


def test_clean_every_corruption_and_their_mean_are_given(figures, ct):
    by_setting = {figure.setting: figure.value for figure in figures}
    graded = [f"{name}={severity}" for name in proper_to("ct") for severity in (2, 5)]
    assert list(by_setting) == ["clean", *graded, "mean"]
    assert by_setting["mean"] == pytest.approx(np.mean([by_setting[setting] for setting in graded]))
    for figure in figures:
        assert (figure.encoder, figure.task, figure.protocol) == ("tiny", "phantom_ct", "robustness")
        assert figure.images == figure.groups == len(ct.split("test"))
        assert np.isnan(figure.low)


def test_a_figure_is_what_corrupting_and_embedding_by_hand_gives(figures, embedder, phantoms, ct, head):
    test = ct.split("test")
    case_ids = phantoms.frame["case_id"].tolist()
    scores, clean = [], []
    for case_id in test.case_ids:
        encoded = phantoms.image_source(case_ids.index(case_id))
        pixels = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
        changed = corrupt(pixels, "blur", 5, (4, zlib.crc32(case_id.encode())))
        scores.append(head.probabilities(embedder.embed(changed, "ct")[None])[0, 1])
        clean.append(head.probabilities(embedder.embed(pixels, "ct")[None])[0, 1])
    by_setting = {figure.setting: figure.value for figure in figures}
    assert by_setting["blur=5"] == pytest.approx(roc_auc_score(test.targets[:, 1], scores))
    assert by_setting["clean"] == pytest.approx(roc_auc_score(test.targets[:, 1], clean))
    assert not np.allclose(scores, clean, atol=1e-3)


def test_neither_workers_nor_the_order_of_the_manifest_change_anything(figures, embedder, phantoms, ct, head):
    backwards = phantoms.select(np.arange(len(phantoms))[::-1])
    again = robustness(embedder, backwards, ct, head, encoder="tiny", severities=(5,), seed=4, workers=1)
    by_setting = {figure.setting: figure.value for figure in figures}
    assert len(again) == 2 + len(proper_to("ct"))
    for figure in again[:-1]:
        assert figure.value == pytest.approx(by_setting[figure.setting], abs=1e-6)


def test_a_limit_draws_some_of_the_test_images(embedder, phantoms, ct, head):
    figures = robustness(embedder, phantoms, ct, head, encoder="tiny", severities=(1,), limit=2)
    assert {figure.images for figure in figures} == {2}


def test_what_cannot_be_measured_is_a_sentence(embedder, phantoms, ct, head):
    with pytest.raises(EvaluationError, match="test split"):
        robustness(embedder, phantoms, ct.split("train"), head, encoder="tiny")
    with pytest.raises(EvaluationError, match="not in the manifest"):
        robustness(embedder, phantoms.split("train"), ct, head, encoder="tiny")
    with pytest.raises(EvaluationError, match="classes"):
        robustness(embedder, phantoms, ct, replace(head, classes=("a", "b")), encoder="tiny")
    frame = phantoms.frame.copy()
    frame["image"] = [b"broken"] * 3 + frame["image"].tolist()[3:]
    frame["split"] = "test"
    broken = type(phantoms)(frame)
    part = replace(ct, splits=np.full(len(ct), "test"))
    with pytest.raises(EvaluationError, match="read"):
        robustness(embedder, broken, part, head, encoder="tiny", severities=(1,), limit=None)
