"""Charts from predictions: equal to scikit-learn's and to counts by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, roc_auc_score, roc_curve

from mermed_core.reports.charts import encoder_styles
from mermed_core.reports.prediction_charts import (
    calibration_bins,
    calibration_chart,
    confusion_chart,
    roc_chart,
    roc_points,
)
from mermed_core.metrics.head_metrics import expected_calibration_error

STYLES = encoder_styles(["random", "better"])


def long(targets: np.ndarray, probabilities: np.ndarray, kind: str) -> pd.DataFrame:
    """Returns predictions of classes "c", "b", "a" …, image by image."""
    images, classes = targets.shape
    return pd.DataFrame(
        {
            "encoder": "better",
            "protocol": "linear_probe",
            "task": "x",
            "modality": "ct",
            "kind": kind,
            "case_id": np.repeat([str(row) for row in range(images)], classes),
            "label": list("cba"[:classes]) * images,
            "target": targets.ravel(),
            "probability": probabilities.ravel(),
        }
    )


def multiclass(images: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    targets = np.eye(classes, dtype=int)[np.arange(images) % classes]
    return targets, random.dirichlet(np.ones(classes), images) * 0.8 + 0.2 * targets


def test_the_curve_of_two_classes_is_that_of_the_second():
    targets, probabilities = multiclass(50, 2, seed=0)
    figure: Any = roc_chart(long(targets, probabilities, "multiclass"), STYLES)
    false, true, _ = roc_curve(targets[:, 1], probabilities[:, 1])
    (curve,) = figure.data
    np.testing.assert_allclose(curve.x, false)
    np.testing.assert_allclose(curve.y, true)
    assert curve.name == f"AUROC {roc_auc_score(targets[:, 1], probabilities[:, 1]):.3f} · better"
    assert curve.line.color == STYLES["better"]["color"]


@pytest.mark.parametrize("kind", ["multiclass", "multilabel"])
def test_other_curves_are_the_mean_over_classes(kind):
    random = np.random.default_rng(1)
    if kind == "multiclass":
        targets, probabilities = multiclass(90, 3, seed=1)
    else:
        targets, probabilities = random.integers(0, 2, (90, 2)), random.random((90, 2))
    figure: Any = roc_chart(long(targets, probabilities, kind), STYLES)
    (curve,) = figure.data
    expected = roc_auc_score(targets, probabilities, average="macro")
    assert curve.name == f"AUROC {expected:.3f} · better"
    assert auc(curve.x, curve.y) == pytest.approx(expected, abs=0.005)
    for position in (40, 100):  # steps are upright: the rate reached at a false positive rate
        reached = [
            max(
                (probabilities[targets[:, column] == 1, column] >= limit).mean()
                for limit in probabilities[:, column]
                if (probabilities[targets[:, column] == 0, column] >= limit).mean() <= curve.x[position]
            )
            for column in range(targets.shape[1])
        ]
        assert curve.y[position] == pytest.approx(np.mean(reached), abs=0.02)


def test_long_curves_are_thinned_and_keep_their_ends():
    random = np.random.default_rng(2)
    targets = random.integers(0, 2, (5000, 1))
    probabilities = random.random((5000, 1))
    false, true = roc_points(targets, probabilities)
    assert len(false) == 200
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    whole = {*zip(*roc_curve(targets[:, 0], probabilities[:, 0])[:2], strict=True)}
    assert {*zip(false, true, strict=True)} <= whole


def test_classes_without_both_outcomes_have_no_curve():
    targets = np.array([[1, 0], [1, 0]])
    assert [len(rates) for rates in roc_points(targets, np.full((2, 2), 0.5))] == [0, 0]
    half = np.array([[1, 1, 0], [0, 1, 0]])
    false, true = roc_points(half, np.array([[0.9, 0.5, 0.1], [0.2, 0.5, 0.1]]))
    assert list(zip(false, true, strict=True)) == [(0, 0), (0, 1), (1, 1)]


def test_calibration_bins_equal_a_count_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.88, 0.12], [0.45, 0.55], [0.0, 1.0], [0.4, 0.6]])
    targets = np.eye(2, dtype=int)[[0, 1, 1, 1, 0]]
    # 0.9 and 0.88 in bin 13, 0.55 in bin 8, 0.6 in bin 9, 1.0 in the last, 14
    bins = calibration_bins(targets, probabilities, multilabel=False)
    assert bins.index.tolist() == [8, 9, 13, 14]
    assert bins["confidence"].tolist() == pytest.approx([0.55, 0.6, 0.89, 1.0])
    assert bins["accuracy"].tolist() == [1, 0, 0.5, 1]
    assert bins["images"].tolist() == [1, 1, 2, 1]
    figure: Any = calibration_chart(long(targets, probabilities, "multiclass"), STYLES)
    assert figure.data[0].name == f"ECE {(0.45 + 0.6 + 2 * 0.39 + 0) / 5:.3f} · better"
    assert list(figure.data[0].y) == [1, 0, 0.5, 1]


@given(images=st.integers(1, 60), classes=st.integers(2, 3), seed=st.integers(0, 9), several=st.booleans())
@settings(deadline=None, max_examples=30)
def test_bins_hold_every_image_and_give_the_calibration_error(images, classes, seed, several):
    targets, probabilities = multiclass(images, classes, seed)
    if several:
        targets[0] = 1
    bins = calibration_bins(targets, probabilities, multilabel=several)
    assert bins["images"].sum() == (targets.size if several else images)
    assert bins["confidence"].between(bins.index / 15, (bins.index + 1) / 15).all()
    error = ((bins["confidence"] - bins["accuracy"]).abs() * bins["images"]).sum() / bins["images"].sum()
    assert error == pytest.approx(expected_calibration_error(targets, probabilities))


def test_the_confusion_matrix_counts_shown_by_named():
    targets = np.eye(3, dtype=int)[[0, 0, 0, 1]]
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]])
    figure: Any = confusion_chart(long(targets, probabilities, "multiclass"), "#009E73")
    (cells,) = figure.data
    assert list(cells.x) == list(cells.y) == ["c", "b", "a"]
    assert [list(row) for row in cells.text] == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]
    np.testing.assert_allclose(cells.z, [[1 / 3, 2 / 3, 0], [0, 1, 0], [0, 0, 0]])
    assert cells.colorscale[-1] == (1, "#009E73")
