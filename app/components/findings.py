"""The findings by label set, each class with its calibrated probability, and the evidence for them."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from mermed_core.data.manifest import LabelSet
from mermed_core.models.model_metrics import ModelMetrics, TaskMetrics
from mermed_core.records import Analysis, Finding

from .. import text
from .templates import render

_DOUBTFUL = 0.8
# Above this calibration error a probability says nothing that a person may lean on.
_MISCALIBRATED = 0.2
_CHANCE = 0.5  # the AUROC of a coin


def empty() -> str:
    """Returns what stands there before there is an image."""
    return render("findings.html", sets=None)


def findings_card(
    analysis: Analysis, label_sets: Sequence[LabelSet], metrics: ModelMetrics, chosen: str = ""
) -> str:
    """Returns every finding as a button that shows where the model looked; "" for an image of no known kind.

    Args:
        analysis: of the image.
        label_sets: those that the model has heads for.
        metrics: how good the model is on each.
        chosen: `pick` of the finding that is shown on the image.
    """
    if not analysis.in_distribution:
        return ""
    exclusive = {label_set.task for label_set in label_sets if label_set.exclusive}
    groups = groupby(analysis.findings, key=lambda finding: finding.task)
    sets = [_label_set(list(group), metrics, exclusive=task in exclusive) for task, group in groups]
    return render("findings.html", sets=sets, chosen=chosen)


def pick(task: str, label: str) -> str:
    """Returns the name of a finding that the page sends back when it is pressed."""
    return f"{task}:{label}"


def _label_set(findings: list[Finding], metrics: ModelMetrics, *, exclusive: bool) -> dict[str, Any]:
    first = findings[0]
    measured = metrics.tasks.get(first.task)
    names = [text.class_name(metrics, finding.task, finding.label) for finding in findings]
    headline = text.verdict(names, [finding.probability for finding in findings]) if exclusive else ""
    return {
        "title": text.set_title(first.task, measured),
        "headline": text.NO_VERDICT if _no_better_than_chance(measured) else headline,
        "rows": [_row(finding, name) for finding, name in zip(findings, names, strict=True)],
        "doubt": text.poor_match(first.relevance) if first.relevance < _DOUBTFUL else "",
        "evidence": text.auroc_on_test(measured) if measured and measured.auroc is not None else "",
        "warning": _warning(measured),
    }


def _row(finding: Finding, name: str) -> dict[str, str]:
    return {
        "pick": pick(finding.task, finding.label),
        "name": name,
        "share": f"{finding.probability:.4f}",
        "percent": text.percent(finding.probability),
    }


def _no_better_than_chance(measured: TaskMetrics | None) -> bool:
    if measured is None:
        return False
    lowest = measured.auroc if measured.auroc_low is None else measured.auroc_low
    return lowest is not None and lowest <= _CHANCE


def _warning(measured: TaskMetrics | None) -> str:
    if measured is None or measured.ece is None or measured.ece <= _MISCALIBRATED:
        return ""
    return text.miscalibrated(measured.ece)
