"""The charts of an evaluation's report, drawn from results and from predictions."""

from collections.abc import Iterator
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots
from sklearn.metrics import confusion_matrix, roc_curve

from mermed_core.evaluation.report_names import subset_name
from mermed_core.evaluation.results import by_modality, of_tasks
from mermed_core.metrics.calibration import calibration_bins
from mermed_core.metrics.catalogue import AUROC, ECE, SCORES
from mermed_core.metrics.scores import auroc, unweighted
from mermed_core.reports import text
from mermed_core.reports.charts import GRID, INK, Styles, band, lay_out, marker_symbol

_COLUMNS = 2  # of panels
_POINTS = 200  # of a ROC curve
_MAX_WRITTEN = 12  # counts are written into the cells of matrices up to this size


def forest_chart(results: pd.DataFrame, styles: Styles) -> go.Figure | None:
    """Draws the AUROC of linear probes with intervals, by task and encoder."""
    rows = by_modality(of_tasks(results, "linear_probe", AUROC)).dropna(subset="value")
    if rows.empty:
        return None
    tasks = list(dict.fromkeys(rows["task"]))
    encoders = [encoder for encoder in styles if (rows["encoder"] == encoder).any()]
    step = 0.7 / len(encoders)
    figure = go.Figure()
    for position, encoder in enumerate(encoders):
        part = rows[rows["encoder"] == encoder]
        offset = (position - (len(encoders) - 1) / 2) * step
        figure.add_scatter(
            x=part["value"].tolist(),
            y=[tasks.index(task) + offset for task in part["task"]],
            error_x={
                "array": (part["high"] - part["value"]).fillna(0).tolist(),
                "arrayminus": (part["value"] - part["low"]).fillna(0).tolist(),
                "thickness": 1.5,
                "width": 3,
            },
            text=_estimates(part),
            hovertemplate="%{text}<extra>%{fullData.name}</extra>",
            name=escape(encoder),
            mode="markers",
            marker={"color": styles[encoder]["color"], "size": 8, "symbol": marker_symbol(styles[encoder])},
        )
    ticks = {"tickvals": list(range(len(tasks))), "ticktext": [escape(task) for task in tasks]}
    figure.update_yaxes(**ticks, range=[len(tasks) - 0.5, -0.5])
    return lay_out(figure, x="AUROC", y="", plot=len(tasks) * (20 + 13 * len(encoders)))


def subset_chart(results: pd.DataFrame, protocol: str, styles: Styles) -> go.Figure | None:
    """Draws the AUROC of one task against shots or share of labels, with the t-interval as a band."""
    rows = of_tasks(results, protocol, AUROC).dropna(subset="value")
    if rows.empty:
        return None
    rows = rows.assign(x=rows["shots"].where(rows["shots"] > 0, rows["share"]).astype(float))
    rows = rows.sort_values("x", kind="stable")
    figure = go.Figure()
    for encoder, style in styles.items():
        part = rows[rows["encoder"] == encoder]
        if part.empty:
            continue
        x, low, high = (part.dropna(subset=["low", "high"])[name].tolist() for name in ("x", "low", "high"))
        figure.add_trace(band(x, low, high, style))
        figure.add_scatter(
            x=part["x"].tolist(),
            y=part["value"].tolist(),
            text=_estimates(part),
            hovertemplate="%{text}<extra>%{fullData.name}</extra>",
            name=escape(encoder),
            mode="lines+markers",
            line=style,
        )
    sizes = rows[["x", "shots", "share"]].drop_duplicates("x")
    ticks = [subset_name(shots, share) for shots, share in zip(sizes["shots"], sizes["share"], strict=True)]
    figure.update_xaxes(type="log", tickvals=sizes["x"].tolist(), ticktext=ticks)
    return lay_out(figure, x="", y="AUROC")


def robustness_chart(results: pd.DataFrame, styles: Styles) -> go.Figure | None:
    """Draws the AUROC of one task by severity, one panel per corruption; severity 0 is the clean image."""
    rows = of_tasks(results, "robustness", AUROC)
    clean = rows[rows["corruption"] == ""].set_index("encoder")["value"]
    rows = rows[rows["severity"] > 0]
    corruptions = list(dict.fromkeys(rows["corruption"]))
    if not corruptions:
        return None
    lines = -(-len(corruptions) // _COLUMNS)
    figure = make_subplots(
        lines,
        _COLUMNS,
        subplot_titles=[escape(name) for name in corruptions],
        shared_yaxes="all",  # pyright: ignore[reportArgumentType]  # its annotation only knows bool
        vertical_spacing=0.38 / lines,
        horizontal_spacing=0.06,
    )
    for (corruption, encoder), part in rows.groupby(["corruption", "encoder"], sort=False):
        part = part.sort_values("severity")
        position = corruptions.index(corruption)
        figure.add_scatter(
            x=[0, *part["severity"]],
            y=[clean.get(encoder, np.nan), *part["value"]],
            name=escape(str(encoder)),
            legendgroup=encoder,
            showlegend=position == 0,
            mode="lines+markers",
            line=styles[str(encoder)],
            marker={"size": 4},
            hovertemplate="%{y:.3f}<extra>%{fullData.name}</extra>",
            row=position // _COLUMNS + 1,
            col=position % _COLUMNS + 1,
        )
    figure.update_annotations(font={"size": 12, "color": INK})
    return lay_out(figure, x="", y="", plot=125 * lines, top=24)


def roc_chart(predictions: pd.DataFrame, styles: Styles) -> go.Figure:
    """Draws a ROC curve for each encoder on one task, with its macro AUROC.

    For two exclusive classes it is the curve of the second; otherwise the mean over classes of the true
    positive rate at each false positive rate.
    """
    figure = go.Figure()
    exclusive = predictions["kind"].iloc[0] != "multilabel"
    for encoder, classes, targets, probabilities in _by_encoder(predictions):
        # The curves of two classes that exclude each other are mirror images.
        drawn = slice(1, None) if exclusive and len(classes) == 2 else slice(None)
        curve = roc_points(targets[:, drawn], probabilities[:, drawn])
        name = f"AUROC {unweighted(auroc, targets, probabilities):.3f} · {encoder}"
        _add_curve(figure, name, curve, styles[encoder])
    _add_diagonal(figure)
    return lay_out(figure, x="false positive rate", y="true positive rate")


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
    """Draws for each encoder on one task how often it is right at each confidence, with calibration error."""
    figure = go.Figure()
    kind = str(predictions["kind"].iloc[0])
    for encoder, _, targets, probabilities in _by_encoder(predictions):
        bins = calibration_bins(targets, probabilities, multilabel=kind == "multilabel")
        error = unweighted(SCORES[kind][ECE], targets, probabilities)
        curve = bins["confidence"].to_numpy(), bins["accuracy"].to_numpy()
        _add_curve(figure, f"ECE {error:.3f} · {encoder}", curve, styles[encoder], bins["images"])
    _add_diagonal(figure)
    return lay_out(figure, x="confidence", y="accuracy")


def confusion_chart(predictions: pd.DataFrame, colour: str) -> go.Figure:
    """Draws what an encoder predicts (columns) for each true class (rows), as shares of the row.

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
            hovertemplate="%{y} predicted as %{x}: %{text} images, %{z:.1%} of the row<extra></extra>",
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
    return lay_out(figure, x="predicted", y="true")


def _estimates(rows: pd.DataFrame) -> list[str]:
    return [text.number(*line) for line in rows[["value", "low", "high"]].itertuples(index=False)]


def _by_encoder(predictions: pd.DataFrame) -> Iterator[tuple[str, list[str], np.ndarray, np.ndarray]]:
    """Yields encoder, classes, targets (images, classes) and probabilities (images, classes)."""
    for encoder, rows in predictions.groupby("encoder", sort=False):
        classes = list(dict.fromkeys(rows["label"]))
        wide = rows.pivot(index="case_id", columns="label", values=["target", "probability"])
        targets, probabilities = (wide[name][classes].to_numpy() for name in ("target", "probability"))
        yield str(encoder), classes, targets, probabilities


def _add_curve(
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


def _add_diagonal(figure: go.Figure) -> None:
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"color": GRID, "dash": "dot"}, layer="below")
    figure.update_xaxes(range=[-0.02, 1.02])
    figure.update_yaxes(range=[-0.02, 1.02])
