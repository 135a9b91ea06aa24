"""The curves of a run, drawn from its logs."""

from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from mermed_core.modalities import MODALITIES

Lines = list[dict[str, Any]]

# Readable on white and on black, as the page may be either.
_INK = "#7d8796"
_GRID = "rgba(125, 135, 150, 0.25)"
_ACCENT = "#4a7fd6"


@dataclass(frozen=True)
class Curve:
    """A small chart: what the log holds under `key`, a number or a table by modality.

    Attributes:
        title: heading in words.
        key: of a log line.
        axis: of the values, with the unit.
        note: a sentence below the heading.
    """

    title: str
    key: str
    axis: str
    note: str


LOG_CURVES = (
    Curve("Loss", "loss", "cross-entropy, nats", "Memory consistency. It rises while the memory fills."),
    Curve("KoLeo", "koleo", "−log distance, nats", "Falls as embeddings spread."),
    Curve("Distillation", "distillation", "1 − cosine", "Distance to the frozen encoder."),
    Curve("Gradient norm", "gradient_norm", "global norm", "Before clipping."),
    Curve(
        "Spread of the batch", "embedding_std", "standard deviation × √dim", "1: at random. 0: a collapse."
    ),
    Curve("Memory", "memory", "share filled", "Every ring, by modality."),
    Curve("Learning rate", "learning_rate", "rate", "As applied, before the decay by layer."),
    Curve("Weight decay", "weight_decay", "factor", "As applied."),
    Curve("Teacher momentum", "momentum", "share kept", "As applied."),
    Curve("Teacher temperature", "teacher_temperature", "temperature", "As applied."),
    Curve("KoLeo weight", "koleo_weight", "factor", "As applied."),
    Curve("Distillation weight", "distillation_weight", "factor", "As applied."),
    Curve("Speed", "images_per_second", "images/s", "All processes together."),
)
SIGHT_CURVES = (
    Curve("kNN AUROC", "knn_auroc", "AUROC", "Votes of 20 neighbours of other patients, val split."),
    Curve("Rank", "embedding_rank", "effective rank", "Directions over which the val embeddings spread."),
    Curve("Spread", "embedding_std", "standard deviation", "Of the val embeddings. 0: a collapse."),
)


def draw(curve: Curve, lines: Lines) -> go.Figure | None:
    """Returns the chart, or None where the log holds nothing of it."""
    series: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in _values(line.get(curve.key)).items():
            series.setdefault(name, []).append((line["step"], value))
    if not any(value for points in series.values() for _, value in points):
        return None
    figure = go.Figure()
    for name, points in series.items():
        steps, values = zip(*points, strict=True)
        modality = MODALITIES.get(name.partition("/")[0])
        task = name.partition("/")[2]
        figure.add_scatter(
            x=list(steps),
            y=list(values),
            name=f"{modality.name} · {task}" if modality and task else modality.name if modality else name,
            mode="lines+markers" if len(points) < 30 else "lines",
            line={"width": 2, "color": modality.colour if modality else _ACCENT},
            marker={"size": 5},
        )
    return _laid_out(figure, curve)


def _values(value: Any) -> dict[str, float]:
    """Returns the numbers in a log's value under names such as ct/busi; one number alone under no name."""
    if isinstance(value, dict):
        return {
            f"{key}/{inner}" if inner else str(key): number
            for key, each in value.items()
            for inner, number in _values(each).items()
        }
    return {"": float(value)} if isinstance(value, int | float) else {}


def _laid_out(figure: go.Figure, curve: Curve) -> go.Figure:
    axis = {"gridcolor": _GRID, "zeroline": False, "linecolor": _GRID, "automargin": True}
    return figure.update_layout(
        template="none",
        height=260,
        margin={"l": 58, "r": 12, "t": 8, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": _INK, "size": 12, "family": "system-ui, sans-serif"},
        xaxis={**axis, "title": {"text": "step"}},
        yaxis={**axis, "title": {"text": curve.axis}},
        showlegend=False,  # the page has one for all charts
        hovermode="closest",
    )
