"""What a check of a collection found: ranked, each with its measure and what that measure is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Detail = str | float | int | bool


@dataclass(frozen=True)
class Suspect:
    """A case, a pair of cases or a label that a person should look at.

    Attributes:
        score: the check's measure, higher is more suspicious; comparable within one check only.
        reason: what was found, in a sentence.
        cases: the case ids concerned: one, a pair, or some examples.
        flagged: whether the score passes the threshold that the collection's own numbers set.
        details: further numbers and names by column, such as the similarity of a pair.
    """

    score: float
    reason: str
    cases: tuple[str, ...] = ()
    flagged: bool = True
    details: Mapping[str, Detail] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {
            "score": round(self.score, 4),
            "flagged": self.flagged,
            "cases": list(self.cases),
            "reason": self.reason,
            **self.details,
        }


@dataclass(frozen=True)
class CheckResult:
    """The ranked findings of one check.

    Attributes:
        name: of the check, as options and files call it.
        title: for people.
        measure: what the score is, in one sentence.
        accuracy: how good the measure was found to be, in one sentence.
        suspects: the most suspicious first.
        threshold: the score from which a suspect is flagged; None where the check has no single one.
        notes: what limits the check on this collection, in sentences.
    """

    name: str
    title: str
    measure: str
    accuracy: str
    suspects: tuple[Suspect, ...] = ()
    threshold: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def flagged(self) -> int:
        """How many suspects pass the threshold."""
        return sum(suspect.flagged for suspect in self.suspects)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "measure": self.measure,
            "accuracy": self.accuracy,
            "threshold": None if self.threshold is None else round(self.threshold, 4),
            "flagged": self.flagged,
            "notes": list(self.notes),
            "suspects": [suspect.to_dict() for suspect in self.suspects],
        }


def ranked(suspects: Sequence[Suspect], most: int) -> tuple[Suspect, ...]:
    """Returns at most so many suspects, those with the highest scores first; ties keep their order."""
    return tuple(sorted(suspects, key=lambda suspect: -suspect.score)[:most])
