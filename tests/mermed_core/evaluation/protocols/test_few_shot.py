"""Few-shot on made-up vectors: which results there are, and one of them by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from threadpoolctl import threadpool_limits

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.protocols.few_shot import few_shot
from mermed_core.evaluation.task import Task
from mermed_core.evaluation.training_subsets import few_shot_rows


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """On a busy machine the threads of tiny matrix products wait for each other."""
    with threadpool_limits(1):
        yield


def clusters(counts=(20, 20, 12), *, noise=0.6, splits=("train", "test"), kind="multiclass") -> Task:
    """Unit vectors near an axis for each class; every second image is of the test split."""
    member = np.repeat(np.arange(len(counts)), counts)
    random = np.random.default_rng(0)
    vectors = np.eye(8)[member] + random.normal(0, noise, (len(member), 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.arange(len(member))
    return Task(
        "made up",
        "ct",
        kind,
        ("a", "b", "c"),
        vectors.astype(np.float32),
        np.eye(3)[member],
        rows // 4,
        np.array(splits)[rows % 2],
        rows,
        pd.DataFrame(index=rows),
    )


def test_each_subset_and_the_mean_over_subsets_are_given():
    results = few_shot(clusters(), encoder="tiny", shots=(1, 4), seeds=(3, 5, 7))
    repeats = [result for result in results if result.seed >= 0]
    assert [(result.shots, result.seed, result.metric) for result in repeats] == [
        (shots, seed, metric)
        for shots in (1, 4)
        for seed in (3, 5, 7)
        for metric in ("auroc", "balanced_accuracy")
    ]
    means = results[len(repeats) :]
    assert len(means) == 4
    for mean in means:
        values = [f.value for f in repeats if (f.shots, f.metric) == (mean.shots, mean.metric)]
        interval = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
        assert mean.seed == -1
        np.testing.assert_allclose([mean.value, mean.low, mean.high], [np.mean(values), *interval])
    for result in results:
        assert (result.protocol, result.task, result.images) == ("few_shot", "made up", 26)


def test_a_figure_is_what_scikit_learn_reaches_on_the_same_images():
    task = clusters()
    auroc, accuracy = few_shot(task, encoder="tiny", shots=(4,), seeds=(2,))[:2]
    train, test = task.rows(few_shot_rows(task, 4, 2)), task.split("test")
    mean, std = train.vectors.mean(0), train.vectors.std(0)
    model = LogisticRegression(C=1 / 8, max_iter=500).fit(
        (train.vectors - mean) / std, train.targets.argmax(1)
    )
    probabilities = model.predict_proba((test.vectors - mean) / std)
    member = test.targets.argmax(1)
    assert auroc.value == pytest.approx(roc_auc_score(member, probabilities, multi_class="ovr"), abs=2e-3)
    assert accuracy.value == pytest.approx(balanced_accuracy_score(member, probabilities.argmax(1)))


def test_more_shots_than_any_class_has_are_left_out():
    results = few_shot(clusters((20, 8, 6)), encoder="tiny", seeds=(0, 1))
    assert {result.shots for result in results} == {1, 2, 4, 8}


def test_more_images_help():
    results = few_shot(clusters((80, 80, 80)), encoder="tiny", shots=(1, 32))
    means = {result.shots: result.value for result in results if result.seed == -1}
    assert means[32] > means[1] + 0.05


def test_val_plays_no_part():
    with_val, without = clusters(), clusters()
    rows = np.arange(len(with_val))
    with_val.splits[:] = np.where(rows % 4 == 3, "val", with_val.splits)
    without.splits[:] = np.where(rows % 4 == 3, "", without.splits)
    first, second = (few_shot(task, encoder="tiny", shots=(2,)) for task in (with_val, without))
    assert [result.value for result in first] == [result.value for result in second]


def test_labels_that_do_not_exclude_each_other_work_too():
    task = clusters(kind="multilabel")
    task.targets[::3] = 0
    results = few_shot(task, encoder="tiny", shots=(1, 2), seeds=(0, 1))
    assert len(results) == 2 * 2 * 3
    assert np.isfinite([result.value for result in results]).all()


def test_without_a_test_image_it_says_so():
    with pytest.raises(EvaluationError, match="no image in the test split"):
        few_shot(clusters(splits=("train", "val")), encoder="tiny")
