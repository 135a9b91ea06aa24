"""Robustness against corrupting, embedding and scoring by hand, image by image."""

import io
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.corruptions import corrupt, proper_to
from mermed_core.evaluation.measurement import measure
from mermed_core.evaluation.protocols.linear_probe import linear_probe, predict
from mermed_core.evaluation.protocols.robustness import ALL, robustness
from mermed_core.evaluation.task import tasks_of
from mermed_core.fitting.linear_heads import fit_head
from mermed_core.metrics.bootstrap import resampled_counts
from mermed_core.metrics.catalogue import AUROC
from mermed_core.models.embedder import embed_manifest

pytestmark = pytest.mark.usefixtures("few_penalties")


@pytest.fixture(scope="module")
def ct(embedder, phantoms):
    scans = phantoms.select(phantoms.frame["modality"] == "ct")
    (task,) = tasks_of(embed_manifest(embedder, scans))
    # Ten to learn from and ten to test: five groups at least, so that there are intervals.
    return replace(task, splits=np.where(np.arange(len(task)) < 10, "train", "test"))


@pytest.fixture(scope="module")
def head(ct):
    return fit_head(ct.label_set, "ct", ct.split("train").labelled(), ct.split("val").labelled())


@pytest.fixture(scope="module")
def results(embedder, phantoms, ct, head):
    return robustness(embedder, phantoms, ct, head, encoder="tiny", severities=(2, 5), resamples=40, seed=4)


def values_of(results):
    return {(result.corruption, result.severity): result.value for result in results}


def test_clean_every_corruption_and_their_mean_are_given(results, ct):
    values = values_of(results)
    graded = [(name, severity) for name in proper_to("ct") for severity in (2, 5)]
    assert list(values) == [("", 0), *graded, (ALL, 0)]
    assert values[ALL, 0] == pytest.approx(np.mean([values[each] for each in graded]))
    for result in results:
        assert (result.encoder, result.task, result.protocol) == ("tiny", "phantom_ct", "robustness")
        assert result.images == result.groups == len(ct.split("test"))
        assert 0 <= result.low <= result.high <= 1


def test_clean_is_the_linear_probe_of_the_same_head_with_its_interval(results, ct):
    (expected,) = (
        result
        for result in measure(linear_probe(ct, encoder="tiny"), resamples=40, seed=4)
        if (result.metric, result.label) == (AUROC, "")
    )
    assert (results[0].value, results[0].low, results[0].high) == (
        expected.value,
        expected.low,
        expected.high,
    )


def test_a_head_that_is_sure_of_everything_makes_no_ties(embedder, phantoms, ct, head):
    test = ct.split("test")
    logits = head.logits(test.vectors)
    margins = logits[:, 1] - logits[:, 0]
    scale = 10 / np.ptp(margins)
    # Every image is the second class by 20 to 30: 1 in single precision.
    shift = np.array([0, 20 - scale * margins.min()], np.float32)
    sure = replace(head, weight=scale * head.weight, bias=scale * head.bias + head.temperature * shift)
    clean = robustness(embedder, phantoms, ct, sure, encoder="tiny", severities=(1,), resamples=1)[0]
    exact = predict(sure, test, encoder="", protocol="").probabilities[:, 1]
    rounded = sure.probabilities(test.vectors)[:, 1]
    assert len(np.unique(rounded)) == 1
    assert len(np.unique(exact)) == len(test)
    assert clean.value == pytest.approx(roc_auc_score(test.targets[:, 1], exact))


def test_the_mean_is_of_the_same_draws_as_the_corruptions(embedder, phantoms, ct, head):
    options = {"encoder": "tiny", "severities": (5,), "resamples": 30, "seed": 1}
    mean = robustness(embedder, phantoms, ct, head, **options)[-1]
    test = ct.split("test")
    case_ids = phantoms.frame["case_id"].tolist()
    means = []
    scores = {}
    for name in proper_to("ct"):
        vectors = []
        for case_id in test.case_ids:
            pixels = phantoms.read_image(case_ids.index(case_id)).pixels
            seed = (1, zlib.crc32(case_id.encode()))
            vectors.append(embedder.embed(corrupt(pixels, name, 5, seed), "ct"))
        scores[name] = head.probabilities(np.array(vectors, np.float64))[:, 1]
    for weight in np.concatenate(list(resampled_counts(test.groups, 30, 1))):
        rows = np.repeat(np.arange(len(test)), weight)
        shown = test.targets[rows, 1]
        if 0 < shown.sum() < len(shown):
            means.append(np.mean([roc_auc_score(shown, each[rows]) for each in scores.values()]))
    assert (mean.low, mean.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))


def test_a_figure_is_what_corrupting_and_embedding_by_hand_gives(results, embedder, phantoms, ct, head):
    test = ct.split("test")
    case_ids = phantoms.frame["case_id"].tolist()
    scores, clean = [], []
    for case_id in test.case_ids:
        encoded = phantoms.image_source(case_ids.index(case_id))
        pixels = np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))
        changed = corrupt(pixels, "blur", 5, (4, zlib.crc32(case_id.encode())))
        scores.append(head.probabilities(embedder.embed(changed, "ct")[None])[0, 1])
        clean.append(head.probabilities(embedder.embed(pixels, "ct")[None])[0, 1])
    values = values_of(results)
    assert values["blur", 5] == pytest.approx(roc_auc_score(test.targets[:, 1], scores))
    assert values["", 0] == pytest.approx(roc_auc_score(test.targets[:, 1], clean))
    assert not np.allclose(scores, clean, atol=1e-3)


def test_neither_workers_nor_the_order_of_the_manifest_change_anything(results, embedder, phantoms, ct, head):
    backwards = phantoms.select(np.arange(len(phantoms))[::-1])
    options = {"encoder": "tiny", "severities": (5,), "resamples": 40, "seed": 4}
    again = robustness(embedder, backwards, ct, head, workers=1, **options)
    values = values_of(results)
    assert len(again) == 2 + len(proper_to("ct"))
    for each, value in list(values_of(again).items())[:-1]:
        assert value == pytest.approx(values[each], abs=1e-6)


def test_a_limit_draws_some_of_the_test_images(embedder, phantoms, ct, head):
    results = robustness(embedder, phantoms, ct, head, encoder="tiny", severities=(1,), limit=2)
    assert {result.images for result in results} == {2}
    assert np.isnan([(result.low, result.high) for result in results]).all()


def test_what_cannot_be_measured_is_a_sentence(embedder, phantoms, ct, head):
    with pytest.raises(EvaluationError, match="test split"):
        robustness(embedder, phantoms, ct.split("train"), head, encoder="tiny")
    with pytest.raises(EvaluationError, match="not in the manifest"):
        robustness(embedder, phantoms.split("train"), ct, head, encoder="tiny")
    for severities in ((), (0, 1)):
        with pytest.raises(EvaluationError, match="severities must be one or more of"):
            robustness(embedder, phantoms, ct, head, encoder="tiny", severities=severities)
    with pytest.raises(EvaluationError, match="classes"):
        robustness(embedder, phantoms, ct, replace(head, classes=("a", "b")), encoder="tiny")
    frame = phantoms.frame.copy()
    frame["image"] = [b"broken"] * 3 + frame["image"].tolist()[3:]
    frame["split"] = "test"
    broken = type(phantoms)(frame)
    part = replace(ct, splits=np.full(len(ct), "test"))
    with pytest.raises(EvaluationError, match="read"):
        robustness(embedder, broken, part, head, encoder="tiny", severities=(1,), limit=None)
