"""The charts of a report that are drawn from predictions of one task: ROC, calibration, confusion."""

from collections.abc import Iterator
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from sklearn.metrics import confusion_matrix, roc_curve

from mermed_core.reports.charts import GRID, Styles, laid_out
from mermed_core.metrics.scores import auroc, unweighted

BINS = 15
_POINTS = 200
# Counts are written into the cells of smaller matrices.
_MAX_WRITTEN = 12


def roc_chart(predictions: pd.DataFrame, styles: Styles) -> go.Figure:
    """Draws a ROC curve for each encoder, with its macro AUROC.

    Of two classes that of the second, otherwise the mean over classes of the true positive rate at each
    false positive rate.
    """
    figure = go.Figure()
    exclusive = predictions["kind"].iloc[0] != "multilabel"
    for encoder, classes, targets, probabilities in _by_encoder(predictions):
        # Of two classes that exclude each other one curve is the other turned round.
        shown = slice(1, None) if exclusive and len(classes) == 2 else slice(None)
        curve = roc_points(targets[:, shown], probabilities[:, shown])
        _add(figure, f"AUROC {unweighted(auroc, targets, probabilities):.3f} · {encoder}", curve, styles[encoder])
    _diagonal(figure)
    return laid_out(figure, x="false positive rate", y="true positive rate")


def roc_points(targets: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns false and true positive rates, at most 200 points.

    Args:
        targets: (images, classes) of 0 and 1; classes without both outcomes are left out.
        probabilities: (images, classes).
    """
    curves = [
        roc_curve(target, probability)[:2]
        for target, probability in zip(targets.T, probabilities.T, strict=True)
        if 0 < target.sum() < len(target)
    ]
    if not curves:
        return np.empty(0), np.empty(0)
    if len(curves) == 1:
        kept = np.unique(np.linspace(0, len(curves[0][0]) - 1, _POINTS).round().astype(int))
        return curves[0][0][kept], curves[0][1][kept]
    rates = np.linspace(0, 1, _POINTS - 1)
    means = np.mean([np.interp(rates, false, true) for false, true in curves], axis=0)
    return np.r_[0, rates], np.r_[0, means]


def calibration_chart(predictions: pd.DataFrame, styles: Styles) -> go.Figure:
    """Draws how often an encoder's probe is right when it is as sure as that, with the calibration error."""
    figure = go.Figure()
    multilabel = predictions["kind"].iloc[0] == "multilabel"
    for encoder, _, targets, probabilities in _by_encoder(predictions):
        bins = calibration_bins(targets, probabilities, multilabel=multilabel)
        gaps = (bins["confidence"] - bins["accuracy"]).abs()
        error = float((gaps * bins["images"]).sum() / bins["images"].sum())
        curve = bins["confidence"].to_numpy(), bins["accuracy"].to_numpy()
        _add(figure, f"ECE {error:.3f} · {encoder}", curve, styles[encoder], bins["images"])
    _diagonal(figure)
    return laid_out(figure, x="confidence", y="accuracy")


def calibration_bins(targets: np.ndarray, probabilities: np.ndarray, *, multilabel: bool) -> pd.DataFrame:
    """Returns mean confidence, accuracy and number of images of those of 15 equal bins that hold any.

    Of the likeliest class; with `multilabel` each class counts by itself (Guo et al. 2017).

    Args:
        targets: (images, classes) of 0 and 1.
        probabilities: (images, classes) in 0..1.
        multilabel: more than one class can be shown.
    """
    if multilabel:
        confidence, correct = probabilities.ravel(), targets.ravel()
    else:
        confidence = probabilities.max(axis=1)
        correct = targets[np.arange(len(targets)), probabilities.argmax(axis=1)]
    which = np.minimum((confidence * BINS).astype(int), BINS - 1)
    table = pd.DataFrame({"confidence": confidence, "accuracy": correct, "images": 1})
    return table.groupby(which).agg({"confidence": "mean", "accuracy": "mean", "images": "sum"})


def confusion_chart(predictions: pd.DataFrame, colour: str) -> go.Figure:
    """Draws what one encoder's probe names (columns) for what is shown (rows), as shares of each row.

    Args:
        predictions: of one encoder on one task that is not multi-label.
        colour: hex, of a share of 1.
    """
    _, classes, targets, probabilities = next(_by_encoder(predictions))
    counts = confusion_matrix(
        targets.argmax(axis=1), probabilities.argmax(axis=1), labels=np.arange(len(classes))
    )
    names = [escape(name) for name in classes]
    figure = go.Figure(
        go.Heatmap(
            z=(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)).tolist(),
            x=names,
            y=names,
            text=counts.tolist(),
            texttemplate="%{text}" if len(classes) <= _MAX_WRITTEN else None,
            hovertemplate="%{y} named %{x}: %{text} images, %{z:.1%} of the row<extra></extra>",
            zmin=0,
            zmax=1,
            colorscale=[[0, "#f4f6f8"], [1, colour]],
            showscale=False,
            xgap=1,
            ygap=1,
        )
    )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(type="category")
    return laid_out(figure, x="named", y="shown")


def _by_encoder(predictions: pd.DataFrame) -> Iterator[tuple[str, list[str], np.ndarray, np.ndarray]]:
    """Yields encoder, classes, targets (images, classes) and probabilities (images, classes)."""
    for encoder, rows in predictions.groupby("encoder", sort=False):
        classes = list(dict.fromkeys(rows["label"]))
        wide = rows.pivot(index="case_id", columns="label", values=["target", "probability"])
        targets, probabilities = (wide[name][classes].to_numpy() for name in ("target", "probability"))
        yield str(encoder), classes, targets, probabilities


def _add(
    figure: go.Figure,
    name: str,
    curve: tuple[np.ndarray, np.ndarray],
    style: dict,
    images: pd.Series | None = None,
) -> None:
    counted = "" if images is None else "%{text} images, "
    figure.add_scatter(
        x=curve[0].tolist(),
        y=curve[1].tolist(),
        text=None if images is None else images.tolist(),
        name=escape(name),
        mode="lines" if images is None else "lines+markers",
        line=style,
        marker={"size": 6},
        hovertemplate=f"{counted}%{{x:.3f}}, %{{y:.3f}}<extra>%{{fullData.name}}</extra>",
    )


def _diagonal(figure: go.Figure) -> None:
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"color": GRID, "dash": "dot"}, layer="below")
    figure.update_xaxes(range=[-0.02, 1.02])
    figure.update_yaxes(range=[-0.02, 1.02])
