"""A report as Markdown: every table, each with a sentence that says how to read it."""

import re

import pandas as pd

from mermed_core.evaluation.published_results import Published
from mermed_core.reports.sections import RESEARCH_USE, Section, sections
from mermed_core.reports.tables import Table


def markdown_report(
    figures: pd.DataFrame,
    comparisons: pd.DataFrame,
    published: Published,
    *,
    title: str,
    facts: dict[str, str],
    notes: dict[str, str],
) -> str:
    """Returns the report; sections without figures are left out.

    Args:
        figures: with the columns of `figures.COLUMNS`.
        comparisons: with the fields of `comparisons.Comparison`; may be empty.
        published: shown beside.
        title: heading.
        facts: what was measured with what, by name.
        notes: what a figure on a task cannot tell, by task, and why something was left out.
    """
    parts = [f"# {_escaped(title)}", f"**{RESEARCH_USE}**", _listed(facts)]
    if notes:
        parts += ["## Read with care", _listed(notes)]
    parts += [_section(section) for section in sections(figures, comparisons, published)]
    return "\n\n".join(part for part in parts if part) + "\n"


def markdown_table(table: Table) -> str:
    """Returns a table in Markdown, what is best in its row in bold."""
    lines = [
        [
            f"**{_escaped(cell)}**" if (row, column) in table.best else _escaped(cell)
            for column, cell in enumerate(cells)
        ]
        for row, cells in enumerate(table.rows)
    ]
    head = [[_escaped(name) for name in table.header], ["---"] * len(table.header)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [*head, *lines])


def _section(section: Section) -> str:
    parts = [f"## {section.title}", _escaped(section.reading)]
    for table in section.tables:
        parts += [f"### {_escaped(table.caption)}"] * bool(table.caption) + [markdown_table(table)]
    return "\n\n".join(parts)


def _listed(entries: dict[str, str]) -> str:
    return "\n".join(f"- {_escaped(name)}: {_escaped(text)}" for name, text in entries.items())


def _escaped(text: str) -> str:
    """Returns text that shows as it is, in one line: names and classes come from tables of others."""
    return re.sub(r"([\\`*\[\]<|])", r"\\\1", " ".join(text.split()))
