"""The report as Markdown."""

from mermed_core.evaluation.results import AUROC, Figure, to_frame
from mermed_core.reports.markdown import markdown_report, markdown_table
from mermed_core.reports.tables import Table


def headings(report: str) -> list[str]:
    return [line[3:] for line in report.splitlines() if line.startswith("## ")]


def test_every_section_stands_in_the_report_with_a_sentence(results, published):
    report = markdown_report(
        results.figures,
        results.comparisons,
        published,
        title="Four encoders",
        facts={"Images": "120"},
        notes={"busi": "Small test split."},
    )
    assert headings(report) == [
        "Read with care",
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
    ]
    assert report.startswith("# Four encoders\n\n**Research use only.")
    assert "| head_ct | CT | 60 | 30 | 0.700 (0.650–0.740) | **0.740 (0.690–0.780)** |" in report
    assert "| Ultrasound | 0.720 (0.690–0.740) | **0.760 (0.730–0.780)** | 0.951 |" in report
    assert "- Images: 120" in report
    assert "- busi: Small test split." in report
    for told in ("bootstrap", "Holm", "t-interval", "other data", "2507.00185"):
        assert told in report
    assert "{" not in report
    for lines in report.split("\n\n"):
        bars = {line.count("|") for line in lines.splitlines() if line.startswith("|")}
        assert len(bars) <= 1  # as many cells in every row of a table


def test_sections_without_figures_are_left_out(results, published):
    figures = to_frame([Figure("a", "ct", "x", "knn", AUROC, 0.5)])
    nothing = {"title": "T", "facts": {}, "notes": {}}
    assert headings(markdown_report(figures, results.comparisons[:0], published, **nothing)) == [
        "k nearest neighbours"
    ]
    assert headings(markdown_report(figures[:0], results.comparisons[:0], published, **nothing)) == []


def test_the_sets_of_medmnist_have_a_section_of_their_own(results, published):
    figures = to_frame([Figure("a", "cxr", "chestmnist", "linear_probe", AUROC, 0.75)])
    report = markdown_report(figures, results.comparisons[:0], published, title="T", facts={}, notes={})
    assert "MedMNIST beside published figures" in headings(report)
    assert "Scientific Data 10:41" in report


def test_names_of_others_cannot_break_a_table():
    table = Table("", ("a|b", "c"), (("<b>x</b>\n| y", "*0.5*"),), frozenset({(0, 1)}))
    assert markdown_table(table).splitlines() == [
        r"| a\|b | c |",
        "| --- | --- |",
        r"| \<b>x\</b> \| y | **\*0.5\*** |",
    ]
