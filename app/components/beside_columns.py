"""A second collection for a map beside the first, in the first one's colours."""

from dataclasses import replace
from functools import cached_property

import numpy as np

from mermed_core.collections.cluster_names import known_cases
from mermed_core.collections.collection import LABEL, Collection
from mermed_core.collections.overlap import match_cases

from ..overlap_job import OverlapJob
from ..texts import beside_text, map_text
from .map_columns import MISSING, OTHER, PALETTE, Coloured, Group, MapColumns


class BesideColumns:
    """What the second map draws: its own places, coloured as the first map is. Thread-safe.

    A case that is on both maps has the colour that it has on the first. Of the others, what has a name that
    the first collection knows has the colour of that name there; other names get colours of their own.

    Attributes:
        first: the columns of the first map.
        own: those of the second collection for itself.
        collection: the second one.
        overlap: how alike the two collections' neighbourhoods are.
    """

    def __init__(self, first: MapColumns, collection: Collection) -> None:
        self.first = first
        self.own = MapColumns(collection, known_cases(collection))
        self.collection = collection
        self.overlap = OverlapJob(first.collection, collection)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that both maps can be coloured by: those of the first."""
        return self.first.names

    @property
    def map_names(self) -> tuple[str, str]:
        """What the two maps are called for people."""
        return beside_text.map_names(self.first.collection.name, self.collection.name)

    def places(self) -> bytes:
        """Returns x and y of every point, see `MapColumns.places`."""
        return self.own.places()

    @cached_property
    def points(self) -> np.ndarray:
        """(cases,) uint32 in drawing order: which point of the first map is the same case.

        A case that the first collection lacks has a number beyond its points, each another one.
        """
        pairs = match_cases(self.first.collection, self.collection)
        point_of = np.argsort(self.first.order)
        numbers = np.full(len(self.collection), -1)
        numbers[pairs[:, 1]] = point_of[pairs[:, 0]]
        numbers = numbers[self.own.order]
        alone = numbers < 0
        numbers[alone] = len(point_of) + np.arange(np.count_nonzero(alone))
        return numbers.astype("<u4")

    def coloured(self, name: str) -> Coloured:
        """Returns the second map's points by a column of the first.

        Returns:
            Codes as on the first map. The groups are those that it does not have, with how many points of the
            second map they hold.
        """
        first = self.first.coloured(name)
        shared = np.frombuffer(first.codes, np.uint8)
        both = self.points < len(shared)
        codes = np.full(len(both), MISSING, np.uint8)
        codes[both] = shared[self.points[both]]
        rest = {OTHER: map_text.OTHER, MISSING: map_text.NO_VALUE}
        groups = {code: Group(said, code, "", 0) for code, said in rest.items()}
        # Only what the records say is the same on any map: clusters and measures are those of one.
        if name in self.own.names and (name == LABEL or name in self.collection.cases):
            own = self.own.coloured(name)
            if first.limits is None:
                code_of, added = _as_names(own, first, name)
            else:
                code_of, added = _as_numbers(own, first.limits), []
            codes[~both] = code_of[np.frombuffer(own.codes, np.uint8)[~both]]
            unnamed = [group for group in own.groups if group.code >= OTHER]
            groups |= {group.code: group for group in (*added, *unnamed)}
        counts = np.bincount(codes[~both], minlength=MISSING + 1)
        known = {group.code for group in first.groups}
        if first.limits is not None:
            known |= set(range(MISSING))  # places on the ramp
        added = [
            replace(groups[code], count=int(counts[code]))
            for code in sorted(set(groups) - known)
            if counts[code]
        ]
        return Coloured(codes.tobytes(), tuple(added), first.limits, first.dates)


def _as_names(own: Coloured, first: Coloured, column: str) -> tuple[np.ndarray, list[Group]]:
    """Returns the first map's code (256,) for each of the second's own, and the groups that are new to it."""
    code_of = np.full(MISSING + 1, OTHER, np.uint8)
    code_of[MISSING] = MISSING
    known = {group.name: group.code for group in first.groups if group.code < OTHER}
    added: list[Group] = []
    for group in own.groups:
        code = known.get(group.name, len(known) + len(added))
        if group.code >= OTHER or code >= OTHER:
            continue
        code_of[group.code] = code
        if group.name not in known:
            free = PALETTE[code] if code < len(PALETTE) else ""
            added.append(Group(group.name, code, group.colour if column == "modality" else free, 0))
    return code_of, added


def _as_numbers(own: Coloured, limits: tuple[float, float]) -> np.ndarray:
    """Returns the place on the first map's ramp (256,) for each of the second's own codes."""
    code_of = np.full(MISSING + 1, MISSING, np.uint8)
    low, high = limits
    values = {group.code: _number(group.name) for group in own.groups if group.code < OTHER}
    if own.limits is not None:
        values = dict(enumerate(np.linspace(*own.limits, OTHER + 1).tolist()))
    for code, value in values.items():
        if value is not None:
            code_of[code] = np.clip(round((value - low) / (high - low) * OTHER), 0, OTHER)
    return code_of


def _number(written: str) -> float | None:
    try:
        return float(written)
    except ValueError:
        return None
