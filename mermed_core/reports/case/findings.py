"""The findings of one image, label set by label set, in the words that a person reads."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mermed_core.languages.say import in_readers_words
from mermed_core.metrics.conformal import LEVEL, cases_needed
from mermed_core.records import Analysis, Finding, Likelihood, caution_about
from mermed_core.reports.case import wording

if TYPE_CHECKING:
    from mermed_core.data.manifest import LabelSet
    from mermed_core.models.model_metrics import ModelMetrics, TaskMetrics

_DOUBTFUL = 0.8
# Above this calibration error a probability says nothing that a person may lean on.
_MISCALIBRATED = 0.2
_CHANCE = 0.5  # the AUROC of a coin


@dataclass(frozen=True)
class FindingLine:
    """One class of a label set.

    Attributes:
        label: the class.
        name: of the class, for people.
        probability: calibrated, 0..1.
        percent: the probability in words.
        holds: whether it was shown to hold in sources that it was not learned on.
        elsewhere: whether and how far it held there; "" where the label set says it once for all.
        likelihood: in three words.
    """

    label: str
    name: str
    probability: float
    percent: str
    holds: bool
    elsewhere: str
    likelihood: Likelihood = Likelihood.POSSIBLE


@dataclass(frozen=True)
class ClassFigures:
    """How often one class was found and ruled out on the test images of its own source, for people.

    Attributes:
        name: of the class.
        threshold: the probability from which it is not called unlikely.
        sensitivity: share of the images that show the class in which it was not called unlikely.
        specificity: share of the others in which it was.
    """

    name: str
    threshold: str
    sensitivity: str
    specificity: str


@dataclass(frozen=True)
class FindingSet:
    """The classes of one label set, most probable first, and what limits them; "" where nothing does.

    Attributes:
        task: the label set.
        title: its name for people.
        headline: what the classes amount to, such as "Likely: Benign"; "" where several may be true at once.
        holds: whether the first class was shown to hold in sources that it was not learned on.
        elsewhere: what is said once for all classes about other sources.
        lines: the classes.
        doubt: that the image is little like those that the set was made for.
        evidence: how good the set is on held-out images of its own source, and what that cannot show.
        warning: that the probabilities mean little.
        against: what the nearest known cases say against the set.
        order: why a class is possible although a more probable one is unlikely.
        guarantee: how often the right class is among those not called unlikely, or why nothing is promised.
        figures: what likely and possible were worth on test images; empty where nobody measured.
    """

    task: str
    title: str
    headline: str
    holds: bool
    elsewhere: str
    lines: tuple[FindingLine, ...]
    doubt: str
    evidence: str
    warning: str
    against: str = ""
    order: str = ""
    guarantee: str = ""
    figures: tuple[ClassFigures, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self)


def finding_sets(
    analysis: Analysis,
    label_sets: "Sequence[LabelSet]",
    metrics: "ModelMetrics",
    doubts: Mapping[str, str] = MappingProxyType({}),
) -> tuple[FindingSet, ...]:
    """Returns every finding of an image by label set, in the order of the analysis.

    Args:
        analysis: of the image.
        label_sets: those that the model has heads for.
        metrics: how good the model is on each.
        doubts: what the nearest known cases say against a set, by its task.
    """
    exclusive = {label_set.task for label_set in label_sets if label_set.exclusive}
    groups = groupby(analysis.findings, key=lambda finding: finding.task)
    found = (_finding_set(list(group), metrics, exclusive=task in exclusive) for task, group in groups)
    return tuple(replace(each, against=doubts.get(each.task, "")) for each in found)


def _finding_set(findings: list[Finding], metrics: "ModelMetrics", *, exclusive: bool) -> FindingSet:
    first = findings[0]
    measured = metrics.tasks.get(first.task)
    names = [wording.class_name(metrics, finding.task, finding.label) for finding in findings]
    headline = wording.verdict(names, [finding.likelihood for finding in findings]) if exclusive else ""
    shared = _shared_note(findings)
    return FindingSet(
        task=first.task,
        title=wording.set_title(first.task, measured),
        headline=wording.NO_VERDICT if _no_better_than_chance(measured) else headline,
        holds=first.holds_elsewhere,
        elsewhere=shared,
        lines=tuple(
            FindingLine(
                finding.label,
                name,
                finding.probability,
                wording.percent(finding.probability),
                finding.holds_elsewhere,
                "" if shared else _note(finding),
                finding.likelihood,
            )
            for finding, name in zip(findings, names, strict=True)
        ),
        doubt=wording.poor_match(first.relevance) if first.relevance < _DOUBTFUL else "",
        evidence=wording.auroc_on_test(measured) if measured and measured.auroc is not None else "",
        warning=_warning(measured),
        order=_order(findings, names) if exclusive else "",
        guarantee=_guarantee(findings, names),
        figures=_figures(findings, names, measured),
    )


def _order(findings: list[Finding], names: list[str]) -> str:
    """Returns why the words follow the classes and not their probabilities alone; "" where they agree."""
    words = [finding.likelihood for finding in findings]
    if Likelihood.UNLIKELY not in words:
        return ""
    first = words.index(Likelihood.UNLIKELY)
    later = [place for place in range(first, len(words)) if words[place] is not Likelihood.UNLIKELY]
    if not later:
        return ""
    (less, low), (more, high) = (
        (names[place], wording.percent(findings[place].probability)) for place in (later[0], first)
    )
    return wording.out_of_order(less, low, more, high)


def _guarantee(findings: list[Finding], names: list[str]) -> str:
    """Returns what the words of a label set promise, and of which classes they promise nothing."""
    cases = [finding.calibration_cases for finding in findings]
    if None in cases:
        return wording.NOT_CALIBRATED
    counted = [(name, count) for name, count in zip(names, cases, strict=True) if count is not None]
    needed = cases_needed(LEVEL)
    enough = [count for _, count in counted if count >= needed]
    short = [each for each in counted if each[1] < needed]
    said = [wording.guarantee(LEVEL, enough)] if enough else []
    return " ".join(said + ([wording.too_few(short, needed)] if short else []))


def _figures(
    findings: list[Finding], names: list[str], measured: "TaskMetrics | None"
) -> tuple[ClassFigures, ...]:
    classes = measured.classes if measured else {}
    return tuple(
        ClassFigures(
            name,
            wording.percent(known.threshold),
            wording.share_of(known.found, known.shown),
            wording.share_of(known.ruled_out, known.absent),
        )
        for finding, name in zip(findings, names, strict=True)
        if (known := classes.get(finding.label)) is not None
    )


def _shared_note(findings: list[Finding]) -> str:
    """Returns what stands once for a whole label set on other sources; "" where each finding says its own."""
    if not any(finding.holds_elsewhere for finding in findings):
        return wording.sentence(in_readers_words(caution_about(findings)))
    notes = {_note(finding) for finding in findings}
    return notes.pop() if len(notes) == 1 else ""


def _note(finding: Finding) -> str:
    if finding.elsewhere is not None and finding.holds_elsewhere:
        return wording.held_elsewhere(finding.elsewhere)
    return wording.sentence(in_readers_words(finding.caution))


def _no_better_than_chance(measured: "TaskMetrics | None") -> bool:
    if measured is None:
        return False
    lowest = measured.auroc if measured.auroc_low is None else measured.auroc_low
    return lowest is not None and lowest <= _CHANCE


def _warning(measured: "TaskMetrics | None") -> str:
    if measured is None or measured.ece is None or measured.ece <= _MISCALIBRATED:
        return ""
    return wording.miscalibrated(measured.ece)
