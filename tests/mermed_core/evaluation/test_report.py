"""The report of an evaluation: complete, of one piece, quick to open, and the same in Markdown."""

import json
import re
from dataclasses import replace
from html import unescape

import pandas as pd
import pytest

from mermed_core.evaluation.report import evaluation_report, write_report
from mermed_core.evaluation.results import Result, load_results, to_frame
from mermed_core.evaluation.runner import Evaluation
from mermed_core.metrics.catalogue import AUROC
from mermed_core.reports.render import render_html, render_markdown


def report_of(evaluation, published, **further):
    told = {"title": "Two encoders", "facts": {"Images": "120"}, "notes": {}} | further
    return evaluation_report(evaluation, published, **told)


def page_of(evaluation, published, **further):
    return render_html(report_of(evaluation, published, **further))


def alone(protocol, task="x", modality="ct") -> Evaluation:
    results = to_frame([Result("a", modality, task, protocol, AUROC, 0.75)])
    comparisons = pd.DataFrame({"protocol": [], "metric": []})
    return Evaluation(results, comparisons, pd.DataFrame(), left_out={}, unreadable={})


@pytest.fixture(scope="module")
def page(evaluation, published):
    return page_of(evaluation, published, notes={"busi": "Small test split."})


def markup(page: str) -> str:
    return re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)


def test_every_heading_is_in_the_contents(page):
    headings = dict(re.findall(r'<h2 id="([^"]+)">([^<]+)</h2>', page))
    assert list(headings.values()) == [
        "Facts",
        "Caveats",
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


def test_names_of_others_are_no_markup(evaluation_of, published):
    evil = "</script><b>x</b>"
    evaluation = evaluation_of({evil: ("ct", ("ill", evil, "third"))}, (evil, "better"))
    page = page_of(evaluation, published, title=evil, facts={evil: evil}, notes={evil: evil})
    assert "<b>x" not in page
    assert page.count("&lt;/script&gt;&lt;b&gt;x") > 10


def test_sections_without_results_are_left_out(published):
    page = page_of(alone("knn"), published, facts={})
    assert re.findall(r"<h2[^>]*>([^<]+)</h2>", page) == ["k nearest neighbours"]


def chart_titles(report) -> list[str]:
    by_task = [section for section in report.sections if section.title == "Charts by task"]
    folded = [folded for section in by_task for folded in section.blocks]
    return [chart.title for each in folded for block in each.blocks for chart in block.charts]


def test_curves_of_other_protocols_are_drawn_where_there_is_no_linear_probe(evaluation, published):
    predictions = evaluation.predictions.assign(protocol="cross_validation")
    report = report_of(replace(evaluation, predictions=predictions), published)
    assert "ROC, cross-validation" in chart_titles(report)
    both = pd.concat([predictions, evaluation.predictions])
    titles = chart_titles(report_of(replace(evaluation, predictions=both), published))
    assert "ROC, linear probe" in titles
    assert "ROC, cross-validation" not in titles


def test_a_multi_label_task_has_no_confusion_matrix(evaluation, published):
    predictions = evaluation.predictions.assign(kind="multilabel")
    titles = chart_titles(report_of(replace(evaluation, predictions=predictions), published))
    assert "ROC, linear probe" in titles
    assert not any(title.startswith("Confusion") for title in titles)


def sections(markdown: str) -> list[str]:
    return [line[3:] for line in markdown.splitlines() if line.startswith("## ")]


def test_the_markdown_has_every_table_with_a_sentence(evaluation, published, page):
    text = render_markdown(report_of(evaluation, published, notes={"busi": "Small test split."}))
    on_page = re.findall(r'<h2 id="[^"]+">([^<]+)</h2>', page)
    assert sections(text) == [title for title in on_page if title not in ("Overview", "Charts by task")]
    assert text.startswith("# Two encoders\n\n**Research use only.")
    assert "| head_ct | CT | 60 | 30 | 0.700 (0.650–0.740) | **0.740 (0.690–0.780)** |" in text
    assert "| Ultrasound | 0.720 (0.690–0.740) | **0.760 (0.730–0.780)** | 0.951 |" in text
    assert "- Images: 120" in text
    assert "- busi: Small test split." in text
    for words in ("bootstrap", "Holm", "t-interval", "other data", "2507.00185"):
        assert words in text
    assert "{" not in text
    for lines in text.split("\n\n"):
        bars = {line.count("|") for line in lines.splitlines() if line.startswith("|")}
        assert len(bars) <= 1  # as many cells in every row of a table


def test_the_sets_of_medmnist_have_a_section_of_their_own(published):
    report = report_of(alone("linear_probe", "chestmnist", "cxr"), published, facts={})
    text = render_markdown(report)
    assert "MedMNIST beside published results" in sections(text)
    assert "Scientific Data 10:41" in text


def test_nothing_measured_is_an_empty_report(published):
    nothing = replace(alone("knn"), results=to_frame([]))
    assert report_of(nothing, published, facts={}).sections == ()


def test_a_folder_holds_the_tables_and_both_reports(evaluation, tmp_path):
    write_report(tmp_path, evaluation, title="T", facts={}, notes={})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "comparisons.parquet",
        "predictions.parquet",
        "report.html",
        "report.md",
        "results.parquet",
    ]
    pd.testing.assert_frame_equal(load_results(tmp_path / "results.parquet"), evaluation.results)
    again = pd.read_parquet(tmp_path / "predictions.parquet")
    pd.testing.assert_frame_equal(again, evaluation.predictions)
