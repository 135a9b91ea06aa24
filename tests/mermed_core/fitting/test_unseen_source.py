"""The measure of unseen sources: shares counted by hand, AUROC across sources as scikit-learn gives it."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from mermed_core.data.manifest import LabelSet
from mermed_core.fitting.detector_fit import Answers
from mermed_core.fitting.linear_heads import Labelled
from mermed_core.fitting.unseen_source import findings_elsewhere, unseen_source_metrics
from mermed_core.models.model_metrics import Estimate, FindingMetrics

CLASSES = ("ct", "oct")


def answers(probabilities: list[float], modality: str, groups: list[str]) -> Answers:
    """Returns answers by the probability of CT."""
    share = np.array(probabilities)
    logits = np.log(np.column_stack([share, 1 - share]))
    return Answers(np.zeros((len(share), 6)), logits, np.full(len(share), modality), np.array(groups))


def fitted(**changes: object) -> Any:
    patients = [f"patient {number}" for number in range(8)]
    parts = {
        "modality_head": SimpleNamespace(classes=CLASSES),
        "sources": {
            "a": answers([0.99, 0.95, 0.6, 0.6, 0.4, 0.08, 0.05, 0.02], "ct", patients),
            "b": answers([0.1, 0.95], "oct", patients[:2]),
        },
        "kinds": {"pets": answers([0.5] * 4, "", list("abcd")), "food": answers([0.5] * 2, "", list("ab"))},
        "scores": {
            "a": np.arange(8.0),
            "b": np.array([5.0, -5]),
            "pets": np.array([-1.0, -1, -1, 2]),
            "food": np.array([0.0, 0]),
        },
        "thresholds": {"a": 2.0, "b": -5.0, "pets": 0.0, "food": 0.0},
    }
    return SimpleNamespace(**(parts | changes))


def test_shares_are_those_counted_by_hand():
    metrics = unseen_source_metrics(fitted(), {})
    a, b = metrics.sources["a"], metrics.sources["b"]
    assert (a.modality, a.images, b.modality, b.images) == ("ct", 8, "oct", 2)
    assert (a.modality_right.value, b.modality_right.value) == (4 / 8, 1 / 2)
    assert (a.passed.value, b.passed.value) == (6 / 8, 1.0)  # at the limit an image passes
    assert (a.confident_wrong.value, b.confident_wrong.value) == (3 / 8, 1 / 2)
    assert metrics.kinds["pets"].value == 3 / 4
    assert (metrics.kinds["pets"].images, metrics.kinds["food"].value) == (4, 0)


def test_means_let_every_source_and_kind_count_alike():
    metrics = unseen_source_metrics(fitted(), {})
    assert metrics.modality_right.value == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert metrics.passed.value == pytest.approx((6 / 8 + 1) / 2)
    assert metrics.confident_wrong.value == pytest.approx((3 / 8 + 1 / 2) / 2)
    assert metrics.unknown_turned_away.value == pytest.approx(3 / 8)


def test_intervals_come_from_groups_and_need_five():
    metrics = unseen_source_metrics(fitted(), {})
    wide = metrics.sources["a"].passed
    assert wide.low is not None
    assert wide.high is not None
    assert wide.low < 6 / 8 < wide.high
    assert (metrics.sources["b"].passed.low, metrics.passed.low) == (None, None)
    sources = {f"s{number}": answers([0.9] * 3, "ct", list("abc")) for number in range(6)}
    scores = {name: np.full(3, float(number)) for number, name in enumerate(sources)}
    many = fitted(sources=sources, kinds={}, scores=scores, thresholds=dict.fromkeys(sources, 2.5))
    passed = unseen_source_metrics(many, {}).passed
    assert passed.value == 1 / 2
    assert passed.low is not None
    assert passed.high is not None
    assert 0 <= passed.low < 1 / 2 < passed.high <= 1


def test_nothing_left_out_gives_nothing():
    nothing = unseen_source_metrics(fitted(sources={}, kinds={}), {})
    assert nothing.passed == Estimate()
    assert nothing.unknown_turned_away == Estimate()


def test_only_label_sets_with_a_finding_are_told():
    finding = {"dme": FindingMetrics(auroc=Estimate(value=0.8), sources=("a",))}
    metrics = unseen_source_metrics(fitted(), {"macula": finding, "lung": {}})
    assert metrics.findings == {"macula": finding}


LABELS = LabelSet("macula", "multiclass", ("cnv", "dme", "normal"))


def labelled() -> tuple[Labelled, np.ndarray]:
    """Three sources: `a` has all classes, `b` no cnv, `c` normal alone."""
    random = np.random.default_rng(0)
    shown = {"a": [0, 1, 2] * 20, "b": [1, 2] * 25, "c": [2] * 30}
    classes = np.concatenate(list(shown.values()))
    sources = np.repeat(list(shown), [len(each) for each in shown.values()])
    vectors = 0.5 * np.eye(10)[classes] + random.normal(0, 0.4, (len(classes), 10))
    vectors[sources == "b", 5] += 1
    groups = np.array([f"{source} {row // 2}" for row, source in enumerate(sources)])
    return Labelled(vectors.astype(np.float32), np.eye(3)[classes], groups), sources


def probabilities(data: Labelled, rows: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the classes and probabilities of a regression fitted on some rows."""
    mean, std = data.vectors[rows].mean(0), data.vectors[rows].std(0)
    model = LogisticRegression(C=0.3 / 10, max_iter=500, tol=1e-3)
    model.fit((data.vectors[rows] - mean) / std, data.targets[rows].argmax(1))
    return model.classes_, model.predict_proba((data.vectors[asked] - mean) / std)


def test_findings_are_measured_on_the_source_left_out():
    data, sources = labelled()
    found = findings_elsewhere(LABELS, data, sources)
    # Nobody but `a` has cnv, and `c` shows nothing beside normal.
    assert set(found) == {"dme", "normal"}
    assert found["dme"].sources == found["normal"].sources == ("a", "b")
    for column, name in ((1, "dme"), (2, "normal")):
        expected = []
        for left_out in ("a", "b"):
            asked = sources == left_out
            classes, shares = probabilities(data, np.flatnonzero(~asked), asked)
            position = classes.tolist().index(column)
            expected.append(roc_auc_score(data.targets[asked, column], shares[:, position]))
        auroc = found[name].auroc
        assert auroc.value is not None
        assert auroc.value == pytest.approx(np.mean(expected), abs=0.005)
        assert auroc.low is not None
        assert auroc.high is not None
        assert auroc.low < auroc.value < auroc.high


def test_copies_are_fitted_on_and_not_asked_about():
    data, sources = labelled()
    half = np.random.default_rng(3).random(len(data)) < 0.6
    found = findings_elsewhere(LABELS, data, sources, original=half)
    expected = []
    for left_out in ("a", "b"):
        asked = (sources == left_out) & half
        classes, shares = probabilities(data, np.flatnonzero(sources != left_out), asked)
        expected.append(roc_auc_score(data.targets[asked, 1], shares[:, classes.tolist().index(1)]))
    assert found["dme"].auroc.value == pytest.approx(np.mean(expected), abs=0.005)
    assert found["dme"].auroc.value != findings_elsewhere(LABELS, data, sources)["dme"].auroc.value


def test_labels_that_mean_the_opposite_elsewhere_are_told():
    data, sources = labelled()
    targets = data.targets.copy()
    swapped = sources == "b"
    targets[swapped] = targets[swapped][:, [0, 2, 1]]
    auroc = findings_elsewhere(LABELS, Labelled(data.vectors, targets, data.groups), sources)["dme"].auroc
    assert auroc.value is not None
    assert auroc.value < 0.4


def test_a_single_source_has_no_elsewhere():
    data, sources = labelled()
    rows = np.flatnonzero(sources == "a")
    assert findings_elsewhere(LABELS, data.rows(rows), sources[rows]) == {}


def test_classes_of_one_source_each_have_no_elsewhere():
    data, sources = labelled()
    rows = np.flatnonzero(((sources == "a") & (data.targets[:, 0] == 1)) | (sources == "c"))
    assert findings_elsewhere(LABELS, data.rows(rows), sources[rows]) == {}


def test_few_groups_give_a_value_without_an_interval():
    data, sources = labelled()
    few = np.where(sources == "a", [f"a {row % 3}" for row in range(len(sources))], data.groups)
    found = findings_elsewhere(LABELS, Labelled(data.vectors, data.targets, few), sources)
    assert found["dme"].auroc.value is not None
    assert (found["dme"].auroc.low, found["dme"].auroc.high) == (None, None)


def test_it_is_the_same_each_time():
    data, sources = labelled()
    assert findings_elsewhere(LABELS, data, sources) == findings_elsewhere(LABELS, data, sources)
