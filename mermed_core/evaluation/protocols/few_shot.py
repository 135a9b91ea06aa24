"""Few-shot: how well a linear head does with a handful of labelled images of each class."""

from mermed_core.evaluation.protocols.linear_probe import fit_few, measured_split, predict
from mermed_core.evaluation.repeats import mean_over_repeats, measure_repeat
from mermed_core.evaluation.results import Result
from mermed_core.evaluation.task import Task
from mermed_core.evaluation.training_subsets import few_shot_rows
from mermed_core.metrics.catalogue import AUROC, BALANCED_ACCURACY

SHOTS = (1, 2, 4, 8, 16, 32)
SEEDS = (0, 1, 2, 3, 4)
_METRICS = (AUROC, BALANCED_ACCURACY)


def few_shot(
    task: Task, *, encoder: str, shots: tuple[int, ...] = SHOTS, seeds: tuple[int, ...] = SEEDS
) -> list[Result]:
    """Measures linear heads fitted on a few images of each class, with a fixed penalty and without val.

    Args:
        task: training subsets come from its train split; its test split is measured.
        encoder: name for the results.
        shots: images of each class; numbers that no class reaches are left out.
        seeds: of the training subsets.

    Returns:
        AUROC and balanced accuracy for every training subset, and their means over the seeds (seed -1) with
        a 95 % t-interval.

    Raises:
        EvaluationError: the task has no test image.
    """
    test = measured_split(task)
    largest = task.split("train").targets.sum(axis=0).max()
    results = []
    for count in shots:
        if count > largest:
            continue
        for seed in seeds:
            head = fit_few(task.rows(few_shot_rows(task, count, seed)))
            predictions = predict(head, test, encoder=encoder, protocol="few_shot")
            results += measure_repeat(predictions, _METRICS, shots=count, seed=seed)
    return results + mean_over_repeats(results)
