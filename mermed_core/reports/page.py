"""A report as one HTML page that needs nothing else: tables and charts."""

from collections.abc import Iterator
from html import escape
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from mermed_core.reports import text as words
from mermed_core.reports.charts import (
    Styles,
    encoder_styles,
    forest_chart,
    robustness_chart,
    setting_chart,
)
from mermed_core.reports.prediction_charts import calibration_chart, confusion_chart, roc_chart
from mermed_core.evaluation.published_results import Published
from mermed_core.reports.sections import RESEARCH_USE, Section, sections
from mermed_core.reports.selection import by_modality
from mermed_core.reports.tables import Table

_OVERVIEW = "Macro AUROC of linear probes on frozen embeddings, with 95 % intervals."
_CHARTS = (
    "An encoder has one colour everywhere. Bands: 95 % t-intervals over draws of training images. "
    "Robustness: AUROC by severity of a corruption, 0 is the clean image. ROC: of two classes that of the "
    "second, otherwise the mean over classes. Calibration: on the dotted line a probe is right as often as "
    "it is sure. Confusion: colours are shares of a row, numbers are images."
)
# Where a task has predictions of these protocols, those of others are not drawn.
_CHARTED = ("linear_probe", "fine_tuning")
_STYLE = Path(__file__).with_name("page.css")
# Nothing of the page leaves it: no logo with a link, no button that sends a figure away. What is folded in is
# drawn when it is opened, so that a page with hundreds of charts is there at once.
_DRAW = """
const config = {displaylogo: false, displayModeBar: false, responsive: true, showSendToCloud: false};
const draw = () => document.querySelectorAll(".chart").forEach(chart => {
  const figure = chart.querySelector("script");
  if (!figure || chart.closest("details:not([open])")) return;
  figure.remove();
  const {data, layout} = JSON.parse(figure.textContent);
  Plotly.newPlot(chart, data, layout, config);
});
addEventListener("load", draw);
addEventListener("toggle", draw, true);
"""


def html_page(
    figures: pd.DataFrame,
    comparisons: pd.DataFrame,
    predictions: pd.DataFrame,
    published: Published,
    *,
    title: str,
    facts: dict[str, str],
    notes: dict[str, str],
) -> str:
    """Returns the page; sections without figures are left out.

    Args:
        figures: with the columns of `figures.COLUMNS`.
        comparisons: with the fields of `comparisons.Comparison`; may be empty.
        predictions: encoder, protocol, task, modality, kind, case_id, label (class), target (0 or 1) and
            probability, a row for each image and class; may be empty.
        published: shown beside.
        title: heading.
        facts: what was measured with what, by name.
        notes: what a figure on a task cannot tell, by task, and why something was left out.
    """
    if predictions.empty:  # of a table without rows the columns may be lost
        predictions = predictions.reindex(columns=["encoder", "protocol", "task"])
    styles = encoder_styles([*figures["encoder"].unique(), *predictions["encoder"].unique()])
    forest = forest_chart(figures, styles)
    parts = [
        ("Facts", _entries(facts)),
        ("Read with care", _entries(notes)),
        ("Overview", "" if forest is None else _card(f"<p>{_OVERVIEW}</p>{_chart(forest)}")),
        *((section.title, _section(section)) for section in sections(figures, comparisons, published)),
        ("Charts by task", _charts_by_task(figures, predictions, styles)),
    ]
    return _document(title, {heading: html for heading, html in parts if html})


def _document(title: str, parts: dict[str, str]) -> str:
    links = "".join(f'<a href="#{_anchor(heading)}">{heading}</a>' for heading in parts)
    body = [
        f'<h1>{escape(title)}</h1><p class="warn">{RESEARCH_USE}</p><nav aria-label="Contents">{links}</nav>',
        *(f'<h2 id="{_anchor(heading)}">{heading}</h2>{html}' for heading, html in parts.items()),
    ]
    head = [
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE.read_text('utf-8')}</style>",
        f"<script>{get_plotlyjs()}</script><script>{_DRAW}</script>",
    ]
    page = f"<head>{''.join(head)}</head><body><main>{''.join(body)}</main></body>"
    return f'<!doctype html><html lang="en">{page}</html>'


def html_table(table: Table) -> str:
    """Returns a table in HTML, in a box of its own that scrolls; what is best in its row is strong."""
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    lines = "".join(
        f"<tr>{''.join(_cell(text, (row, column) in table.best) for column, text in enumerate(cells))}</tr>"
        for row, cells in enumerate(table.rows)
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )


def _cell(text: str, best: bool) -> str:
    return f"<td><strong>{escape(text)}</strong></td>" if best else f"<td>{escape(text)}</td>"


def _section(section: Section) -> str:
    made = [
        _folded(table.caption, html_table(table), opened=position == 0)
        for position, table in enumerate(section.tables)
    ]
    return f"<p>{escape(section.reading)}</p>{_card(''.join(made))}"


def _charts_by_task(figures: pd.DataFrame, predictions: pd.DataFrame, styles: Styles) -> str:
    made = []
    for task, rows in by_modality(figures).groupby("task", sort=False):
        charts = [
            *_prediction_charts(predictions[predictions["task"] == task], styles),
            *_task_charts(rows, styles),
        ]
        cards = "".join(
            _card(f"<h3>{escape(title)}</h3>{_chart(figure)}")
            for title, figure in charts
            if figure is not None
        )
        if cards:
            made.append(_folded(str(task), f'<div class="grid">{cards}</div>', opened=not made))
    return f"<p>{_CHARTS}</p>{''.join(made)}" if made else ""


def _task_charts(figures: pd.DataFrame, styles: Styles) -> Iterator[tuple[str, go.Figure | None]]:
    for protocol in ("few_shot", "label_efficiency"):
        yield words.protocol_name(protocol), setting_chart(figures, protocol, styles)
    yield words.protocol_name("robustness"), robustness_chart(figures, styles)


def _prediction_charts(predictions: pd.DataFrame, styles: Styles) -> Iterator[tuple[str, go.Figure]]:
    main = predictions[predictions["protocol"].isin(_CHARTED)]
    for protocol, rows in (predictions if main.empty else main).groupby("protocol", sort=False):
        name = words.protocol_name(str(protocol)).lower()
        yield f"ROC, {name}", roc_chart(rows, styles)
        yield f"Calibration, {name}", calibration_chart(rows, styles)
        if rows["kind"].iloc[0] != "multilabel":
            for encoder, part in rows.groupby("encoder", sort=False):
                colour = styles[str(encoder)]["color"]
                yield f"Confusion, {name}: {encoder}", confusion_chart(part, colour)


def _chart(figure: go.Figure) -> str:
    # Plotly writes < and > as escapes, so that no name in it can end the script.
    height = figure.layout["height"]
    return (
        f'<div class="chart" style="min-height: {height}px">'
        f'<script type="application/json">{figure.to_json()}</script></div>'
    )


def _entries(entries: dict[str, str]) -> str:
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries.items())
    return _card(f"<dl>{listed}</dl>") if entries else ""


def _folded(caption: str, html: str, *, opened: bool) -> str:
    if not caption:
        return html
    mark = " open" if opened else ""
    return f"<details{mark}><summary>{escape(caption)}</summary>{html}</details>"


def _card(html: str) -> str:
    return f'<div class="card">{html}</div>'


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-")
