"""Label efficiency: how well a linear head does with a share of the labelled training images."""

from mermed_core.evaluation.protocols.linear_probe import measured_split, predict
from mermed_core.evaluation.repeats import over_seeds, seed_figures
from mermed_core.evaluation.results import AUPRC, AUROC, BALANCED_ACCURACY, BRIER, ECE, F1, Figure
from mermed_core.evaluation.task import Task
from mermed_core.evaluation.training_subsets import share_rows
from mermed_core.fitting.linear_heads import fit_head

# Those of the paper (arXiv 2507.00185).
SHARES = (0.01, 0.1, 0.3, 0.5, 1.0)
SEEDS = (0, 1, 42, 123, 2025)
_METRICS = (AUROC, AUPRC, BALANCED_ACCURACY, F1, ECE, BRIER)


def label_efficiency(
    task: Task, *, encoder: str, shares: tuple[float, ...] = SHARES, seeds: tuple[int, ...] = SEEDS
) -> list[Figure]:
    """Measures linear heads fitted on stratified shares of the train split; val is whole each time.

    Of a small class two images are drawn, where a share would be less (see `draws.share_rows`).

    Args:
        task: images are drawn from its train split and measured on its test split.
        encoder: name for the figures.
        shares: above 0, at most 1.
        seeds: of the draws.

    Returns:
        Metrics of each draw ("share=0.1"), and their means over seeds (seed -1) with a 95 % t-interval. All
        images are no draw: share 1 is fitted once and has the seed -1 alone, without interval.

    Raises:
        EvaluationError: the task has no test image, or a share is out of range.
    """
    figures = []
    for share in shares:
        different = seeds if share < 1 else seeds[:1]
        drawn = [figure for seed in different for figure in _draw_figures(task, share, seed, encoder)]
        figures += [*(drawn if share < 1 else ()), *over_seeds(drawn)]
    return figures


def _draw_figures(task: Task, share: float, seed: int, encoder: str) -> list[Figure]:
    test = measured_split(task)
    train, val = task.rows(share_rows(task, share, seed)), task.split("val")
    head = fit_head(task.label_set, task.modality, train.labelled(), val.labelled())
    predictions = predict(head, test, encoder=encoder, protocol="label_efficiency")
    return seed_figures(predictions, _METRICS, setting=f"share={share:g}", seed=seed)
