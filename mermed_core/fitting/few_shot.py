"""A head of one's own: fitted on a few images in a second, with what it gets right when they are left out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from mermed_core.errors import FewShotError
from mermed_core.fitting.linear_heads import fit_temperature
from mermed_core.metrics.binomial import wilson_interval
from mermed_core.models.few_shot_head import (
    LONGEST_LABEL,
    MOST_LABELS,
    FewShotHead,
    LeftOut,
    make_head,
)

MOST_IMAGES = 240  # so that leaving each out takes seconds
FEWEST = 2  # patients of a label: one is left out, another is fitted on
# Inverse penalty on unit vectors. Measured in docs/experiments.md ("heads of a few images").
_PENALTY = 10.0


@dataclass(frozen=True, eq=False)
class Example:
    """One image with the label that somebody gave it.

    Attributes:
        label: what it shows.
        vector: (dim,) float32, its retrieval vector.
        group: its patient; the images of one are left out together.
    """

    label: str
    vector: np.ndarray
    group: str


def fit_few_shot(examples: Sequence[Example], fingerprint: str) -> FewShotHead:
    """Fits a head on a few images and asks it about each patient's images without them.

    Args:
        examples: the images; two labels or more, each of two patients or more.
        fingerprint: of the model and the retrieval space that made the vectors.

    Raises:
        FewShotError: too few or too many images or labels; says what is missing.
    """
    labels = check_examples(examples)
    vectors = np.stack([example.vector for example in examples]).astype(np.float64)
    targets = np.array([labels.index(example.label) for example in examples])
    groups = np.array([example.group for example in examples])
    logits = np.zeros((len(examples), len(labels)))
    nearness = np.zeros(len(examples))
    for group in np.unique(groups):
        out = groups == group
        weight, bias = _fit(vectors[~out], targets[~out])
        logits[out] = vectors[out] @ weight.T + bias
        centres = _centres(vectors[~out], targets[~out])
        nearness[out] = np.sum(vectors[out] * centres[targets[out]], axis=1)
    # So few images can make a head look surer than it is, never less sure.
    temperature = max(1.0, fit_temperature(logits, np.eye(len(labels))[targets], "multiclass"))
    weight, bias = _fit(vectors, targets)
    counts = np.bincount(targets, minlength=len(labels))
    return FewShotHead(
        make_head(labels, weight, bias, temperature, len(examples)),
        fingerprint,
        tuple(int(count) for count in counts),
        _left_out(logits.argmax(axis=1) == targets, groups, counts),
        _centres(vectors, targets).astype(np.float32),
        float(nearness.min()),
    )


def check_examples(examples: Sequence[Example]) -> tuple[str, ...]:
    """Returns the labels of images that a head can be fitted on, in the order in which they first occur.

    Raises:
        FewShotError: says what is missing or too much.
    """
    labels = tuple(dict.fromkeys(example.label for example in examples))
    if len(labels) < 2:
        raise FewShotError("Give images of at least two labels; there is nothing to tell apart yet.")
    if len(labels) > MOST_LABELS or len(examples) > MOST_IMAGES:
        raise FewShotError(
            f"At most {MOST_LABELS} labels and {MOST_IMAGES} images can be learned from at once."
        )
    for label in labels:
        if not 1 <= len(label) <= LONGEST_LABEL:
            raise FewShotError(f"A label has 1 to {LONGEST_LABEL} letters.")
        groups = {example.group for example in examples if example.label == label}
        if len(groups) < FEWEST:
            raise FewShotError(
                f"'{label}' has images of one patient; give at least {FEWEST} patients, better 5 or more."
            )
    _refuse_contradictions(examples)
    return labels


def _refuse_contradictions(examples: Sequence[Example]) -> None:
    """Refuses one image under two labels."""
    seen: dict[bytes, str] = {}
    for example in examples:
        if seen.setdefault(example.vector.tobytes(), example.label) != example.label:
            first = seen[example.vector.tobytes()]
            raise FewShotError(f"The same image is given as '{first}' and as '{example.label}'. Remove one.")


def _fit(vectors: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns weight (labels, dim) and bias (labels,) of logistic regression in which labels count alike."""
    model = LogisticRegression(C=_PENALTY, class_weight="balanced", max_iter=300)
    model.fit(vectors, targets)
    weight, bias = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(weight) == 1:  # scikit-learn gives one row for two classes
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight, bias


def _centres(vectors: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns the unit vector (labels, dim) in the middle of each label's images."""
    means = np.stack([vectors[targets == label].mean(axis=0) for label in np.unique(targets)])
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)


def _left_out(right: np.ndarray, groups: np.ndarray, counts: np.ndarray) -> LeftOut:
    patients = len(Counter(groups))
    low, high = wilson_interval(float(right.mean()), patients)
    guessing = float(counts.max() / counts.sum())
    return LeftOut(int(right.sum()), len(right), patients, low, high, guessing)
