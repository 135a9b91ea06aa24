"""The findings by label set, each with its probability, the evidence, and whether it holds elsewhere."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from mermed_core.data.manifest import LabelSet
from mermed_core.models.model_metrics import ModelMetrics
from mermed_core.records import Analysis, Familiarity, Likelihood
from mermed_core.reports.case import wording
from mermed_core.reports.case.findings import FindingSet, finding_sets

from ..texts import batch_text, spoken_text, text
from .html_parts import fresh_number
from .templates import render


def empty() -> str:
    """Returns what stands there before there is an image."""
    return render("findings.html", sets=None, hints=())


def none_given(analysis: Analysis) -> str:
    """Returns that no findings are given and what can be done; "" where some are."""
    if analysis.gives_findings:
        return ""
    known = analysis.familiarity is Familiarity.UNLIKE
    return render("findings.html", sets=(), hints=text.IF_UNLIKE if known else text.IF_UNKNOWN)


def findings_card(
    analysis: Analysis,
    label_sets: Sequence[LabelSet],
    metrics: ModelMetrics,
    chosen: str = "",
    doubts: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Returns every finding as a button that shows where the model looked; "" where none are given.

    Args:
        analysis: of the image.
        label_sets: those that the model has heads for.
        metrics: how good the model is on each.
        chosen: `pick` of the finding that is shown on the image.
        doubts: what the nearest known cases say against a set, by its task.
    """
    if not analysis.gives_findings:
        return ""
    sets = finding_sets(analysis, label_sets, metrics, doubts)
    said = spoken_text.findings([(each.title, verdict) for each in sets if (verdict := _verdict(each))])
    unusual = analysis.familiarity is Familiarity.UNUSUAL
    about = {"unusual": unusual, "hints": (), "chosen": chosen, "pick": pick}
    return render("findings.html", sets=sets, said=said, number=fresh_number(), **about)


def _verdict(found: FindingSet) -> str:
    """Returns what a label set amounts to, to be read out; "" where none of its classes is possible."""
    words = [line.likelihood for line in found.lines]
    if not found.headline and set(words) == {Likelihood.UNLIKELY}:
        return ""
    said = found.headline or wording.verdict([line.name for line in found.lines], words)
    return said if found.holds else f"{said} ({batch_text.NOT_ELSEWHERE})"


def pick(task: str, label: str) -> str:
    """Returns the name of a finding that the page sends back when it is pressed."""
    return f"{task}:{label}"
