"""Fits linear heads: regularisation chosen and temperature calibrated on images that were not fitted on."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from mermed_core.data.manifest import LabelSet
from mermed_core.models.heads import Head, to_probabilities

# Inverse penalties tried, half a decade apart.
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_TEMPERATURES = (0.2, 20.0)


@dataclass(frozen=True)
class Labelled:
    """Vectors with what they show.

    Attributes:
        vectors: (images, dim) unit vectors.
        targets: (images, classes) of 0 and 1.
        groups: (images,) patients; images of one are never divided.
        weights: (images,) how much each counts in the fit; None for all alike.
    """

    vectors: np.ndarray
    targets: np.ndarray
    groups: np.ndarray
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.vectors)

    def rows(self, positions: np.ndarray) -> "Labelled":
        """Returns some of the images."""
        weights = None if self.weights is None else self.weights[positions]
        return Labelled(self.vectors[positions], self.targets[positions], self.groups[positions], weights)

    def columns(self, chosen: np.ndarray) -> "Labelled":
        """Returns the images with some of the classes."""
        return Labelled(self.vectors, self.targets[:, chosen], self.groups, self.weights)

    def joined(self, others: "Labelled", weights: np.ndarray | None = None) -> "Labelled":
        """Returns these images and others behind them, with new weights (images,)."""
        return Labelled(
            np.concatenate([self.vectors, others.vectors]),
            np.concatenate([self.targets, others.targets]),
            np.concatenate([self.groups, others.groups]),
            weights,
        )


def one_hot(labels: list[list[str]], classes: tuple[str, ...]) -> np.ndarray:
    """Returns (images, classes) of 0 and 1 for lists of class names; other names are left out."""
    return np.array([[float(name in row) for name in classes] for row in labels]).reshape(-1, len(classes))


def fit_head(
    label_set: LabelSet,
    modality: str,
    train: Labelled,
    held_out: Labelled,
    *,
    penalties: Sequence[float] = PENALTIES,
) -> Head:
    """Fits one head on `train`; `held_out` chooses the penalty and the temperature.

    Without held-out images both are chosen by cross-validation over the groups of `train`, and where it has
    a single group the middle penalty is taken uncalibrated.

    Args:
        label_set: task, kind and classes, in the order of the targets' columns.
        modality: whose embeddings these are, "" for all.
        train: images to fit on; every class occurs.
        held_out: images of other groups, may be empty.
        penalties: the inverse penalties to choose from; a single one is taken uncalibrated.
    """
    best = (np.inf, penalties[0] if len(penalties) == 1 else 1.0, 1.0)
    for penalty in penalties if len(penalties) > 1 else ():
        logits, targets = _held_out_logits(label_set.kind, train, held_out, penalty)
        if len(targets) == 0:
            break
        temperature = fit_temperature(logits, targets, label_set.kind)
        loss = negative_log_likelihood(logits / temperature, targets, label_set.kind)
        best = min(best, (loss, penalty, temperature))
    _, penalty, temperature = best
    weight, bias = _fit_linear(label_set.kind, train, penalty)
    return Head(
        task=label_set.task,
        modality=modality,
        kind=label_set.kind,
        classes=label_set.classes,
        weight=weight.astype(np.float32),
        bias=bias.astype(np.float32),
        temperature=temperature,
        training_images=len(train),
    )


def fit_temperature(logits: np.ndarray, targets: np.ndarray, kind: str) -> float:
    """Returns the temperature that makes held-out logits (images, classes) most likely (Guo et al. 2017)."""
    low, high = np.log(_TEMPERATURES)
    result = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits / np.exp(log_t), targets, kind),
        bounds=(low, high),
        method="bounded",
    )
    return float(np.exp(result.x))


def negative_log_likelihood(logits: np.ndarray, targets: np.ndarray, kind: str) -> float:
    """Returns the mean negative log-likelihood of targets (images, classes) under logits alike in shape."""
    probabilities = np.clip(to_probabilities(logits, kind), 1e-7, 1 - 1e-7)
    if kind == "multilabel":
        shown = np.log(probabilities)
        return float(-np.mean(targets * shown + (1 - targets) * np.log(1 - probabilities)))
    return float(-np.mean(np.sum(targets * np.log(probabilities), axis=1)))


def _held_out_logits(
    kind: str, train: Labelled, held_out: Labelled, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    if len(held_out):
        weight, bias = _fit_linear(kind, train, penalty)
        return held_out.vectors @ weight.T + bias, held_out.targets
    folds = min(5, len(np.unique(train.groups)))
    logits, targets = [], []
    for fitted, left in GroupKFold(folds).split(train.vectors, groups=train.groups) if folds > 1 else ():
        part = train.rows(fitted)
        if np.all(part.targets.sum(axis=0) > 0):  # a fold that lacks a class says nothing about it
            weight, bias = _fit_linear(kind, part, penalty)
            logits.append(train.vectors[left] @ weight.T + bias)
            targets.append(train.targets[left])
    none = np.empty((0, train.targets.shape[1]))
    return np.concatenate([none, *logits]), np.concatenate([none, *targets])


def _fit_linear(kind: str, data: Labelled, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns weight (classes, dim) and bias (classes,) of logistic regression on standardised vectors."""
    mean, std = data.vectors.mean(axis=0), data.vectors.std(axis=0)
    std = np.where(std > 1e-6 * std.max(initial=0.0), std, 1.0)
    scaled = (data.vectors - mean) / std
    if kind == "multilabel":
        parts = [_logistic(scaled, column, penalty, data.weights) for column in data.targets.T]
        weight = np.concatenate([part[0] for part in parts])
        bias = np.concatenate([part[1] for part in parts])
    elif data.targets.shape[1] == 1:  # only one class, such as one modality: nothing to distinguish
        weight, bias = np.zeros((1, scaled.shape[1])), np.zeros(1)
    else:
        weight, bias = _logistic(scaled, data.targets.argmax(axis=1), penalty, data.weights)
        if data.targets.shape[1] == 2:  # scikit-learn gives one row for two classes
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    # The standardisation goes into the weights, so that a head acts on unit vectors.
    weight = weight / std
    return weight, bias - weight @ mean


def _logistic(
    scaled: np.ndarray, target: np.ndarray, penalty: float, weights: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    if target.min() == target.max():  # one outcome only: as sure as the count allows
        return np.zeros((1, scaled.shape[1])), np.log1p([len(target)]) * (1 if target[0] else -1)
    # Standardised vectors have length √dim, so the penalty is stated for vectors of length 1.
    model = LogisticRegression(C=penalty / scaled.shape[1], max_iter=500, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the choice among penalties is by held-out loss
        model.fit(scaled, target, sample_weight=weights)
    return np.asarray(model.coef_), np.asarray(model.intercept_)
