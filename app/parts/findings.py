"""The findings by label set, each class with its calibrated probability, and the evidence for them."""

from itertools import groupby
from typing import Any

from app.parts.evidence import interval
from app.words import percent, spoken, text, verdict
from mermed_core.records import Analysis, Finding

EMPTY = (
    '<section class="mm-card mm-quiet"><h2>Findings</h2><p>Each with a calibrated probability, and with how '
    "well the model tells it apart on images it never saw.</p></section>"
)
_DOUBTFUL = 0.8
# Above this calibration error a probability says nothing that a person may lean on.
_MISCALIBRATED = 0.2


def findings_card(analysis: Analysis, metrics: dict[str, dict[str, Any]], chosen: str = "") -> str:
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
    blocks = "".join(_label_set(task, list(group), metrics.get(task, {}), chosen) for task, group in groups)
    return (
        f'<section class="mm-card"><h2>Findings</h2>{blocks}'
        '<p class="mm-small">Press a finding to see where the model looked for it.</p></section>'
    )


def pick(finding: Finding) -> str:
    """Returns the name of a finding that the page sends back when it is pressed."""
    return f"{finding.task}:{finding.label}"


def _label_set(task: str, findings: list[Finding], metrics: dict[str, Any], chosen: str) -> str:
    exclusive = abs(sum(finding.probability for finding in findings) - 1) < 1e-3
    headline = f'<p class="mm-headline">{text(verdict(findings))}</p>' if exclusive else ""
    doubt = ""
    if findings[0].relevance < _DOUBTFUL:
        doubt = (
            f'<p class="mm-small">The image looks {percent(findings[0].relevance)} like the images of this '
            "label set; read it with that doubt.</p>"
        )
    rows = "".join(_row(finding, chosen) for finding in findings)
    return (
        f'<div class="mm-set"><h3>{text(metrics.get("title") or spoken(task))}</h3>{headline}{rows}{doubt}'
        f"{_evidence(metrics)}</div>"
    )


def _row(finding: Finding, chosen: str) -> str:
    name = pick(finding)
    return (
        f'<button type="button" class="mm-bar" data-pick="{text(name)}" '
        f'aria-pressed="{"true" if name == chosen else "false"}"><span>{text(spoken(finding.label))}</span>'
        f'<i style="--share:{finding.probability:.4f}"></i><b>{percent(finding.probability)}</b></button>'
    )


def _evidence(metrics: dict[str, Any]) -> str:
    if metrics.get("auroc") is None:
        return ""
    warning = ""
    if metrics["ece"] > _MISCALIBRATED:
        warning = (
            f" <strong>Do not trust these probabilities: on the test images they were off by "
            f"{metrics['ece']:.2f} on average.</strong>"
        )
    return (
        f'<p class="mm-small">{interval(metrics)} on {metrics["n_test"]} test images. '
        f"{text(metrics.get('caveat', ''))}{warning}</p>"
    )
