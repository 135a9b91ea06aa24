"""The findings by label set, each class with its calibrated probability, and the evidence for them."""

from itertools import groupby
from typing import Any

from mermed_core.records import Analysis, Finding

from ..text import Metrics, class_name, percent, text, verdict
from .evidence import interval

EMPTY = (
    '<section class="mm-card mm-quiet"><h2>Findings</h2><p>Each with a calibrated probability, and with how '
    "well the model tells it apart on images it never saw.</p></section>"
)
_DOUBTFUL = 0.8
# Above this calibration error a probability says nothing that a person may lean on.
_MISCALIBRATED = 0.2
_CHANCE = 0.5  # the AUROC of a coin


def findings_card(analysis: Analysis, metrics: Metrics, chosen: str = "") -> str:
    """Returns every finding as a button that shows where the model looked.

    Args:
        analysis: of the image.
        metrics: figures of the label sets on their test splits.
        chosen: `pick` of the finding that is shown on the image.
    """
    if not analysis.known:
        return ""
    if not analysis.findings:
        return (
            '<section class="mm-card"><h2>Findings</h2><p>This model has no label set for it.</p></section>'
        )
    groups = groupby(analysis.findings, key=lambda finding: finding.task)
    blocks = "".join(_label_set(task, list(group), metrics, chosen) for task, group in groups)
    return (
        f'<section class="mm-card"><h2>Findings</h2>{blocks}'
        '<p class="mm-small">Press a finding to see where the model looked for it.</p></section>'
    )


def pick(task: str, label: str) -> str:
    """Returns the name of a finding that the page sends back when it is pressed."""
    return f"{task}:{label}"


def _label_set(task: str, findings: list[Finding], metrics: Metrics, chosen: str) -> str:
    names = [class_name(metrics, task, finding.label) for finding in findings]
    figure = metrics.get(task, {})
    exclusive = abs(sum(finding.probability for finding in findings) - 1) < 1e-3
    told = verdict(names, [finding.probability for finding in findings]) if exclusive else ""
    if _no_better_than_chance(figure):
        told = "No verdict: on images it never saw, the model told these apart no better than chance"
    headline = f'<p class="mm-headline">{text(told)}</p>' if told else ""
    doubt = ""
    if findings[0].relevance < _DOUBTFUL:
        doubt = (
            f'<p class="mm-small">The image looks {percent(findings[0].relevance)} like the images of this '
            "label set; read it with that doubt.</p>"
        )
    rows = "".join(_row(finding, name, chosen) for finding, name in zip(findings, names, strict=True))
    return (
        f'<div class="mm-set"><h3>{text(figure.get("title") or task)}</h3>{headline}{rows}{doubt}'
        f"{_evidence(figure)}</div>"
    )


def _no_better_than_chance(figure: dict[str, Any]) -> bool:
    lowest = figure.get("auroc_low")
    lowest = figure.get("auroc") if lowest is None else lowest
    return lowest is not None and lowest <= _CHANCE


def _row(finding: Finding, name: str, chosen: str) -> str:
    picked = pick(finding.task, finding.label)
    return (
        f'<button type="button" class="mm-bar" data-pick="{text(picked)}" '
        f'aria-pressed="{"true" if picked == chosen else "false"}"><span>{text(name)}</span>'
        f'<i style="--share:{finding.probability:.4f}"></i><b>{percent(finding.probability)}</b></button>'
    )


def _evidence(figure: dict[str, Any]) -> str:
    if figure.get("auroc") is None:
        return ""
    warning = ""
    if figure["ece"] > _MISCALIBRATED:
        warning = (
            f" <strong>Do not trust these probabilities: on the test images they were off by "
            f"{figure['ece']:.2f} on average.</strong>"
        )
    return (
        f'<p class="mm-small">{interval(figure)} on {figure["n_test"]} test images. '
        f"{text(figure.get('caveat', ''))}{warning}</p>"
    )
