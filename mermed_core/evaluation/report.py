"""The report of an evaluation: every table and chart, with sentences that say how to read them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mermed_core.evaluation import report_tables as tables
from mermed_core.evaluation.published_results import Published, load_published
from mermed_core.evaluation.report_charts import (
    calibration_chart,
    confusion_chart,
    forest_chart,
    robustness_chart,
    roc_chart,
    subset_chart,
)
from mermed_core.evaluation.report_names import protocol_name
from mermed_core.evaluation.results import by_modality, save_results
from mermed_core.evaluation.retrieval_space_section import retrieval_space_section
from mermed_core.evaluation.runner import Evaluation
from mermed_core.evaluation.unseen_sources_section import unseen_sources_section
from mermed_core.metrics.catalogue import AUROC
from mermed_core.models.model_metrics import UNSEEN_SOURCE
from mermed_core.records import RESEARCH_ONLY
from mermed_core.reports.charts import Styles, line_styles
from mermed_core.reports.document import Chart, Charts, Facts, Folded, Note, Report, Section, Table, Tables
from mermed_core.reports.render import render_html, render_markdown

# What every folder of a report holds, see `write_report`.
RESULTS, COMPARISONS, PREDICTIONS = "results.parquet", "comparisons.parquet", "predictions.parquet"
RETRIEVAL_SPACES = "retrieval_spaces.parquet"  # where that protocol was asked for
# Where a task has predictions of these protocols, those of other protocols are not drawn.
_CHARTED = ("linear_probe", "fine_tuning")

_OVERVIEW = "Macro AUROC of linear probes on frozen embeddings, with 95 % intervals."
_CHARTS = (
    "Each encoder has the same colour in all charts. Bands: 95 % t-intervals over random training subsets. "
    "Robustness: AUROC by severity of a corruption; 0 is the clean image. ROC: for two classes the curve of "
    "the second, otherwise the mean over classes. Calibration: on the dotted line a probe is right as often "
    "as it is confident. Confusion: colours are shares of a row, numbers are images."
)
_INTERVAL = (
    "In brackets the 95 % interval, from a bootstrap that draws whole groups (patients, lesions or tiles of "
    "origin) with replacement."
)
_REPEATS = (
    "The values are means over random training subsets, with the 95 % t-interval in brackets: it shows how "
    "much the choice of training images matters, not how few test images there are."
)


def write_report(
    folder: Path, evaluation: Evaluation, *, title: str, facts: Mapping[str, str], notes: Mapping[str, str]
) -> None:
    """Writes results, comparisons and predictions as parquet, and report.md and report.html made from them.

    What was measured on unseen sources is written for the first encoder, which the report is about.

    Args:
        folder: exists and is empty (a staging folder of `files.write_folder`).
        evaluation: what was measured.
        title: heading.
        facts: what was measured with what, by name.
        notes: how far the results on a task can be trusted, by task, and why something was left out.
    """
    save_results(folder / RESULTS, evaluation.results)
    evaluation.comparisons.to_parquet(folder / COMPARISONS, index=False)
    evaluation.predictions.to_parquet(folder / PREDICTIONS, index=False)
    if len(evaluation.retrieval_spaces):
        evaluation.retrieval_spaces.to_parquet(folder / RETRIEVAL_SPACES, index=False)
    if evaluation.unseen_sources:
        next(iter(evaluation.unseen_sources.values())).save(folder / UNSEEN_SOURCE)
    report = evaluation_report(evaluation, load_published(), title=title, facts=facts, notes=notes)
    (folder / "report.md").write_text(render_markdown(report), encoding="utf-8")
    (folder / "report.html").write_text(render_html(report), encoding="utf-8")


def evaluation_report(
    evaluation: Evaluation,
    published: Published,
    *,
    title: str,
    facts: Mapping[str, str],
    notes: Mapping[str, str],
) -> Report:
    """Returns the report; sections without results are left out.

    Args:
        evaluation: what was measured.
        published: shown beside it.
        title: heading.
        facts: what was measured with what, by name.
        notes: how far the results on a task can be trusted, by task, and why something was left out.
    """
    results, predictions = evaluation.results, evaluation.predictions
    if predictions.empty:  # a table without rows may have lost its columns
        predictions = predictions.reindex(columns=["encoder", "protocol", "task"])
    styles = line_styles([*results["encoder"].unique(), *predictions["encoder"].unique()])
    sections = []
    if facts:
        sections.append(Section("Facts", "", (Facts(facts),)))
    if notes:
        sections.append(Section("Caveats", "", (Facts(notes),)))
    if (overview := forest_chart(results, styles)) is not None:
        sections.append(Section("Overview", _OVERVIEW, (Charts((Chart(overview),)),)))
    if evaluation.unseen_sources:
        sections.append(unseen_sources_section(evaluation.unseen_sources))
    if len(evaluation.retrieval_spaces):
        sections.append(retrieval_space_section(evaluation.retrieval_spaces))
    sections += _table_sections(results, evaluation.comparisons, published)
    if charts := tuple(_charts_by_task(results, predictions, styles)):
        sections.append(Section("Charts by task", _CHARTS, charts))
    return Report(title, (Note(RESEARCH_ONLY, warning=True),), tuple(sections))


def _table_sections(
    results: pd.DataFrame, comparisons: pd.DataFrame, published: Published
) -> Iterator[Section]:
    """Yields every section of tables that has something to show."""
    results = by_modality(results)
    sources = {"paper": published.modality_source, "medmnist": published.medmnist_source}
    for content in _CONTENTS:
        made = tuple(table for table in content.tables(results, comparisons, published) if table.rows)
        if made:
            yield Section(content.title, content.text.format(**sources), (Tables(made),))


def _charts_by_task(results: pd.DataFrame, predictions: pd.DataFrame, styles: Styles) -> Iterator[Folded]:
    opened = True
    for task, rows in by_modality(results).groupby("task", sort=False):
        charts = (
            *_prediction_charts(predictions[predictions["task"] == task], styles),
            *_result_charts(rows, styles),
        )
        if charts:
            yield Folded(str(task), (Charts(charts),), opened)
            opened = False


def _result_charts(results: pd.DataFrame, styles: Styles) -> Iterator[Chart]:
    figures = {
        "few_shot": subset_chart(results, "few_shot", styles),
        "label_efficiency": subset_chart(results, "label_efficiency", styles),
        "robustness": robustness_chart(results, styles),
    }
    for protocol, figure in figures.items():
        if figure is not None:
            yield Chart(figure, protocol_name(protocol))


def _prediction_charts(predictions: pd.DataFrame, styles: Styles) -> Iterator[Chart]:
    main = predictions[predictions["protocol"].isin(_CHARTED)]
    for protocol, rows in (predictions if main.empty else main).groupby("protocol", sort=False):
        name = protocol_name(str(protocol)).lower()
        yield Chart(roc_chart(rows, styles), f"ROC, {name}")
        yield Chart(calibration_chart(rows, styles), f"Calibration, {name}")
        if rows["kind"].iloc[0] != "multilabel":
            for encoder, part in rows.groupby("encoder", sort=False):
                figure = confusion_chart(part, styles[str(encoder)]["color"])
                yield Chart(figure, f"Confusion, {name}: {encoder}")


@dataclass(frozen=True)
class _Content:
    """A section of tables; {paper} and {medmnist} in its text stand for the sources of published results."""

    title: str
    text: str
    tables: Callable[[pd.DataFrame, pd.DataFrame, Published], list[Table]]


_CONTENTS = (
    _Content(
        "AUROC by modality",
        "Linear probes on frozen embeddings: macro AUROC (each class against the rest, all classes counting "
        "the same), averaged over the tasks of a modality. A dash: the encoder was not measured on all of "
        "them. In brackets the 95 % interval: whole groups are drawn with replacement in each task, and the "
        "draws of the tasks are averaged; it does not cover what other tasks would have shown. The last "
        "column is what the paper reports for its own data sets. Those are other data: take it as "
        "orientation, not as a comparison. Source: {paper}.",
        lambda results, _, published: [tables.modality_table(results, published)],
    ),
    _Content(
        "AUROC by task",
        f"Linear probes on frozen embeddings, macro AUROC on the test split. {_INTERVAL}",
        lambda results, *_: [tables.task_table(results)],
    ),
    _Content(
        "MedMNIST beside published results",
        "AUROC of the linear probes here and of published models that were trained end to end on a set, with "
        "the side of their images in pixels. A dash: the value could not be checked against a second copy of "
        "the table. Source: {medmnist}.",
        lambda results, _, published: [tables.medmnist_table(results, published)],
    ),
    _Content(
        "Differences between encoders",
        "Each pair of encoders is measured on the same draws of groups (paired bootstrap; the more "
        "comparisons there are, the more draws are taken, because p cannot be below 2 / (1 + draws)), or "
        "compared by DeLong's test where there are two classes and one image per group. p is two-sided, and "
        "corrected by Holm's method over all comparisons of one metric and method. Stars mark a corrected p "
        "below 0.05 (*), 0.01 (**) and 0.001 (***). The absence of a star does not prove that there is no "
        "difference.",
        lambda _, comparisons, __: tables.comparison_tables(comparisons),
    ),
    _Content(
        "Further metrics",
        f"Linear probes on frozen embeddings. {_INTERVAL} Lower is better for calibration error and Brier "
        "score, higher for the others. For two classes, average precision and F1 are means over both, not "
        "values of a positive class. The Brier score is the squared error summed over the classes, 0 to 2 "
        "(for two classes twice the usual score of one); in multi-label sets it is their mean, 0 to 1.",
        lambda results, *_: tables.metric_tables(results, "linear_probe", without=AUROC),
    ),
    _Content(
        "By class",
        f"Linear probes on frozen embeddings, AUROC of each class against the rest. {_INTERVAL}",
        lambda results, *_: tables.class_tables(results),
    ),
    _Content(
        "Subgroups",
        f"AUROC within parts of the test images. {_INTERVAL} The gap is the largest minus the smallest "
        "value. It is never below 0, and chance alone makes it larger the fewer images a part has.",
        lambda results, *_: tables.subgroup_tables(results),
    ),
    _Content(
        "k nearest neighbours",
        "The nearest training images by cosine similarity vote; how many of them is chosen on the val split. "
        + _INTERVAL,
        lambda results, *_: tables.metric_tables(results, "knn"),
    ),
    _Content(
        "Few-shot",
        f"Linear probes fitted on a few images of each class, macro AUROC. {_REPEATS}",
        lambda results, *_: tables.subset_tables(results, "few_shot"),
    ),
    _Content(
        "Label efficiency",
        f"Linear probes fitted on a share of the training images, macro AUROC. {_REPEATS}",
        lambda results, *_: tables.subset_tables(results, "label_efficiency"),
    ),
    _Content(
        "Fine-tuning",
        f"The encoder is trained together with the head. {_INTERVAL}",
        lambda results, *_: tables.metric_tables(results, "fine_tuning"),
    ),
    _Content(
        "Cross-validation",
        f"Linear probes; every group is tested once, by a probe that was not fitted on it. {_INTERVAL}",
        lambda results, *_: tables.metric_tables(results, "cross_validation"),
    ),
    _Content(
        "Retrieval",
        "Every test image is a query among the images of the other splits, by cosine similarity and without "
        "its own group; means over classes. mAP: mean average precision of the whole ranking. Precision at "
        "k: the share of the first k that show the class. Recall at k: the share of queries with at least "
        f"one such image among the first k. Images and groups are those of the queries. {_INTERVAL}",
        lambda results, *_: [tables.retrieval_table(results), *tables.retrieval_class_tables(results)],
    ),
    _Content(
        "Robustness",
        "Linear probes fitted on clean images: macro AUROC on test images corrupted in ways that occur in "
        "their modality, each in several severities. Loss: clean minus the mean over all corruptions. Worst: "
        f"the corruption with the lowest mean over its severities. {_INTERVAL}",
        lambda results, *_: [tables.robustness_table(results)],
    ),
)
