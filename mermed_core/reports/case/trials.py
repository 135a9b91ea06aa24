"""What came of trying an answer: a second look at the image, and experiments with the heat map."""

from dataclasses import asdict, dataclass
from typing import Any

from mermed_core.reports.case import wording


@dataclass(frozen=True)
class Look:
    """How the first class of one label set fared under small changes to the image.

    Attributes:
        task: the label set.
        label: the class.
        name: of the class for people.
        low: its lowest probability, 0..1.
        high: its highest.
        copies: how many changed copies were looked at.
        turned: of each change that put another class first, its name and the name of that class.
        stable: whether the answer holds.
    """

    task: str
    label: str
    name: str
    low: float
    high: float
    copies: int
    turned: tuple[tuple[str, str], ...]
    stable: bool

    @property
    def verdict(self) -> str:
        """Whether the answer holds, as a sentence."""
        return wording.STABLE if self.stable else wording.UNSTABLE

    @property
    def said(self) -> str:
        """What was seen, as a sentence."""
        return wording.second_look(self.name, self.low, self.high, self.copies, self.turned)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self) | {"said": f"{self.verdict} {self.said}"}


@dataclass(frozen=True)
class MapTrial:
    """What two experiments with a heat map gave; see `inference.map_check`.

    Attributes:
        shuffled: rank correlation with the map of a head whose weights are shuffled.
        before: probability of the class, 0..1.
        after: the same with the hottest tenth of the image blurred.
        like_shuffled: whether the first is too high for the map to mean anything.
    """

    shuffled: float
    before: float
    after: float
    like_shuffled: bool

    @property
    def said(self) -> str:
        """What they gave, in sentences."""
        return wording.map_check(self.shuffled, self.before, self.after, like_shuffled=self.like_shuffled)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self) | {"said": self.said}
