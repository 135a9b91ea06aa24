"""The charts of a report: the values of the tables, equal to scikit-learn's and to counts by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import auc, roc_auc_score, roc_curve

from mermed_core.evaluation.report_charts import (
    calibration_chart,
    confusion_chart,
    forest_chart,
    robustness_chart,
    roc_chart,
    roc_points,
    subset_chart,
)
from mermed_core.evaluation.results import Result, to_frame
from mermed_core.metrics.calibration import calibration_bins
from mermed_core.metrics.catalogue import AUROC
from mermed_core.reports.charts import line_styles

STYLES = line_styles(["random", "better"])


@pytest.fixture
def styles():
    return line_styles(["random", "better"])


def named(figure: Any) -> dict[str, list[Any]]:
    """Returns the traces with a name by it, in their order."""
    found: dict[str, list[Any]] = {}
    for trace in figure.data:
        if trace.name:
            found.setdefault(trace.name, []).append(trace)
    return found


def test_the_forest_holds_values_and_intervals(evaluation, styles):
    figure: Any = forest_chart(evaluation.results, styles)
    assert list(figure.layout.yaxis.ticktext) == ["head_ct", "busi"]
    (better,) = named(figure)["better"]
    assert list(better.x) == pytest.approx([0.74, 0.76])
    assert list(better.error_x.array) == pytest.approx([0.04, 0.04])
    assert list(better.error_x.arrayminus) == pytest.approx([0.05, 0.05])
    assert better.text == ("0.740 (0.690–0.780)", "0.760 (0.710–0.800)")
    assert better.marker.color == styles["better"]["color"]
    rows = {round(value) for trace in figure.data for value in trace.y}
    assert rows == {0, 1}


def test_few_shot_is_drawn_over_a_log_axis_with_a_band(evaluation, styles):
    task = evaluation.results[evaluation.results["task"] == "head_ct"].sample(frac=1, random_state=0)
    figure: Any = subset_chart(task, "few_shot", styles)
    (line,) = named(figure)["random"]
    assert list(line.x) == [1, 4, 16]
    assert list(line.y) == pytest.approx([0.5, 0.65, 0.6875])
    band = figure.data[0]
    assert list(zip(band.x, band.y, strict=True)) == [
        (1, pytest.approx(0.52)),
        (4, pytest.approx(0.67)),
        (16, pytest.approx(0.7075)),
        (16, pytest.approx(0.6675)),
        (4, pytest.approx(0.63)),
        (1, pytest.approx(0.48)),
    ]
    assert band.fillcolor == "rgba(0, 114, 178, 0.15)"
    assert figure.layout.xaxis.type == "log"
    assert list(figure.layout.xaxis.ticktext) == ["1-shot", "4-shot", "16-shot"]


def test_all_labels_have_a_point_and_no_band(evaluation, styles):
    task = evaluation.results[evaluation.results["task"] == "head_ct"]
    figure: Any = subset_chart(task, "label_efficiency", styles)
    (line,) = named(figure)["random"]
    assert list(line.x) == [0.01, 0.1, 1.0]
    assert sorted(set(figure.data[0].x)) == [0.01, 0.1]


def test_robustness_has_a_panel_for_each_corruption_from_the_clean_image_on(evaluation, styles):
    task = evaluation.results[evaluation.results["task"] == "head_ct"]
    figure: Any = robustness_chart(task, styles)
    assert [panel.text for panel in figure.layout.annotations] == ["noise", "blur"]
    noise, blur = named(figure)["random"]
    assert (list(noise.x), list(blur.x)) == ([0, 1, 5], [0, 1, 5])
    assert list(noise.y) == pytest.approx([0.7, 0.69, 0.65])
    assert list(blur.y) == pytest.approx([0.7, 0.67, 0.61])
    assert (noise.xaxis, blur.xaxis) == ("x", "x2")
    assert [noise.showlegend, blur.showlegend] == [True, False]
    assert noise.line.color == blur.line.color == styles["random"]["color"]


def test_nothing_is_drawn_of_nothing(styles):
    nothing = to_frame([])
    assert forest_chart(nothing, styles) is None
    assert subset_chart(nothing, "few_shot", styles) is None
    assert robustness_chart(nothing, styles) is None


def test_names_are_no_markup_in_a_chart():
    results = to_frame([Result("<b>x</b>", "ct", "<i>t</i>", "linear_probe", AUROC, 0.5)])
    figure: Any = forest_chart(results, line_styles(["<b>x</b>"]))
    assert figure.data[0].name == "&lt;b&gt;x&lt;/b&gt;"
    assert figure.layout.yaxis.ticktext == ("&lt;i&gt;t&lt;/i&gt;",)


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


def test_the_confusion_matrix_counts_true_by_predicted():
    targets = np.eye(3, dtype=int)[[0, 0, 0, 1]]
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]])
    figure: Any = confusion_chart(long(targets, probabilities, "multiclass"), "#009E73")
    (cells,) = figure.data
    assert list(cells.x) == list(cells.y) == ["c", "b", "a"]
    assert [list(row) for row in cells.text] == [[1, 2, 0], [0, 1, 0], [0, 0, 0]]
    np.testing.assert_allclose(cells.z, [[1 / 3, 2 / 3, 0], [0, 1, 0], [0, 0, 0]])
    assert cells.colorscale[-1] == (1, "#009E73")
