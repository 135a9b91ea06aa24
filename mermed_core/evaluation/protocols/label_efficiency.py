"""Label efficiency: how well a linear head does with a share of the labelled training images."""

from mermed_core.evaluation.protocols.linear_probe import measured_split, predict
from mermed_core.evaluation.repeats import mean_over_repeats, measure_repeat
from mermed_core.evaluation.results import Result
from mermed_core.evaluation.task import Task
from mermed_core.evaluation.training_subsets import share_rows
from mermed_core.fitting.linear_heads import fit_head
from mermed_core.metrics.catalogue import AUPRC, AUROC, BALANCED_ACCURACY, BRIER, ECE, F1

# Those of the paper (arXiv 2507.00185).
SHARES = (0.01, 0.1, 0.3, 0.5, 1.0)
SEEDS = (0, 1, 42, 123, 2025)
_METRICS = (AUROC, AUPRC, BALANCED_ACCURACY, F1, ECE, BRIER)


def label_efficiency(
    task: Task, *, encoder: str, shares: tuple[float, ...] = SHARES, seeds: tuple[int, ...] = SEEDS
) -> list[Result]:
    """Measures linear heads fitted on stratified shares of the train split; val is always used in full.

    A small class contributes at least two images, see `training_subsets.share_rows`.

    Args:
        task: training subsets come from its train split; its test split is measured.
        encoder: name for the results.
        shares: above 0, at most 1.
        seeds: of the training subsets.

    Returns:
        Metrics for every training subset, and their means over the seeds (seed -1) with a 95 % t-interval.
        A share of 1 is not random: it is fitted once, and has the seed -1 only, without an interval.

    Raises:
        EvaluationError: the task has no test image, or a share is out of range.
    """
    results = []
    for share in shares:
        different = seeds if share < 1 else seeds[:1]
        repeats = [result for seed in different for result in _measure_subset(task, share, seed, encoder)]
        results += [*(repeats if share < 1 else ()), *mean_over_repeats(repeats)]
    return results


def _measure_subset(task: Task, share: float, seed: int, encoder: str) -> list[Result]:
    test = measured_split(task)
    train, val = task.rows(share_rows(task, share, seed)), task.split("val")
    head = fit_head(task.label_set, task.modality, train.labelled(), val.labelled())
    predictions = predict(head, test, encoder=encoder, protocol="label_efficiency")
    return measure_repeat(predictions, _METRICS, share=share, seed=seed)
