"""Fits the head that recognises negatives: grey images whose dark and light are exchanged."""

import numpy as np

from mermed_core.data.manifest import LabelSet
from mermed_core.fitting.linear_heads import Labelled, fit_head
from mermed_core.fitting.principal_axes import balanced_weights
from mermed_core.models.embedder import Embeddings
from mermed_core.models.heads import NEGATIVE_CLASSES, NEGATIVE_TASK, Head

_PENALTY = 3.0


def fit_negative_head(taken: Embeddings, negatives: Embeddings) -> Head | None:
    """Fits on the same images as they were taken and as negatives; None where there are none.

    Args:
        taken: vectors made without assuming a modality.
        negatives: of the same images with dark and light exchanged.
    """
    if not len(taken.vectors):
        return None
    parts = (taken, negatives)
    outcome = np.repeat([0, 1], [len(each.vectors) for each in parts])
    sources = np.concatenate([each.manifest.frame["source"].to_numpy(str) for each in parts])
    groups = np.concatenate([each.manifest.patients() for each in parts])
    vectors = np.concatenate([each.vectors for each in parts])
    train = Labelled(vectors, np.eye(2)[outcome], groups, balanced_weights(outcome, sources))
    label_set = LabelSet(NEGATIVE_TASK, "multiclass", NEGATIVE_CLASSES)
    return fit_head(label_set, "", train, train.rows(np.empty(0, int)), penalties=(_PENALTY,))
