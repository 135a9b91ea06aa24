"""A report as a page and as Markdown: every kind of block, and names that are no markup."""

import json
import re
from typing import Any

import plotly.graph_objects as go
import pytest
from jinja2 import UndefinedError

from mermed_core.reports.document import (
    Chart,
    Charts,
    Code,
    Facts,
    Folded,
    Note,
    Picture,
    Pictures,
    Report,
    Section,
    Table,
    Tables,
)
from mermed_core.reports.render import render_html, render_markdown

EVIL = '</script><b>x</b>\n| y *z* "q"'
TABLE = Table("", ("a & b", "c"), (("x", "0.5"),), frozenset({(0, 1)}))


def chart(name: str, title: str = "Curve") -> Charts:
    figure: Any = go.Figure(go.Scatter(x=[0], y=[1], name=name)).update_layout(height=123)
    return Charts((Chart(figure, title, "A note."),), {"CT": "#123456"})


def report(*blocks, title="Title", text="Read me.", contents=True) -> Report:
    return Report(title, (Note("Careful.", warning=True),), (Section("First part", text, blocks),), contents)


def body(page: str) -> str:
    return re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)


def test_a_table_marks_the_best_cell():
    page = render_html(report(Tables((TABLE,))))
    assert "<th>a &amp; b</th><th>c</th>" in page
    assert "<tr><td>x</td><td><strong>0.5</strong></td></tr>" in page
    assert "| x | **0.5** |" in render_markdown(report(Tables((TABLE,))))


def test_tables_with_a_caption_are_folded_behind_the_first():
    tables = Tables(tuple(Table(name, ("h",), (("v",),)) for name in ("one", "two", "three")))
    page = render_html(report(tables))
    assert re.findall(r"<details( open)?><summary>(\w+)", page) == [
        (" open", "one"),
        ("", "two"),
        ("", "three"),
    ]
    assert re.findall(r"^### (.*)$", render_markdown(report(tables)), re.MULTILINE) == ["one", "two", "three"]


def test_every_kind_of_block_is_on_the_page():
    picture = Picture("data:image/png;base64,AA==", ("query", "ill"), marked=True)
    blocks = (
        Facts({"Images": "12"}),
        Note("A note."),
        chart("line"),
        Pictures("CT", (picture,)),
        Code("[model]\nname = 'x'"),
        Folded("More", (Note("Hidden."),)),
    )
    page = render_html(report(*blocks))
    for markup in (
        "<dt>Images</dt><dd>12</dd>",
        '<p class="soft">A note.</p>',
        '<p class="warn">Careful.</p>',
        "<h3>Curve</h3>",
        'style="min-height: 123px"',
        '<i style="background: #123456"></i>CT',
        '<figure class="query"><img src="data:image/png;base64,AA==" alt="">'
        "<figcaption>query<br>ill</figcaption></figure>",
        "<pre>[model]\nname = &#39;x&#39;</pre>",
        "<details><summary>More</summary>",
        '<h2 id="first-part">First part</h2>',
        '<a href="#first-part">First part</a>',
    ):
        assert markup in page
    (drawn,) = re.findall(r'<script type="application/json">(.*?)</script>', page)
    assert json.loads(drawn)["data"][0]["name"] == "line"
    assert "<nav" not in render_html(report(*blocks, contents=False))


def test_the_page_loads_nothing():
    page = render_html(report(chart("line")))
    assert not re.findall(r"\b(?:src|href)\s*=\s*.?(?!#)[a-z.:/]", body(page))
    assert page.count("<script>") == 2
    assert not re.search(r"url\(|@import", re.findall(r"<style>(.*?)</style>", page, re.DOTALL)[0])


def test_names_of_others_are_no_markup_on_a_page():
    table = Table(EVIL, (EVIL,), ((EVIL,),))
    blocks = (Tables((table,)), Facts({EVIL: EVIL}), Note(EVIL), chart(EVIL, EVIL), Code(EVIL))
    page = render_html(report(*blocks, Folded(EVIL, (Note(EVIL),)), title=EVIL, text=EVIL))
    assert "<b>x" not in page
    assert page.count("&lt;/script&gt;&lt;b&gt;x") >= 12


def test_names_of_others_cannot_break_markdown():
    table = Table("", ("a|b", "c"), (("<b>x</b>\n| y", "*0.5*"),), frozenset({(0, 1)}))
    text = render_markdown(report(Tables((table,)), Facts({EVIL: "# no heading"})))
    assert r"| a\|b | c |" in text.splitlines()
    assert "| --- | --- |" in text.splitlines()
    assert r"| \<b>x\</b> \| y | **\*0.5\*** |" in text.splitlines()
    assert r'- \</script>\<b>x\</b> \| y \*z\* "q": # no heading' in text.splitlines()


def test_markdown_leaves_out_what_only_a_page_can_show():
    sections = (
        Section("Only charts", "", (chart("line"), Folded("x", (chart("line"),)))),
        Section("Both", "Why.", (chart("line"), Note("Text."), Code("a\n  b"))),
    )
    text = render_markdown(Report("T", (), sections))
    assert text == "# T\n\n## Both\n\nWhy.\n\nText.\n\n    a\n      b\n"


def test_something_that_is_no_block_is_an_error():
    with pytest.raises(UndefinedError, match="kind"):
        render_html(Report("T", (), (Section("S", "", (object(),)),)))  # type: ignore[arg-type]
