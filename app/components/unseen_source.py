"""How the model does on sources that it did not see: four figures, the findings, and what was left out."""

from typing import Any

from mermed_core.models.model_metrics import FindingMetrics, ModelMetrics, UnseenSourceMetrics
from mermed_core.records import HOLDS_FROM

from ..texts import text
from .templates import render


def unseen_source(metrics: ModelMetrics) -> str:
    """Returns what a visitor with an image of his own may expect, or that nobody measured it."""
    unseen = metrics.unseen_source
    if unseen is None:
        return render("unseen_source.html", unseen=None)
    return render(
        "unseen_source.html",
        unseen=unseen,
        figures=_figures(unseen),
        findings=_findings(metrics, unseen),
        tables=[table for table in (_sources(unseen), _kinds(unseen)) if table["rows"]],
    )


def _figures(unseen: UnseenSourceMetrics) -> list[dict[str, str]]:
    measured = (
        (unseen.modality_right, text.MODALITY_RIGHT),
        (unseen.passed, text.PASSED),
        (unseen.confident_wrong, text.CONFIDENT_WRONG),
        (unseen.unknown_turned_away, text.TURNED_AWAY),
    )
    return [
        {"share": text.share(estimate), "interval": text.interval(estimate), "words": words}
        for estimate, words in measured
    ]


def _findings(metrics: ModelMetrics, unseen: UnseenSourceMetrics) -> list[dict[str, Any]]:
    """Returns a row for each finding that was measured, the best of each label set first."""
    rows = []
    for task, classes in sorted(unseen.findings.items()):
        title = text.set_title(task, metrics.tasks.get(task))
        measured = [(label, each) for label, each in classes.items() if each.auroc.value is not None]
        for label, each in sorted(measured, key=lambda item: -(item[1].auroc.value or 0.0)):
            name = text.class_name(metrics, task, label)
            rows.append(_finding(name, text.asked_about(title, each, unseen.sources), each))
    return rows


def _finding(name: str, asked: str, measured: FindingMetrics) -> dict[str, Any]:
    auroc = measured.auroc.value or 0.0
    low = auroc if measured.auroc.low is None else measured.auroc.low
    high = auroc if measured.auroc.high is None else measured.auroc.high
    return {
        "name": name,
        "asked": asked,
        "holds": auroc >= HOLDS_FROM,
        "interval": text.auroc_elsewhere(measured.auroc),
        "left": f"{100 * low:.1f}",
        "right": f"{100 * (1 - high):.1f}",
        "point": f"{100 * auroc:.1f}",
        "value": text.decimal(auroc),
    }


def _sources(unseen: UnseenSourceMetrics) -> dict[str, Any]:
    order = sorted(unseen.sources.items(), key=lambda item: (text.modality_name(item[1].modality), item[0]))
    rows = [
        [
            {"name": text.source_name(name, each), "small": text.modality_name(each.modality)},
            str(each.images),
            *map(text.share, (each.modality_right, each.passed, each.confident_wrong)),
        ]
        for name, each in order
    ]
    return {"title": text.UNSEEN_SOURCES, "columns": text.SOURCE_COLUMNS, "rows": rows}


def _kinds(unseen: UnseenSourceMetrics) -> dict[str, Any]:
    rows = [
        [{"name": text.kind_name(name), "small": ""}, str(each.images), text.share(each)]
        for name, each in sorted(unseen.kinds.items())
    ]
    return {"title": text.UNSEEN_KINDS, "columns": text.KIND_COLUMNS, "rows": rows}
