"""Turns a report into one HTML page that needs nothing else, or into Markdown."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from mermed_core.reports.document import Block, Chart, Folded, Report

_FOLDER = Path(__file__).parent
_ONLY_ON_PAGES = ("charts", "pictures")


def render_html(report: Report) -> str:
    """Returns a page that loads nothing from elsewhere and sends nothing away."""
    return _environment().get_template("report.html").render(report=report)


def render_markdown(report: Report) -> str:
    """Returns the report as text, without charts and pictures and without sections that hold nothing else."""
    sections = [section for section in report.sections if any(map(_in_text, section.blocks))]
    text = _environment().get_template("report.md").render(report=report, sections=sections)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"anchor": _anchor, "json": _chart_json, "line": _markdown_line}
    environment.tests["in_text"] = _in_text
    environment.globals |= {
        "style": Markup((_FOLDER / "report.css").read_text(encoding="utf-8")),
        "draw_charts": Markup((_FOLDER / "report.js").read_text(encoding="utf-8")),
        "plotly": lambda: Markup(get_plotlyjs()),
    }
    return environment


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower())


def _chart_json(chart: Chart) -> Markup:
    # Plotly escapes < and >, so that no name in it can end the script element.
    return Markup(chart.figure.to_json())


def _in_text(block: Block) -> bool:
    if isinstance(block, Folded):
        return any(map(_in_text, block.blocks))
    return block.kind not in _ONLY_ON_PAGES


def _markdown_line(text: str) -> str:
    """Returns text that Markdown shows as it is, in a single line."""
    return re.sub(r"([\\`*\[\]<|])", r"\\\1", " ".join(text.split()))
