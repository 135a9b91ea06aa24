"""The look that charts share."""

from typing import Any

import plotly.graph_objects as go
import pytest

from mermed_core.reports.charts import band, lay_out, line_styles, marker_symbol


def test_every_name_has_its_own_line():
    styles = line_styles([f"encoder {number}" for number in (*range(18), 0, 1)])
    assert len(styles) == 18
    assert len({tuple(style.values()) for style in styles.values()}) == 18
    assert styles["encoder 0"]["color"] == "#0072B2"
    assert {marker_symbol(style) for style in styles.values()} == {"circle", "diamond", "square"}


def test_a_band_goes_up_on_one_side_and_back_on_the_other():
    area: Any = band([1, 2], [0.1, 0.2], [0.3, 0.4], line_styles(["a"])["a"])
    assert list(zip(area.x, area.y, strict=True)) == [(1, 0.3), (2, 0.4), (2, 0.2), (1, 0.1)]
    assert area.fillcolor == "rgba(0, 114, 178, 0.15)"


@pytest.mark.parametrize(("legend", "lines"), [(True, 2), (False, 0)])
def test_the_legend_has_room_below_the_plot(legend, lines):
    figure: Any = go.Figure([go.Scatter(x=[0], y=[0], name=name) for name in "ab"])
    lay_out(figure, x="x", y="y", plot=100, legend=legend)
    assert figure.layout.showlegend is legend
    assert figure.layout.height == 8 + 100 + 54 + 22 * lines
    assert figure.layout.height - figure.layout.margin.t - figure.layout.margin.b == 100
