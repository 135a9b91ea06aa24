"""The findings by label set, each with its probability, the evidence, and whether it holds elsewhere."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from mermed_core.data.manifest import LabelSet
from mermed_core.models.model_metrics import ModelMetrics, TaskMetrics
from mermed_core.records import Analysis, Familiarity, Finding, caution_about

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
    """Returns every finding as a button that shows where the model looked; "" where none are given.

    Args:
        analysis: of the image.
        label_sets: those that the model has heads for.
        metrics: how good the model is on each.
        chosen: `pick` of the finding that is shown on the image.
    """
    if analysis.familiarity is not Familiarity.FAMILIAR:
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
    shares = [finding.probability for finding in findings]
    headline = text.verdict(names, shares, holds=first.holds_elsewhere) if exclusive else ""
    shared = _shared_note(findings)
    return {
        "title": text.set_title(first.task, measured),
        "headline": text.NO_VERDICT if _no_better_than_chance(measured) else headline,
        "elsewhere": shared,
        "unproven": not first.holds_elsewhere,
        "rows": [
            _row(finding, name, "" if shared else _note(finding))
            for finding, name in zip(findings, names, strict=True)
        ],
        "doubt": text.poor_match(first.relevance) if first.relevance < _DOUBTFUL else "",
        "evidence": text.auroc_on_test(measured) if measured and measured.auroc is not None else "",
        "warning": _warning(measured),
    }


def _shared_note(findings: list[Finding]) -> str:
    """Returns what stands once for a whole label set on other sources; "" where each finding says its own."""
    if not any(finding.holds_elsewhere for finding in findings):
        return text.sentence(caution_about(findings))
    notes = {_note(finding) for finding in findings}
    return notes.pop() if len(notes) == 1 else ""


def _note(finding: Finding) -> str:
    if finding.elsewhere is not None and finding.holds_elsewhere:
        return text.held_elsewhere(finding.elsewhere)
    return text.sentence(finding.caution)


def _row(finding: Finding, name: str, note: str) -> dict[str, str | bool]:
    return {
        "pick": pick(finding.task, finding.label),
        "name": name,
        "share": f"{finding.probability:.4f}",
        "percent": text.percent(finding.probability),
        "unproven": not finding.holds_elsewhere,
        "elsewhere": note,
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
