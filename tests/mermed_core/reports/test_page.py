"""The report as one page: complete, of one piece, and quick to open."""

import json
import re
from dataclasses import replace
from html import unescape

import pandas as pd
import pytest

from mermed_core.evaluation.results import AUROC, Figure, to_frame
from mermed_core.reports.page import html_page, html_table
from mermed_core.reports.tables import Table


def page_of(results, published, **further):
    told = {"title": "Two encoders", "facts": {"Images": "120"}, "notes": {}} | further
    return html_page(results.figures, results.comparisons, results.predictions, published, **told)


@pytest.fixture(scope="module")
def page(results, published):
    return page_of(results, published, notes={"busi": "Small test split."})


def markup(page: str) -> str:
    return re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)


def test_every_heading_is_in_the_contents(page):
    headings = dict(re.findall(r'<h2 id="([^"]+)">([^<]+)</h2>', page))
    assert list(headings.values()) == [
        "Facts",
        "Read with care",
        "Overview",
        "AUROC by modality",
        "AUROC by task",
        "Differences between encoders",
        "Further metrics",
        "By class",
        "Subgroups",
        "k nearest neighbours",
        "Few-shot",
        "Label efficiency",
        "Fine-tuning",
        "Cross-validation",
        "Retrieval",
        "Robustness",
        "Charts by task",
    ]
    assert dict(re.findall(r'<a href="#([^"]+)">([^<]+)</a>', page)) == headings


def test_the_page_says_what_it_is_for_and_holds_the_numbers(page):
    text = unescape(markup(page))
    assert "Research use only." in text
    assert "Small test split." in text
    assert "<td>head_ct</td><td>CT</td><td>60</td><td>30</td><td>0.700 (0.650–0.740)</td>" in text
    assert "<td><strong>0.740 (0.690–0.780)</strong></td>" in text
    assert "<td>0.004**</td>" in text
    assert text.count("<table>") == text.count('<div class="scroll" tabindex="0"><table>')


def test_the_page_loads_nothing(page):
    assert not re.findall(r"\b(?:src|href)\s*=\s*.?(?!#)[a-z.:/]", markup(page))
    assert page.count("<script>") == 2
    assert not re.search(r"url\(|@import", re.findall(r"<style>(.*?)</style>", page, re.DOTALL)[0])


def test_charts_of_one_task_are_open_and_each_can_be_read(page):
    charts = re.findall(r'<script type="application/json">(.*?)</script>', page)
    # two tasks: ROC, calibration, few-shot, label efficiency, robustness, and a confusion of each encoder
    assert len(charts) == 1 + 2 * 7
    for chart in charts:
        assert json.loads(chart)["data"]
    by_task = page[page.index('id="charts-by-task"') :]
    assert by_task.count("<details open>") == 1
    assert "<details open><summary>head_ct" in by_task
    assert "<details><summary>busi" in by_task


def test_retrieval_by_class_is_folded_behind_the_whole(page):
    section = page[page.index('<h2 id="retrieval"') : page.index('<h2 id="robustness"')]
    assert section.index("<th>Precision at 10</th>") < section.index("<details>")
    assert re.findall(r"<details><summary>([^<]+)", section) == ["By class: random", "By class: better"]
    assert "<details open>" not in section


def test_an_encoder_has_one_colour_on_all_charts(page):
    charts = [
        json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', page)
    ]
    colours: dict[str, set[str]] = {"random": set(), "better": set()}
    for trace in (trace for chart in charts for trace in chart["data"] if trace.get("name")):
        style = trace["line"] if trace["mode"] != "markers" else trace["marker"]
        colours[trace["name"].rpartition(" · ")[2]].add(style["color"])
    assert colours == {"random": {"#0072B2"}, "better": {"#E69F00"}}


def test_names_of_others_are_no_markup(results_of, published):
    evil = "</script><b>x</b>"
    results = results_of({evil: ("ct", ("ill", evil, "third"))}, (evil, "better"))
    page = page_of(results, published, title=evil, facts={evil: evil}, notes={evil: evil})
    assert "<b>x" not in page
    assert page.count("&lt;/script&gt;&lt;b&gt;x") > 10


def test_sections_without_figures_are_left_out(results, published):
    figures = to_frame([Figure("a", "ct", "x", "knn", AUROC, 0.5)])
    page = html_page(
        figures, results.comparisons[:0], pd.DataFrame(), published, title="T", facts={}, notes={}
    )
    assert re.findall(r"<h2[^>]*>([^<]+)</h2>", page) == ["k nearest neighbours"]


def test_curves_of_other_protocols_are_drawn_where_there_is_no_linear_probe(results, published):
    predictions = results.predictions.assign(protocol="cross_validation")
    assert "ROC, cross-validation" in page_of(replace(results, predictions=predictions), published)
    both = pd.concat([predictions, results.predictions])
    page = page_of(replace(results, predictions=both), published)
    assert "ROC, linear probe" in page
    assert "ROC, cross-validation" not in page


def test_a_multi_label_task_has_no_confusion_matrix(results, published):
    predictions = results.predictions.assign(kind="multilabel")
    page = page_of(replace(results, predictions=predictions), published)
    assert "ROC, linear probe" in page
    assert "Confusion, linear" not in page


def test_a_table_marks_the_best_cell():
    table = Table("", ("a & b", "c"), (("x", "0.5"),), frozenset({(0, 1)}))
    assert "<th>a &amp; b</th><th>c</th>" in html_table(table)
    assert "<tr><td>x</td><td><strong>0.5</strong></td></tr>" in html_table(table)
