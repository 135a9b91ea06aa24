"""The look that all charts share: readable on white and on black, as a page may be either."""

from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.colors import hex_to_rgb

Styles = dict[str, dict[str, Any]]

INK = "#7d8796"
GRID = "rgba(125, 135, 150, 0.25)"
ACCENT = "#4a7fd6"  # of a line that stands for nothing in particular
# The colours of Okabe and Ito (2008) without yellow and black, which are invisible on white or on black.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_DASHES = ("solid", "dash", "dot")
_SYMBOLS = {"solid": "circle", "dash": "diamond", "dot": "square"}
_LEGEND_LINE = 22


def line_styles(names: Iterable[str]) -> Styles:
    """Returns a line style for each name, so that it looks the same in every chart of a report."""
    return {
        name: {
            "color": _COLOURS[position % len(_COLOURS)],
            "dash": _DASHES[position // len(_COLOURS) % len(_DASHES)],
            "width": 2,
        }
        for position, name in enumerate(dict.fromkeys(names))
    }


def marker_symbol(style: dict[str, Any]) -> str:
    """Returns the marker that goes with the dashes of a line style."""
    return _SYMBOLS[style["dash"]]


def band(
    x: Sequence[float], low: Sequence[float], high: Sequence[float], style: dict[str, Any]
) -> go.Scatter:
    """Returns an area between two lines in the colour of a line style."""
    return go.Scatter(
        x=[*x, *reversed(x)],
        y=[*high, *reversed(low)],
        fill="toself",
        mode="lines",
        fillcolor=f"rgba{(*hex_to_rgb(style['color']), 0.15)}",
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
    )


def lay_out(
    figure: go.Figure, *, x: str, y: str, plot: int = 280, top: int = 8, legend: bool = True
) -> go.Figure:
    """Gives a figure the look of a report; room for its legend is added below the plot.

    Args:
        figure: changed in place.
        x: title of the horizontal axis.
        y: title of the vertical axis.
        plot: height of the plot in pixels.
        top: height above it in pixels.
        legend: whether the lines are named below the plot.
    """
    entries = len(list(figure.select_traces(_in_legend))) if legend else 0
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


def _in_legend(trace: Any) -> bool:
    return trace.type == "scatter" and trace.showlegend is not False
