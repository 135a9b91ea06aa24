"""Results of predictions against scikit-learn and against a bootstrap written out draw by draw."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from mermed_core.data.sources.opener import open_manifest
from mermed_core.errors import EvaluationError
from mermed_core.evaluation.measurement import GAP, measure, measure_subgroups
from mermed_core.evaluation.predictions import Predictions, predictions_on
from mermed_core.evaluation.task import tasks_of
from mermed_core.metrics.bootstrap import resampled_counts
from mermed_core.metrics.catalogue import AUPRC, AUROC, BRIER, F1, KAPPA, SCORES
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


def only(results, **fields):
    (found,) = [f for f in results if all(getattr(f, name) == value for name, value in fields.items())]
    return found


@pytest.mark.parametrize("kind", ["multiclass", "ordinal", "multilabel"])
def test_every_metric_stands_once_over_all_classes_and_three_by_class(kind):
    results = measure(predictions(kind), resamples=20)
    keys = [(result.metric, result.label) for result in results]
    by_class = [(metric, label) for metric in (AUROC, AUPRC, F1) for label in CLASSES]
    assert sorted(keys) == sorted([(metric, "") for metric in SCORES[kind]] + by_class)
    assert ((KAPPA, "") in keys) == (kind == "ordinal")
    for result in results:
        assert result.low <= result.high
        assert (result.encoder, result.protocol, result.task, result.modality) == (
            "encoder",
            "knn",
            "busi",
            "us",
        )
        assert (result.images, result.groups, result.subgroup_column) == (60, 20, "")


def test_values_are_those_of_scikit_learn():
    shown = predictions()
    results = measure(shown, resamples=5)
    assert only(results, metric=AUROC, label="").value == pytest.approx(
        roc_auc_score(shown.targets, shown.probabilities)
    )
    for index, label in enumerate(CLASSES):
        column = shown.targets[:, index], shown.probabilities[:, index]
        assert only(results, metric=AUROC, label=label).value == pytest.approx(roc_auc_score(*column))
        assert only(results, metric=AUPRC, label=label).value == pytest.approx(
            average_precision_score(*column)
        )
    answers = shown.targets.argmax(1), shown.probabilities.argmax(1)
    each = [f1_score(*answers, labels=[index], average="macro") for index in range(3)]
    assert [only(results, metric=F1, label=label).value for label in CLASSES] == pytest.approx(each)
    assert only(results, metric=F1, label="").value == pytest.approx(np.mean(each))


def test_intervals_are_those_of_the_bootstrap_by_group():
    shown = predictions()
    results = measure(shown, resamples=60, seed=3)
    copies = [
        np.repeat(np.arange(60), w) for w in np.concatenate(list(resampled_counts(shown.groups, 60, 3)))
    ]
    columns = {"": slice(None), "malignant": 1}
    for label, column in columns.items():
        targets, probabilities = shown.targets[:, column], shown.probabilities[:, column]
        drawn = [roc_auc_score(targets[rows], probabilities[rows]) for rows in copies]
        expected = (roc_auc_score(targets, probabilities), *np.percentile(drawn, [2.5, 97.5]))
        result = only(results, metric=AUROC, label=label)
        assert (result.value, result.low, result.high) == pytest.approx(expected)


def test_the_same_seed_gives_the_same_figures():
    shown = predictions(sex=["F", "M"] * 30)
    assert measure(shown, resamples=20) == measure(shown, resamples=20)
    assert measure(shown, resamples=20) != measure(shown, resamples=20, seed=1)
    assert measure_subgroups(shown, "sex", resamples=20) == measure_subgroups(shown, "sex", resamples=20)


def test_fewer_than_five_groups_have_values_without_interval():
    few, enough = (measure(predictions(groups=count), resamples=20) for count in (4, 5))
    assert all(np.isfinite(result.value) for result in few)
    assert np.isnan([(result.low, result.high) for result in few]).all()
    assert np.isfinite([(result.low, result.high) for result in enough]).all()


@pytest.mark.filterwarnings("error")
def test_one_outcome_alone_has_no_auroc_but_a_brier_score():
    shown = predictions()
    results = measure(replace(shown, targets=np.eye(3)[np.zeros(60, int)]), resamples=20)
    assert np.isnan(only(results, metric=AUROC, label="").value)
    assert np.isfinite(only(results, metric=BRIER, label="").low)


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
    results = measure_subgroups(shown, "sex", resamples=10)
    for sex in "FM":
        alone = part_of(shown, np.flatnonzero(shown.columns["sex"] == sex))
        for result in measure(alone, resamples=10):
            if not result.label:
                found = only(results, metric=result.metric, subgroup=sex)
                assert found.value == pytest.approx(result.value)
                assert (found.images, found.groups) == (result.images, result.groups)


def test_the_gap_and_its_interval_are_of_the_same_draws_as_the_values():
    shown = predictions(images=90, groups=45, site=["A", "B", "C"] * 30)
    results = measure_subgroups(shown, "site", resamples=60, seed=2)
    sites = [np.flatnonzero(shown.columns["site"] == site) for site in "ABC"]
    drawn = []
    for weight in np.concatenate(list(resampled_counts(shown.groups, 60, 2))):
        copies = [np.repeat(rows, weight[rows]) for rows in sites]
        drawn.append([roc_auc_score(shown.targets[rows], shown.probabilities[rows]) for rows in copies])
    values = [roc_auc_score(shown.targets[rows], shown.probabilities[rows]) for rows in sites]
    for site, value, column in zip("ABC", values, np.array(drawn).T, strict=True):
        result = only(results, metric=AUROC, subgroup=site)
        expected = (value, *np.percentile(column, [2.5, 97.5]))
        assert (result.value, result.low, result.high) == pytest.approx(expected)
    gap = only(results, metric=AUROC + GAP)
    gaps = [max(row) - min(row) for row in drawn]
    expected = (max(values) - min(values), *np.percentile(gaps, [2.5, 97.5]))
    assert (gap.value, gap.low, gap.high) == pytest.approx(expected)
    assert (gap.subgroup_column, gap.subgroup, gap.images, gap.groups) == ("site", "", 90, 45)


def test_small_or_one_sided_values_are_kept_without_number_and_out_of_the_gap():
    sites = np.repeat(["large", "other", "small", "normal only"], [20, 20, 9, 11])
    shown = predictions(site=sites)
    shown.targets[49:] = [0, 0, 1]
    results = measure_subgroups(shown, "site", resamples=30)
    for site in ("small", "normal only"):
        of_site = [result for result in results if result.subgroup == site]
        assert len(of_site) == len(SCORES["multiclass"])
        assert np.isnan([(result.value, result.low, result.high) for result in of_site]).all()
    for metric in SCORES["multiclass"]:
        values = [only(results, metric=metric, subgroup=site).value for site in ("large", "other")]
        assert only(results, metric=metric + GAP).value == pytest.approx(abs(values[0] - values[1]))


def test_a_single_value_has_no_gap():
    results = measure_subgroups(predictions(site=["A"] * 60), "site", resamples=10)
    gap = only(results, metric=AUROC + GAP)
    assert np.isnan([gap.value, gap.low, gap.high]).all()


def test_a_value_of_few_patients_has_no_interval_nor_has_its_gap():
    shown = predictions()
    few = shown.groups < "patient 12"  # patients 0, 1, 10 and 11
    shown = replace(shown, columns=pd.DataFrame({"site": np.where(few, "few", "many")}))
    results = measure_subgroups(shown, "site", resamples=20)
    assert only(results, metric=AUROC, subgroup="few").groups == 4
    for result in (only(results, metric=AUROC, subgroup="few"), only(results, metric=AUROC + GAP)):
        assert np.isfinite(result.value)
        assert np.isnan([result.low, result.high]).all()
    assert np.isfinite(only(results, metric=AUROC, subgroup="many").low)


def subgroups(results):
    return [result.subgroup for result in results if result.metric == AUROC and result.subgroup_column]


def test_many_numbers_are_cut_at_their_quartiles():
    ages = np.random.default_rng(0).permutation(np.arange(60) + 20)
    results = measure_subgroups(predictions(age=ages), "age", resamples=5)
    assert subgroups(results) == ["20–34", "35–49", "50–64", "65–79"]
    assert {result.images for result in results if result.metric == AUROC} == {15}


def test_numbers_of_a_csv_are_numbers(tmp_path):
    ages = np.random.default_rng(0).permutation(np.arange(60) + 20)
    rows = [f"{row}.png,ct,{'ab'[row % 2]},train,{age}" for row, age in enumerate(ages)]
    text = "\n".join(["image_path,modality,label,split,age", *rows, "60.png,ct,a,train,"])
    (tmp_path / "images.csv").write_text(text)
    manifest = open_manifest(tmp_path / "images.csv")
    (task,) = tasks_of(Embeddings(np.eye(61, dtype=np.float32), manifest, (), {}))
    predicted = predictions_on(task, np.full((61, 2), 0.5), encoder="e", protocol="knn")
    results = measure_subgroups(predicted, "age", resamples=5)
    assert subgroups(results) == ["20–34", "35–49", "50–64", "65–79"]
    assert {result.images for result in results if result.metric == AUROC} == {15}


def test_a_single_word_among_numbers_makes_all_of_them_names():
    shown = predictions(age=["20", "30", "90 or more"] * 20)
    assert subgroups(measure_subgroups(shown, "age", resamples=5)) == ["20", "30", "90 or more"]
    dates = pd.to_datetime(["2020-01-01", "2021-01-01"] * 30)
    found = subgroups(measure_subgroups(predictions(day=dates), "day", resamples=5))
    assert found == ["2020-01-01 00:00:00", "2021-01-01 00:00:00"]
    mixed = [20, "30", 40.0] * 20
    found = subgroups(measure_subgroups(predictions(age=mixed), "age", resamples=5))
    assert found == ["20", "30", "40"]


def test_few_numbers_and_truths_stand_by_themselves():
    shown = predictions(grade=[10.0, 2.0, 3.5] * 20, dense=[True, False] * 30)
    assert subgroups(measure_subgroups(shown, "grade", resamples=5)) == ["2", "3.5", "10"]
    assert subgroups(measure_subgroups(shown, "dense", resamples=5)) == ["False", "True"]


def test_images_without_a_value_are_left_out():
    shown = predictions(sex=["F", "M", None] * 20, age=[np.nan, 50, 60] * 20, blank=["1", "2", " "] * 20)
    results = measure_subgroups(shown, "sex", resamples=5)
    assert subgroups(results) == ["F", "M"]
    assert only(results, metric=AUROC + GAP).images == 40
    assert subgroups(measure_subgroups(shown, "age", resamples=5)) == ["50", "60"]
    assert subgroups(measure_subgroups(shown, "blank", resamples=5)) == ["1", "2"]


def test_a_missing_or_empty_column_is_an_error_that_names_the_others():
    shown = predictions(site=["A"] * 60, sex=[None] * 60)
    with pytest.raises(EvaluationError, match=r"no column 'age'.*site, sex"):
        measure_subgroups(shown, "age")
    with pytest.raises(EvaluationError, match=r"no column 'age'.*none"):
        measure_subgroups(predictions(), "age")
    with pytest.raises(EvaluationError, match="'sex' is empty"):
        measure_subgroups(shown, "sex")
