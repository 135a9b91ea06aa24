"""Figures of predictions against scikit-learn and against a bootstrap written out draw by draw."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from mermed_core.data.sources.opener import open_manifest
from mermed_core.errors import EvaluationError
from mermed_core.evaluation.measurement import GAP, measure, measure_subgroups
from mermed_core.evaluation.predictions import Predictions, predictions_on
from mermed_core.evaluation.results import AUPRC, AUROC, BRIER, F1, KAPPA
from mermed_core.evaluation.task import tasks_of
from mermed_core.metrics import head_metrics as metrics
from mermed_core.metrics.bootstrap import draws
from mermed_core.metrics.scores import SCORES
from mermed_core.models.embedder import Embeddings

CLASSES = ("benign", "malignant", "normal")


def predictions(kind="multiclass", images=60, groups=20, seed=0, **columns):
    generator = np.random.default_rng(seed)
    if kind == "multilabel":
        targets = generator.integers(0, 2, (images, 3)).astype(float)
        probabilities = (generator.random((images, 3)) + 0.5 * targets) / 1.5
    else:
        targets = np.eye(3)[generator.permutation(np.arange(images) % 3)]
        probabilities = (generator.dirichlet([1, 1, 1], images) + 0.5 * targets) / 1.5
    return Predictions(
        "encoder",
        "knn",
        "busi",
        "us",
        kind,
        CLASSES,
        np.array([f"image {i}" for i in range(images)]),
        np.array([f"patient {i % groups}" for i in range(images)]),
        targets,
        probabilities,
        pd.DataFrame(columns),
    )


def only(figures, **fields):
    (found,) = [f for f in figures if all(getattr(f, name) == value for name, value in fields.items())]
    return found


@pytest.mark.parametrize("kind", ["multiclass", "ordinal", "multilabel"])
def test_every_metric_stands_once_over_all_classes_and_three_by_class(kind):
    figures = measure(predictions(kind), resamples=20)
    keys = [(figure.metric, figure.label) for figure in figures]
    by_class = [(metric, label) for metric in (AUROC, AUPRC, F1) for label in CLASSES]
    assert sorted(keys) == sorted([(metric, "") for metric in SCORES[kind]] + by_class)
    assert ((KAPPA, "") in keys) == (kind == "ordinal")
    for figure in figures:
        assert figure.low <= figure.high
        assert (figure.encoder, figure.protocol, figure.task, figure.modality) == (
            "encoder",
            "knn",
            "busi",
            "us",
        )
        assert (figure.images, figure.groups, figure.subgroup) == (60, 20, "")


def test_values_are_those_of_scikit_learn():
    shown = predictions()
    figures = measure(shown, resamples=5)
    assert only(figures, metric=AUROC, label="").value == pytest.approx(
        roc_auc_score(shown.targets, shown.probabilities)
    )
    for index, label in enumerate(CLASSES):
        column = shown.targets[:, index], shown.probabilities[:, index]
        assert only(figures, metric=AUROC, label=label).value == pytest.approx(roc_auc_score(*column))
        assert only(figures, metric=AUPRC, label=label).value == pytest.approx(
            average_precision_score(*column)
        )
    answers = shown.targets.argmax(1), shown.probabilities.argmax(1)
    each = [f1_score(*answers, labels=[index], average="macro") for index in range(3)]
    assert [only(figures, metric=F1, label=label).value for label in CLASSES] == pytest.approx(each)
    assert only(figures, metric=F1, label="").value == pytest.approx(np.mean(each))


def test_intervals_are_those_of_the_bootstrap_by_group():
    shown = predictions()
    figures = measure(shown, resamples=100, seed=3)
    data = shown.targets, shown.probabilities, shown.groups
    expected = metrics.bootstrap(metrics.auroc, *data, resamples=100, seed=3)
    figure = only(figures, metric=AUROC, label="")
    assert (figure.value, figure.low, figure.high) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )
    alone = shown.targets[:, 1:2], shown.probabilities[:, 1:2], shown.groups
    expected = metrics.bootstrap(metrics.auroc, *alone, resamples=100, seed=3)
    figure = only(figures, metric=AUROC, label="malignant")
    assert (figure.value, figure.low, figure.high) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )


def test_the_same_seed_gives_the_same_figures():
    shown = predictions(sex=["F", "M"] * 30)
    assert measure(shown, resamples=20) == measure(shown, resamples=20)
    assert measure(shown, resamples=20) != measure(shown, resamples=20, seed=1)
    assert measure_subgroups(shown, "sex", resamples=20) == measure_subgroups(shown, "sex", resamples=20)


def test_fewer_than_five_groups_have_values_without_interval():
    few, enough = (measure(predictions(groups=count), resamples=20) for count in (4, 5))
    assert all(np.isfinite(figure.value) for figure in few)
    assert np.isnan([(figure.low, figure.high) for figure in few]).all()
    assert np.isfinite([(figure.low, figure.high) for figure in enough]).all()


@pytest.mark.filterwarnings("error")
def test_one_outcome_alone_has_no_auroc_but_a_brier_score():
    shown = predictions()
    figures = measure(replace(shown, targets=np.eye(3)[np.zeros(60, int)]), resamples=20)
    assert np.isnan(only(figures, metric=AUROC, label="").value)
    assert np.isfinite(only(figures, metric=BRIER, label="").low)


def test_no_image_is_an_error():
    empty = predictions(images=0, sex=[])
    with pytest.raises(EvaluationError, match=r"busi.*no test image"):
        measure(empty)
    with pytest.raises(EvaluationError, match=r"busi.*no test image"):
        measure_subgroups(empty, "sex")


def part_of(shown, rows):
    names = ("case_ids", "groups", "targets", "probabilities")
    return replace(
        shown,
        **{name: getattr(shown, name)[rows] for name in names},
        columns=shown.columns.iloc[rows].reset_index(drop=True),
    )


@pytest.mark.parametrize("kind", ["multiclass", "ordinal", "multilabel"])
def test_a_value_of_a_column_is_measured_as_its_images_alone_would_be(kind):
    shown = predictions(kind, sex=["F", "M", "F"] * 20)
    figures = measure_subgroups(shown, "sex", resamples=10)
    for sex in "FM":
        alone = part_of(shown, np.flatnonzero(shown.columns["sex"] == sex))
        for figure in measure(alone, resamples=10):
            if not figure.label:
                found = only(figures, metric=figure.metric, subgroup=f"sex={sex}")
                assert found.value == pytest.approx(figure.value)
                assert (found.images, found.groups) == (figure.images, figure.groups)


def test_the_gap_and_its_interval_are_of_the_same_draws_as_the_values():
    shown = predictions(images=90, groups=45, site=["A", "B", "C"] * 30)
    figures = measure_subgroups(shown, "site", resamples=60, seed=2)
    sites = [np.flatnonzero(shown.columns["site"] == site) for site in "ABC"]
    drawn = []
    for weight in np.concatenate(list(draws(shown.groups, 60, 2))):
        copies = [np.repeat(rows, weight[rows]) for rows in sites]
        drawn.append([metrics.auroc(shown.targets[rows], shown.probabilities[rows]) for rows in copies])
    values = [metrics.auroc(shown.targets[rows], shown.probabilities[rows]) for rows in sites]
    for site, value, column in zip("ABC", values, np.array(drawn).T, strict=True):
        figure = only(figures, metric=AUROC, subgroup=f"site={site}")
        expected = (value, *np.percentile(column, [2.5, 97.5]))
        assert (figure.value, figure.low, figure.high) == pytest.approx(expected)
    gap = only(figures, metric=AUROC + GAP)
    gaps = [max(row) - min(row) for row in drawn]
    expected = (max(values) - min(values), *np.percentile(gaps, [2.5, 97.5]))
    assert (gap.value, gap.low, gap.high) == pytest.approx(expected)
    assert (gap.subgroup, gap.images, gap.groups) == ("site", 90, 45)


def test_small_or_one_sided_values_are_kept_without_number_and_out_of_the_gap():
    sites = np.repeat(["large", "other", "small", "normal only"], [20, 20, 9, 11])
    shown = predictions(site=sites)
    shown.targets[49:] = [0, 0, 1]
    figures = measure_subgroups(shown, "site", resamples=30)
    for site in ("small", "normal only"):
        of_site = [figure for figure in figures if figure.subgroup == f"site={site}"]
        assert len(of_site) == len(SCORES["multiclass"])
        assert np.isnan([(figure.value, figure.low, figure.high) for figure in of_site]).all()
    for metric in SCORES["multiclass"]:
        values = [only(figures, metric=metric, subgroup=f"site={site}").value for site in ("large", "other")]
        assert only(figures, metric=metric + GAP).value == pytest.approx(abs(values[0] - values[1]))


def test_a_single_value_has_no_gap():
    figures = measure_subgroups(predictions(site=["A"] * 60), "site", resamples=10)
    gap = only(figures, metric=AUROC + GAP)
    assert np.isnan([gap.value, gap.low, gap.high]).all()


def test_a_value_of_few_patients_has_no_interval_nor_has_its_gap():
    shown = predictions()
    few = shown.groups < "patient 12"  # patients 0, 1, 10 and 11
    shown = replace(shown, columns=pd.DataFrame({"site": np.where(few, "few", "many")}))
    figures = measure_subgroups(shown, "site", resamples=20)
    assert only(figures, metric=AUROC, subgroup="site=few").groups == 4
    for figure in (only(figures, metric=AUROC, subgroup="site=few"), only(figures, metric=AUROC + GAP)):
        assert np.isfinite(figure.value)
        assert np.isnan([figure.low, figure.high]).all()
    assert np.isfinite(only(figures, metric=AUROC, subgroup="site=many").low)


def subgroups(figures):
    return [figure.subgroup for figure in figures if figure.metric == AUROC]


def test_many_numbers_are_cut_at_their_quartiles():
    ages = np.random.default_rng(0).permutation(np.arange(60) + 20)
    figures = measure_subgroups(predictions(age=ages), "age", resamples=5)
    assert subgroups(figures) == ["age=20–34", "age=35–49", "age=50–64", "age=65–79"]
    assert {figure.images for figure in figures if figure.metric == AUROC} == {15}


def test_numbers_of_a_csv_are_numbers(tmp_path):
    ages = np.random.default_rng(0).permutation(np.arange(60) + 20)
    rows = [f"{row}.png,ct,{'ab'[row % 2]},train,{age}" for row, age in enumerate(ages)]
    text = "\n".join(["image_path,modality,label,split,age", *rows, "60.png,ct,a,train,"])
    (tmp_path / "images.csv").write_text(text)
    manifest = open_manifest(tmp_path / "images.csv")
    (task,) = tasks_of(Embeddings(np.eye(61, dtype=np.float32), manifest, (), {}))
    said = predictions_on(task, np.full((61, 2), 0.5), encoder="e", protocol="knn")
    figures = measure_subgroups(said, "age", resamples=5)
    assert subgroups(figures) == ["age=20–34", "age=35–49", "age=50–64", "age=65–79"]
    assert {figure.images for figure in figures if figure.metric == AUROC} == {15}


def test_a_single_word_among_numbers_makes_all_of_them_names():
    shown = predictions(age=["20", "30", "90 or more"] * 20)
    assert subgroups(measure_subgroups(shown, "age", resamples=5)) == ["age=20", "age=30", "age=90 or more"]
    dates = pd.to_datetime(["2020-01-01", "2021-01-01"] * 30)
    found = subgroups(measure_subgroups(predictions(day=dates), "day", resamples=5))
    assert found == ["day=2020-01-01 00:00:00", "day=2021-01-01 00:00:00"]
    mixed = [20, "30", 40.0] * 20
    found = subgroups(measure_subgroups(predictions(age=mixed), "age", resamples=5))
    assert found == ["age=20", "age=30", "age=40"]


def test_few_numbers_and_truths_stand_by_themselves():
    shown = predictions(grade=[10.0, 2.0, 3.5] * 20, dense=[True, False] * 30)
    assert subgroups(measure_subgroups(shown, "grade", resamples=5)) == ["grade=2", "grade=3.5", "grade=10"]
    assert subgroups(measure_subgroups(shown, "dense", resamples=5)) == ["dense=False", "dense=True"]


def test_images_without_a_value_are_left_out():
    shown = predictions(sex=["F", "M", None] * 20, age=[np.nan, 50, 60] * 20, blank=["1", "2", " "] * 20)
    figures = measure_subgroups(shown, "sex", resamples=5)
    assert subgroups(figures) == ["sex=F", "sex=M"]
    assert only(figures, metric=AUROC + GAP).images == 40
    assert subgroups(measure_subgroups(shown, "age", resamples=5)) == ["age=50", "age=60"]
    assert subgroups(measure_subgroups(shown, "blank", resamples=5)) == ["blank=1", "blank=2"]


def test_a_missing_or_empty_column_is_an_error_that_names_the_others():
    shown = predictions(site=["A"] * 60, sex=[None] * 60)
    with pytest.raises(EvaluationError, match=r"no column 'age'.*site, sex"):
        measure_subgroups(shown, "age")
    with pytest.raises(EvaluationError, match=r"no column 'age'.*none"):
        measure_subgroups(predictions(), "age")
    with pytest.raises(EvaluationError, match="'sex' is empty"):
        measure_subgroups(shown, "sex")
