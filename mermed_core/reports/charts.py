"""The charts of a report that are drawn from figures alone."""

from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import hex_to_rgb
from plotly.subplots import make_subplots

from mermed_core.reports import text as words
from mermed_core.evaluation.results import AUROC
from mermed_core.evaluation.protocols.robustness import CLEAN, MEAN
from mermed_core.reports.selection import by_modality, overall

Styles = dict[str, dict[str, Any]]

# Readable on white and on black, as the page may be either.
INK = "#7d8796"
GRID = "rgba(125, 135, 150, 0.25)"
# The colours of Okabe and Ito (2008) without yellow and black, which one of the two would swallow.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_DASHES = ("solid", "dash", "dot")
_LEGEND_LINE = 22
_COLUMNS = 2


def encoder_styles(encoders: Iterable[str]) -> Styles:
    """Returns the line of each encoder; the same on every chart of a report."""
    return {
        encoder: {
            "color": _COLOURS[position % len(_COLOURS)],
            "dash": _DASHES[position // len(_COLOURS) % len(_DASHES)],
            "width": 2,
        }
        for position, encoder in enumerate(dict.fromkeys(encoders))
    }


def forest_chart(figures: pd.DataFrame, styles: Styles) -> go.Figure | None:
    """Draws the AUROC of linear probes with intervals, by task and encoder."""
    rows = by_modality(overall(figures, "linear_probe", AUROC)).dropna(subset="value")
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
            text=[words.number(*line) for line in part[["value", "low", "high"]].itertuples(index=False)],
            hovertemplate="%{text}<extra>%{fullData.name}</extra>",
            name=escape(encoder),
            mode="markers",
            marker={"color": styles[encoder]["color"], "size": 8, "symbol": _symbol(styles[encoder])},
        )
    ticks = {"tickvals": list(range(len(tasks))), "ticktext": [escape(task) for task in tasks]}
    figure.update_yaxes(**ticks, range=[len(tasks) - 0.5, -0.5])
    return laid_out(figure, x="AUROC", y="", plot=len(tasks) * (20 + 13 * len(encoders)))


def setting_chart(figures: pd.DataFrame, protocol: str, styles: Styles) -> go.Figure | None:
    """Draws the AUROC of one task against shots or the share of labels, with the t-interval as a band."""
    rows = overall(figures, protocol, AUROC).dropna(subset="value")
    if rows.empty:
        return None
    rows = rows.assign(x=rows["setting"].map(words.setting_number)).sort_values("x", kind="stable")
    figure = go.Figure()
    for encoder, style in styles.items():
        part = rows[rows["encoder"] == encoder]
        if part.empty:
            continue
        figure.add_trace(_band(part.dropna(subset=["low", "high"]), style))
        figure.add_scatter(
            x=part["x"].tolist(),
            y=part["value"].tolist(),
            text=[words.number(*line) for line in part[["value", "low", "high"]].itertuples(index=False)],
            hovertemplate="%{text}<extra>%{fullData.name}</extra>",
            name=escape(encoder),
            mode="lines+markers",
            line=style,
        )
    ticks = dict(zip(rows["x"], rows["setting"].map(words.setting_name), strict=True))
    figure.update_xaxes(type="log", tickvals=list(ticks), ticktext=list(ticks.values()))
    return laid_out(figure, x="", y="AUROC")


def robustness_chart(figures: pd.DataFrame, styles: Styles) -> go.Figure | None:
    """Draws the AUROC of one task against severity, a panel a corruption; severity 0 is the clean image."""
    rows = overall(figures, "robustness", AUROC)
    clean = rows[rows["setting"] == CLEAN].set_index("encoder")["value"]
    rows = rows[~rows["setting"].isin([CLEAN, MEAN])]
    rows = rows.assign(
        kind=rows["setting"].map(words.setting_kind), severity=rows["setting"].map(words.setting_number)
    )
    kinds = list(dict.fromkeys(rows["kind"]))
    if not kinds:
        return None
    lines = -(-len(kinds) // _COLUMNS)
    figure = make_subplots(
        lines,
        _COLUMNS,
        subplot_titles=[escape(kind) for kind in kinds],
        shared_yaxes="all",  # pyright: ignore[reportArgumentType]  # its annotation knows bool alone
        vertical_spacing=0.38 / lines,
        horizontal_spacing=0.06,
    )
    for (kind, encoder), part in rows.groupby(["kind", "encoder"], sort=False):
        part = part.sort_values("severity")
        position = kinds.index(kind)
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
    return laid_out(figure, x="", y="", plot=125 * lines, top=24)


def laid_out(figure: go.Figure, *, x: str, y: str, plot: int = 280, top: int = 8) -> go.Figure:
    """Gives a chart the look of the report; room for its legend is added below the plot.

    Args:
        figure: changed in place.
        x: title of the horizontal axis.
        y: title of the vertical axis.
        plot: height of the plot in pixels.
        top: height above it.
    """
    entries = len(list(figure.select_traces(_in_legend)))
    bottom = 54 if x else 30
    axis = {"gridcolor": GRID, "zeroline": False, "linecolor": GRID, "ticks": "", "automargin": True}
    figure.update_xaxes(**axis, title={"text": x, "standoff": 8})
    figure.update_yaxes(**axis, title={"text": y, "standoff": 8})
    return figure.update_layout(
        template="none",
        height=top + plot + bottom + _LEGEND_LINE * entries,
        margin={"l": 52 if y else 16, "r": 12, "t": top, "b": bottom + _LEGEND_LINE * entries},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": INK, "size": 12, "family": "system-ui, sans-serif"},
        legend={"x": 0, "y": -bottom / plot, "xanchor": "left", "yanchor": "top", "tracegroupgap": 0},
        showlegend=entries > 0,
        hovermode="closest",
    )


def _band(rows: pd.DataFrame, style: dict[str, Any]) -> go.Scatter:
    return go.Scatter(
        x=[*rows["x"], *rows["x"][::-1]],
        y=[*rows["high"], *rows["low"][::-1]],
        fill="toself",
        mode="lines",
        fillcolor=f"rgba{(*hex_to_rgb(style['color']), 0.15)}",
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )


def _in_legend(trace: Any) -> bool:
    return trace.type == "scatter" and trace.showlegend is not False


def _symbol(style: dict[str, Any]) -> str:
    return ("circle", "diamond", "square")[_DASHES.index(style["dash"])]
