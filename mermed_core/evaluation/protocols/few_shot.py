"""Few-shot: how well a linear head does with a handful of labelled images of each class."""

from mermed_core.evaluation.protocols.linear_probe import fit_few, measured_split, predict
from mermed_core.evaluation.repeats import over_seeds, seed_figures
from mermed_core.evaluation.results import AUROC, BALANCED_ACCURACY, Figure
from mermed_core.evaluation.task import Task
from mermed_core.evaluation.training_subsets import few_shot_rows

SHOTS = (1, 2, 4, 8, 16, 32)
SEEDS = (0, 1, 2, 3, 4)
_METRICS = (AUROC, BALANCED_ACCURACY)


def few_shot(
    task: Task, *, encoder: str, shots: tuple[int, ...] = SHOTS, seeds: tuple[int, ...] = SEEDS
) -> list[Figure]:
    """Measures linear heads fitted on few images of each class, with a fixed penalty and without val.

    Args:
        task: images are drawn from its train split and measured on its test split.
        encoder: name for the figures.
        shots: images of each class; numbers that no class has are left out.
        seeds: of the draws.

    Returns:
        AUROC and balanced accuracy of each draw ("shots=4"), and their means over seeds (seed -1) with a
        95 % t-interval.

    Raises:
        EvaluationError: the task has no test image.
    """
    test = measured_split(task)
    largest = task.split("train").targets.sum(axis=0).max()
    figures = []
    for count in shots:
        if count > largest:
            continue
        for seed in seeds:
            head = fit_few(task.rows(few_shot_rows(task, count, seed)))
            predictions = predict(head, test, encoder=encoder, protocol="few_shot")
            figures += seed_figures(predictions, _METRICS, setting=f"shots={count}", seed=seed)
    return figures + over_seeds(figures)
