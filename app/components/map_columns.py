"""What the map draws as bytes, not JSON: the places of all points once, and a byte a point a colouring.

Points come in a shuffled order that is the same for every column, so that no class lies over another because
of its place in the records, and so that the first few points are a fair sample of all.
"""

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from mermed_core.collections.annotations import Annotations
from mermed_core.collections.collection import CHECKSUM, FRAME, LABEL, Collection
from mermed_core.collections.ordered_values import days, numbers
from mermed_core.collections.quality.case_measures import ERROR, PREDICTION, CaseMeasures
from mermed_core.data.validation import FILE
from mermed_core.modalities import MODALITIES

from ..texts import case_text, cluster_text, map_text, measure_text, note_text, text
from .map_clusters import SPAN, MapClusters
from .map_measures import MapMeasures
from .map_tags import MapTags

MISSING = 255
"""The code of a point that has no value."""
OTHER = 254
"""The code of all values that are rarer than the `OTHER` most frequent ones."""
# Okabe and Ito's palette, safe for colour-blind readers, and darker relatives; more nobody tells apart.
PALETTE = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#56B4E9",
    "#8C6D31",
    "#7B4EA3",
    "#B22222",
    "#4C9141",
    "#B8A400",
    "#2F4B7C",
)
_SEED = 7
_NAMES_A_CASE = ("case_id", FILE, FRAME, CHECKSUM)  # columns that tell cases apart instead of grouping them
_FEW = 12  # more different numbers than this are shown on a ramp
_ABSENT = -1


@dataclass(frozen=True)
class Group:
    """The points of one colour.

    Attributes:
        name: for people.
        code: the byte of its points.
        colour: hex; "" where too many groups are larger for it to get a colour of its own.
        count: how many points it has.
    """

    name: str
    code: int
    colour: str
    count: int


@dataclass(frozen=True)
class Coloured:
    """A column of the records as the map colours by it.

    Attributes:
        codes: a byte a point, in drawing order.
        groups: most frequent first; those of OTHER and MISSING last. Of numbers, the missing ones alone.
        limits: least and greatest of numbers, which lie on a ramp from code 0 to `OTHER`; None for groups.
        dates: whether these numbers are days since 1970.
    """

    codes: bytes
    groups: tuple[Group, ...]
    limits: tuple[float, float] | None = None
    dates: bool = False


class MapColumns:
    """The columns of a collection for its map; each is made when it is first wanted. Thread-safe.

    Attributes:
        collection: whose map it is.
        clusters: those of the map.
        measures: what the neighbours of the cases say.
        tags: those beside the collection.
        order: (cases,) the position in the collection of each point, in drawing order.
    """

    def __init__(
        self,
        collection: Collection,
        known: Collection | None = None,
        measures: Callable[[], CaseMeasures | None] | None = None,
        written: Callable[[], Annotations] | None = None,
    ) -> None:
        """Takes the collection.

        Args:
            collection: whose map it is.
            known: others whose labels name clusters of cases that have none.
            measures: returns what the neighbours of the cases say, None before it is known.
            written: returns the tags and notes beside the collection, the same object until they change.
        """
        self.collection = collection
        self.clusters = MapClusters(collection, known)
        self.measures = MapMeasures(collection, measures)
        self.tags = MapTags(collection, written)
        self.order = np.random.default_rng(_SEED).permutation(len(collection))
        self._coloured: dict[str, tuple[object, Coloured]] = {}
        self._lock = threading.Lock()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns that the map can be coloured by: of records, map and clusters, and the measures."""
        first = ("modality", LABEL, "source")
        of_map = [name for name in self.clusters.columns if name not in self.collection.records]
        if self.collection.map.placed.any():
            of_map.append(cluster_text.PLACED)
        others = [name for name in self.collection.records if name not in (*first, "labels", *_NAMES_A_CASE)]
        grouping = (str(name) for name in others if self._groups_cases(str(name)))
        return (*first, *of_map, *grouping, *self.measures.columns, *self.tags.columns)

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """Least x, least y, extent in x and extent in y of the map; an extent is never 0."""
        if not len(self.collection):
            return 0.0, 0.0, 1.0, 1.0
        least = self.collection.coordinates.min(0).astype(float)
        extent = self.collection.coordinates.max(0).astype(float) - least
        across, up = (value if value > 0 else 1.0 for value in extent.tolist())
        return float(least[0]), float(least[1]), across, up

    def places(self) -> bytes:
        """Returns x and y of every point in drawing order, 16 bits each, from 0 to `SPAN`."""
        return self._places[self.order].tobytes()

    @property
    def _places(self) -> np.ndarray:
        x, y, across, up = self.bounds
        share = (self.collection.coordinates.astype(np.float64) - (x, y)) / (across, up)
        return (share * SPAN).round().astype("<u2")

    def cluster_marks(self) -> list[list[dict[str, object]]]:
        """Returns what is drawn over the map for the clusters of each level, from coarse to fine."""
        places = self._places
        return [
            [mark.to_dict() for mark in self.clusters.marks(name, places)] for name in self.clusters.columns
        ]

    def ready(self, name: str) -> bool:
        """Returns whether a column of `names` can be had; a measure may still be computed."""
        return name not in self.measures.columns or self.measures.ready()

    def coloured(self, name: str) -> Coloured:
        """Returns a column of `names` that is `ready`; made once, that of tags when they have changed."""
        with self._lock:
            made_of = self.tags.written() if name in self.tags.columns else None
            if name not in self._coloured or self._coloured[name][0] is not made_of:
                self._coloured[name] = made_of, self._make(name)
            return self._coloured[name][1]

    def _groups_cases(self, name: str) -> bool:
        column = self.collection.records[name]
        different = column.nunique()
        if pd.api.types.is_numeric_dtype(column):
            return different > 1
        many = different > len(column) // 2
        return different > 1 and (not many or numbers(column) is not None or days(column) is not None)

    def _make(self, name: str) -> Coloured:
        values = self._ordered(name)
        counted = None if values is None else numbers(values)
        if counted is not None and counted.nunique() > _FEW:
            return self._ramp(name, counted)
        dates = None if values is None or counted is not None else days(values)
        if dates is not None and dates.nunique() > _FEW:
            return replace(self._ramp(name, dates), dates=True)
        codes, names = self._named(name)
        counts = np.bincount(codes[codes >= 0], minlength=len(names))
        ranked = np.argsort(-counts, kind="stable")
        code_of = np.full(len(names) + 1, MISSING, np.uint8)  # the last is that of a missing value, −1
        code_of[ranked] = np.minimum(np.arange(len(names)), OTHER)
        colours = self._colours(name, [names[rank] for rank in ranked])
        groups = [
            Group(names[rank], code, colour, int(counts[rank]))
            for code, (rank, colour) in enumerate(zip(ranked[:OTHER], colours, strict=False))
        ]
        rare, missing = int(counts[ranked[OTHER:]].sum()), int((codes < 0).sum())
        groups += [Group(map_text.OTHER, OTHER, "", rare)] * bool(rare)
        groups += [Group(self._missing_name(name), MISSING, "", missing)] * bool(missing)
        return Coloured(code_of[codes][self.order].tobytes(), tuple(groups))

    def _named(self, name: str) -> tuple[np.ndarray, list[str]]:
        """Returns which name each case has (−1 for none), and the names; values that share one are one."""
        if name in self.clusters.columns:
            return self.clusters.member(name).astype(np.int64), self.clusters.names(name)
        if name in self.measures.columns:
            return self.measures.named(name)
        if name in self.tags.columns:
            return self.tags.named()
        if name == cluster_text.PLACED:
            return self.collection.map.placed.astype(np.int64), list(cluster_text.PLACED_NAMES)
        codes, values = self._labels() if name == LABEL else pd.factorize(self.collection.records[name])
        if name == LABEL:
            written = [case_text.labels(self.collection, labels) for labels in values]
        else:
            written = [case_text.value_name(self.collection, name, value) for value in values]
        same, names = pd.factorize(np.array(written, object))
        return np.append(same, _ABSENT)[codes], [str(value) for value in names]

    def _labels(self) -> tuple[np.ndarray, list[tuple[str, ...]]]:
        code_of: dict[Hashable, int] = {(): _ABSENT}
        codes = np.empty(len(self.collection), np.int64)
        for position, labels in enumerate(self.collection.records["labels"]):
            key = () if labels is None else tuple(labels)
            codes[position] = code_of.setdefault(key, len(code_of) - 1)
        return codes, [key for key in code_of if key]  # pyright: ignore[reportReturnType]

    def _missing_name(self, column: str) -> str:
        if column == LABEL:
            return case_text.labels(self.collection, ())
        if column in self.tags.columns:
            return note_text.UNTAGGED
        return measure_text.MISSING.get(column, map_text.NO_VALUE)

    def _ordered(self, name: str) -> pd.Series | None:
        """Returns the values of a column that may be numbers or dates."""
        if name in self.measures.columns:
            return self.measures.numbers(name)
        return self.collection.cases[name] if name != LABEL and name in self.collection.cases else None

    def _ramp(self, name: str, column: pd.Series) -> Coloured:
        values = column.to_numpy(np.float64, na_value=np.nan)
        known = np.isfinite(values)
        low, high = float(values[known].min()), float(values[known].max())
        codes = np.full(len(values), MISSING, np.uint8)
        codes[known] = ((values[known] - low) / (high - low) * OTHER).round()
        missing = int((~known).sum())
        groups = (Group(self._missing_name(name), MISSING, "", missing),) * bool(missing)
        return Coloured(codes[self.order].tobytes(), groups, (low, high))

    def _colours(self, column: str, names: list[str]) -> list[str]:
        if column == "modality":
            known = {text.modality_name(each.key): each.colour for each in MODALITIES.values()}
        elif column == PREDICTION:  # what is predicted has the colour of what is labelled so
            known = {group.name: group.colour for group in self._make(LABEL).groups}
        elif column == ERROR:
            known = self.measures.error_colours()
        else:
            return [*PALETTE, *[""] * len(names)][: len(names)]
        return [known.get(name, "") for name in names]
