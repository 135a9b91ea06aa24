"""Label efficiency on made-up vectors: which results there are, and that they are the linear probe's."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import f1_score, roc_auc_score
from threadpoolctl import threadpool_limits

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.protocols.label_efficiency import label_efficiency
from mermed_core.evaluation.protocols.linear_probe import linear_probe
from mermed_core.evaluation.task import Task
from mermed_core.evaluation.training_subsets import share_rows
from mermed_core.fitting.linear_heads import fit_head

pytestmark = pytest.mark.usefixtures("few_penalties")

METRICS = ["auroc", "auprc", "balanced_accuracy", "f1", "ece", "brier"]


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """On a busy machine the threads of tiny matrix products wait for each other."""
    with threadpool_limits(1):
        yield


def clusters(count: int = 200, splits: tuple[str, ...] = ("train", "train", "val", "test")) -> Task:
    """Unit vectors near one of two axes; splits in turn."""
    rows = np.arange(count)
    member = rows // len(splits) % 2
    random = np.random.default_rng(0)
    vectors = np.eye(6)[member] + random.normal(0, 0.6, (count, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Task(
        "made up",
        "ct",
        "multiclass",
        ("a", "b"),
        vectors.astype(np.float32),
        np.eye(2)[member],
        rows,
        np.array(splits)[rows % len(splits)],
        rows,
        pd.DataFrame(index=rows),
    )


@pytest.fixture(scope="module")
def results():
    return label_efficiency(clusters(), encoder="tiny", shares=(0.1, 1.0), seeds=(0, 42))


def test_each_subset_its_mean_and_all_images_once_are_given(results):
    assert [(result.share, result.seed, result.metric) for result in results] == [
        (share, seed, metric)
        for share, seed in ((0.1, 0), (0.1, 42), (0.1, -1), (1.0, -1))
        for metric in METRICS
    ]
    for first, second, mean in zip(results[:6], results[6:12], results[12:18], strict=True):
        values = [first.value, second.value]
        interval = stats.t.interval(0.95, 1, loc=np.mean(values), scale=stats.sem(values))
        if first.value != second.value:
            np.testing.assert_allclose([mean.low, mean.high], interval)
        assert mean.value == pytest.approx(np.mean(values))


def test_all_images_give_the_linear_probe_without_interval(results):
    probe = linear_probe(clusters(), encoder="tiny")
    whole = results[-6]
    assert whole.value == pytest.approx(roc_auc_score(probe.targets[:, 1], probe.probabilities[:, 1]))
    assert np.isnan([whole.low, whole.high]).all()
    assert whole.images == 50


def test_a_subset_is_fitted_by_itself_with_all_of_val(results):
    task = clusters()
    train, test = task.rows(share_rows(task, 0.1, 42)), task.split("test")
    head = fit_head(task.label_set, "ct", train.labelled(), task.split("val").labelled())
    probabilities = head.probabilities(test.vectors)
    by_metric = {result.metric: result.value for result in results[6:12]}
    assert by_metric["auroc"] == pytest.approx(roc_auc_score(test.targets[:, 1], probabilities[:, 1]))
    named, member = probabilities.argmax(1), test.targets.argmax(1)
    assert by_metric["f1"] == pytest.approx(f1_score(member, named, average="macro"))
    squares = ((probabilities - test.targets) ** 2).sum(axis=1)
    assert by_metric["brier"] == pytest.approx(squares.mean(), abs=1e-5)


def test_more_labels_help():
    results = label_efficiency(clusters(800), encoder="tiny", shares=(0.01, 0.5), seeds=(0, 1, 42))
    means = {
        result.share: result.value for result in results if (result.seed, result.metric) == (-1, "auroc")
    }
    assert means[0.5] > means[0.01]


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(EvaluationError, match="no image in the test split"):
        label_efficiency(clusters(splits=("train", "val")), encoder="tiny")
    with pytest.raises(EvaluationError, match="at most 1"):
        label_efficiency(clusters(), encoder="tiny", shares=(30.0,))
