"""Which scores are measured for which kind of label set, by the names that they have in every table."""

from collections.abc import Callable
from functools import partial

import numpy as np

from mermed_core.metrics.calibration import brier, expected_calibration_error
from mermed_core.metrics.scores import (
    Score,
    auprc,
    auprc_by_class,
    auroc,
    auroc_by_class,
    balanced_accuracy,
    f1,
    f1_by_class,
    quadratic_kappa,
)

AUROC, AUPRC = "auroc", "auprc"
BALANCED_ACCURACY, F1, KAPPA = "balanced_accuracy", "f1", "quadratic_kappa"
ECE, BRIER = "ece", "brier"
LOWER_IS_BETTER = (ECE, BRIER)

_RANKING: dict[str, Score] = {AUROC: auroc, AUPRC: auprc}
_DECIDING: dict[str, Callable[..., np.ndarray]] = {
    BALANCED_ACCURACY: balanced_accuracy,
    F1: f1,
    ECE: expected_calibration_error,
    BRIER: brier,
}
# By kind of label set; the mean over classes of what is also measured by class.
SCORES: dict[str, dict[str, Score]] = {
    "multiclass": _RANKING | _DECIDING,
    "ordinal": _RANKING | _DECIDING | {KAPPA: quadratic_kappa},
    "multilabel": _RANKING | {metric: partial(score, multilabel=True) for metric, score in _DECIDING.items()},
}
_BY_CLASS: dict[str, Score] = {AUROC: auroc_by_class, AUPRC: auprc_by_class, F1: f1_by_class}
SCORES_BY_CLASS: dict[str, dict[str, Score]] = {
    "multiclass": _BY_CLASS,
    "ordinal": _BY_CLASS,
    "multilabel": _BY_CLASS | {F1: partial(f1_by_class, multilabel=True)},
}
