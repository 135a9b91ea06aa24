"""Charts from figures: the values of the table, one look for an encoder."""

from typing import Any

import pytest

from mermed_core.reports.charts import encoder_styles, forest_chart, robustness_chart, setting_chart
from mermed_core.evaluation.results import AUROC, Figure, to_frame


@pytest.fixture
def styles():
    return encoder_styles(["random", "better"])


def named(figure: Any) -> dict[str, list[Any]]:
    """Returns the traces with a name by it, in their order."""
    found: dict[str, list[Any]] = {}
    for trace in figure.data:
        if trace.name:
            found.setdefault(trace.name, []).append(trace)
    return found


def test_every_encoder_has_its_own_line():
    styles = encoder_styles([f"encoder {number}" for number in (*range(18), 0, 1)])
    assert len(styles) == 18
    assert len({tuple(style.values()) for style in styles.values()}) == 18
    assert styles["encoder 0"]["color"] == "#0072B2"


def test_the_forest_holds_values_and_intervals(results, styles):
    figure: Any = forest_chart(results.figures, styles)
    assert list(figure.layout.yaxis.ticktext) == ["head_ct", "busi"]
    (better,) = named(figure)["better"]
    assert list(better.x) == pytest.approx([0.74, 0.76])
    assert list(better.error_x.array) == pytest.approx([0.04, 0.04])
    assert list(better.error_x.arrayminus) == pytest.approx([0.05, 0.05])
    assert better.text == ("0.740 (0.690–0.780)", "0.760 (0.710–0.800)")
    assert better.marker.color == styles["better"]["color"]
    rows = {round(value) for trace in figure.data for value in trace.y}
    assert rows == {0, 1}


def test_few_shot_is_drawn_over_a_log_axis_with_a_band(results, styles):
    task = results.figures[results.figures["task"] == "head_ct"].sample(frac=1, random_state=0)
    figure: Any = setting_chart(task, "few_shot", styles)
    (line,) = named(figure)["random"]
    assert list(line.x) == [1, 4, 16]
    assert list(line.y) == pytest.approx([0.5, 0.65, 0.6875])
    band = figure.data[0]
    assert list(zip(band.x, band.y, strict=True)) == [
        (1, pytest.approx(0.52)),
        (4, pytest.approx(0.67)),
        (16, pytest.approx(0.7075)),
        (16, pytest.approx(0.6675)),
        (4, pytest.approx(0.63)),
        (1, pytest.approx(0.48)),
    ]
    assert band.fillcolor == "rgba(0, 114, 178, 0.15)"
    assert figure.layout.xaxis.type == "log"
    assert list(figure.layout.xaxis.ticktext) == ["1-shot", "4-shot", "16-shot"]


def test_all_labels_have_a_point_and_no_band(results, styles):
    task = results.figures[results.figures["task"] == "head_ct"]
    figure: Any = setting_chart(task, "label_efficiency", styles)
    (line,) = named(figure)["random"]
    assert list(line.x) == [0.01, 0.1, 1.0]
    assert sorted(set(figure.data[0].x)) == [0.01, 0.1]


def test_robustness_has_a_panel_for_each_corruption_from_the_clean_image_on(results, styles):
    task = results.figures[results.figures["task"] == "head_ct"]
    figure: Any = robustness_chart(task, styles)
    assert [panel.text for panel in figure.layout.annotations] == ["noise", "blur"]
    noise, blur = named(figure)["random"]
    assert (list(noise.x), list(blur.x)) == ([0, 1, 5], [0, 1, 5])
    assert list(noise.y) == pytest.approx([0.7, 0.69, 0.65])
    assert list(blur.y) == pytest.approx([0.7, 0.67, 0.61])
    assert (noise.xaxis, blur.xaxis) == ("x", "x2")
    assert [noise.showlegend, blur.showlegend] == [True, False]
    assert noise.line.color == blur.line.color == styles["random"]["color"]


def test_nothing_is_drawn_of_nothing(styles):
    nothing = to_frame([])
    assert forest_chart(nothing, styles) is None
    assert setting_chart(nothing, "few_shot", styles) is None
    assert robustness_chart(nothing, styles) is None


def test_names_are_no_markup_in_a_chart():
    figures = to_frame([Figure("<b>x</b>", "ct", "<i>t</i>", "linear_probe", AUROC, 0.5)])
    figure: Any = forest_chart(figures, encoder_styles(["<b>x</b>"]))
    assert figure.data[0].name == "&lt;b&gt;x&lt;/b&gt;"
    assert figure.layout.yaxis.ticktext == ("&lt;i&gt;t&lt;/i&gt;",)
