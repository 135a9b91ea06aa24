"""How probable a case's label is to a linear classifier that learned from other patients."""

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

_FOLDS = 5
_MOST = 10_000  # cases that a classifier learns from; more take minutes and tell little
_PENALTY = 0.05
_SEED = 7


def label_probabilities(vectors: np.ndarray, labels: np.ndarray, patients: np.ndarray) -> np.ndarray | None:
    """Returns (cases,) the probability of each case's own label, by cross-validation over patients, 0..1.

    Out-of-sample probabilities of stated labels are what confident learning starts from (Northcutt et al.
    2021).

    Args:
        vectors: (cases, dim) unit vectors.
        labels: (cases,) codes of the stated labels.
        patients: (cases,) numbers; cases that share one are never on both sides.

    Returns:
        None where there are too few patients.
    """
    folds = min(_FOLDS, len(np.unique(patients)))
    if folds < 2:
        return None
    scaled = vectors * np.sqrt(vectors.shape[1])
    random = np.random.default_rng(_SEED)
    own = np.zeros(len(labels))
    for learned, asked in GroupKFold(folds).split(scaled, labels, patients):
        if len(learned) > _MOST:
            learned = np.sort(random.choice(learned, _MOST, replace=False))
        classes = np.unique(labels[learned])
        if len(classes) == 1:
            own[asked] = labels[asked] == classes[0]
            continue
        model = LogisticRegression(C=_PENALTY, max_iter=300).fit(scaled[learned], labels[learned])
        column = np.searchsorted(classes, labels[asked]).clip(max=len(classes) - 1)
        seen = classes[column] == labels[asked]  # of a label that no other patient has nothing was learned
        own[asked] = model.predict_proba(scaled[asked])[np.arange(len(asked)), column] * seen
    return own
