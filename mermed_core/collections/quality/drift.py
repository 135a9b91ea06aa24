"""Whether two sources, or earlier and later images, are drawn from one distribution: a two-sample test.

The statistic is the share of nearest neighbours that come from a case's own sample (Schilling 1986; Henze
1988). Its distribution without drift comes from exchanging the samples' patients at random, so that several
images of one patient do not pass for evidence.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from mermed_core.collections.collection import CASE_COLUMNS, CHECKSUM, FRAME, Collection
from mermed_core.collections.ordered_values import are_ordered, ordered_values
from mermed_core.collections.quality.findings import CheckResult, Suspect, ranked
from mermed_core.collections.quality.neighbourhood import patients
from mermed_core.collections.quality.watch import Watch
from mermed_core.collections.told import grouping_notes
from mermed_core.data.validation import FILE
from mermed_core.errors import CollectionError
from mermed_core.modalities import MODALITIES
from mermed_core.search.neighbours import nearest

NAME = "drift"
_NEAREST = 10
_PERMUTATIONS = 999
_FEWEST = 20  # cases of a sample below which it is not compared
_MOST = 1000  # cases of a sample that are compared: more make the same answer slower
_SIGNIFICANT = 0.01
_EXAMPLES = 5
_FEW = 12  # different values up to which each is a sample; more are cut in two where they are ordered


@dataclass(frozen=True, eq=False)
class Drift:
    """How two samples differ.

    Attributes:
        p_value: chance of so high a share, or a higher one, were both drawn from one distribution.
        effect: 0 where neighbours are mixed as by chance, 1 where every neighbour is of the own sample.
        local: (cases,) share of each case's neighbours that are of its own sample.
    """

    p_value: float
    effect: float
    local: np.ndarray


def two_sample_test(
    vectors: np.ndarray,
    second: np.ndarray,
    groups: np.ndarray,
    *,
    permutations: int = _PERMUTATIONS,
    seed: int = 0,
) -> Drift:
    """Tests whether two samples are drawn from one distribution.

    Args:
        vectors: (cases, dim) float32 unit vectors of both samples.
        second: mask (cases,) of the second sample.
        groups: (cases,) numbers, such as of patients; neighbours are looked for in other groups, and groups
            are exchanged as a whole.
        permutations: exchanges of the samples; the least p value is one by one more.
        seed: of the exchanges.
    """
    similarities, positions = nearest(vectors, vectors, _NEAREST, query_groups=groups, gallery_groups=groups)
    valid = np.isfinite(similarities) & (positions >= 0)

    def share(sample: np.ndarray) -> np.ndarray:
        own = (sample[positions] == sample[:, None]) & valid
        return own.sum(axis=1) / np.maximum(valid.sum(axis=1), 1)

    random = np.random.default_rng(seed)
    # A patient goes to one sample as a whole; one with images in both goes with the images' majority.
    _, codes = np.unique(groups, return_inverse=True)
    majority = np.bincount(codes, second) * 2 > np.bincount(codes)
    local = share(second)
    chance = np.array([share(random.permutation(majority)[codes]).mean() for _ in range(permutations)])
    observed, expected = float(local.mean()), float(chance.mean())
    p_value = (1 + int((chance >= observed).sum())) / (1 + permutations)
    return Drift(p_value, max(0.0, (observed - expected) / max(1 - expected, 1e-9)), local)


def drift_columns(records: pd.DataFrame) -> tuple[str, ...]:
    """Returns the columns besides the source whose values can be compared: dates, numbers, and few names.

    Args:
        records: of the cases.
    """
    others = [name for name in records if name not in (*CASE_COLUMNS, FILE, FRAME, CHECKSUM)]
    return tuple(str(name) for name in ("split", *others) if _tells_samples(records[name]))


def _tells_samples(values: pd.Series) -> bool:
    """Returns whether a column has at least two samples, and not a name for every case."""
    different = pd.Series(values.dropna().unique())
    different = different[different.astype(str) != ""]
    return len(different) > 1 and (len(different) <= _FEW or are_ordered(different))


def check_drift(
    collection: Collection,
    most: int,
    *,
    column: str = "source",
    seed: int = 0,
    watch: Watch | None = None,
) -> CheckResult:
    """Compares sources, values of another column, or what is earlier with what is later.

    Args:
        collection: whose cases are compared, within each modality.
        most: suspects at most.
        column: of the records. Dates and numbers of more than a dozen values are cut at their median.
        seed: of the sample that is drawn of large sources, and of the exchanges.
        watch: is told of the progress.

    Raises:
        CollectionError: the records have no such column.
    """
    records = collection.records
    if column not in records:
        raise CollectionError(
            f"The records have no column '{column}'; build the collection with --keep {column}."
        )
    groups, random = patients(records), np.random.default_rng(seed)
    found: list[tuple[Suspect, Drift]] = []
    samples, watch = list(_samples(records, column)), watch or Watch()
    watch.begin(NAME, len(samples))
    for modality, first, second, names in samples:
        first, second = (
            random.choice(rows, min(len(rows), _MOST), replace=False) for rows in (first, second)
        )
        rows = np.concatenate([first, second])
        mask = np.arange(len(rows)) >= len(first)
        drift = two_sample_test(collection.vectors[rows], mask, groups[rows], seed=seed)
        found.append((_suspect(collection, modality, (column, names), rows, mask, drift), drift))
        watch.advance(1)
    compared = [rows for _, first, second, _ in samples for rows in (first, second)]
    if compared:
        notes = grouping_notes(records, np.unique(np.concatenate(compared)))
    else:
        notes = (f"No modality has two values of '{column}' with {_FEWEST} cases each.",)
    return CheckResult(
        NAME,
        "Drift" if column == "source" else f"Drift by {column}",
        f"How much more often than by chance the {_NEAREST} nearest cases of other patients come from the "
        "same sample, 0 to 1, with the p value of a permutation test over patients, adjusted for the "
        "number of tests.",
        "Without drift p values are spread evenly (tested on drawn samples); real drift was not measured.",
        ranked(_adjusted(found), most),
        None,
        notes,
    )


def _adjusted(found: list[tuple[Suspect, Drift]]) -> list[Suspect]:
    """Returns the suspects, flagged by p values that are adjusted for the number of tests.

    Sources mostly do differ, so it is the share of false findings that is held (Benjamini & Hochberg 1995).
    """
    adjusted = false_discovery_control([drift.p_value for _, drift in found]) if found else []
    return [
        replace(
            suspect,
            flagged=bool(p < _SIGNIFICANT),
            details={**suspect.details, "p_adjusted": round(float(p), 4)},
        )
        for (suspect, _), p in zip(found, adjusted, strict=True)
    ]


def _samples(
    records: pd.DataFrame, column: str
) -> Iterator[tuple[str, np.ndarray, np.ndarray, tuple[str, str]]]:
    """Yields modality, positions of both samples, and their names."""
    for modality, part in records.groupby("modality", sort=True):
        values = _cut(part[column])
        samples = part.groupby(values, sort=True, observed=True)
        rows = {name: np.asarray(same.index) for name, same in samples if len(same) >= _FEWEST}
        for first, second in combinations(rows, 2):
            yield str(modality), rows[first], rows[second], (str(first), str(second))


def _cut(values: pd.Series) -> pd.Series:
    """Returns the values as text; dates and many numbers as earlier and later, or as lower and higher."""
    known = values.dropna()
    known = known[known.astype(str) != ""]
    ordered = ordered_values(known)
    dates = ordered is not None and pd.api.types.is_datetime64_any_dtype(ordered)
    if ordered is None or ordered.nunique() < 2 or not (dates or ordered.nunique() > _FEW):
        return known.astype(str)
    middle = ordered.sort_values().iloc[(len(ordered) - 1) // 2]
    shown = middle.date().isoformat() if dates else f"{middle:g}"
    names = [f"until {shown}", f"after {shown}"] if dates else [f"up to {shown}", f"above {shown}"]
    shown_as = np.where(ordered > middle, names[1], names[0])
    return pd.Series(pd.Categorical(shown_as, names, ordered=True), known.index)


def _suspect(
    collection: Collection,
    modality: str,
    values: tuple[str, tuple[str, str]],
    rows: np.ndarray,
    second: np.ndarray,
    drift: Drift,
) -> Suspect:
    _, names = values
    details: dict[str, str | float | int | bool] = {
        "modality": modality,
        "first": names[0],
        "second": names[1],
        "p_value": round(drift.p_value, 4),
    }
    examples: list[str] = []
    for side, mask in (("first", ~second), ("second", second)):
        # Where on the map: the cases whose neighbours are most of all of their own sample.
        most = rows[mask][np.argsort(-drift.local[mask], kind="stable")]
        place = np.median(collection.coordinates[most[: max(1, len(most) // 4)]], axis=0)
        details |= {f"{side}_map_x": round(float(place[0]), 3), f"{side}_map_y": round(float(place[1]), 3)}
        examples += map(str, collection.records["case_id"].loc[most[:_EXAMPLES]])
    return Suspect(drift.effect, _reason(collection, modality, values, drift), tuple(examples), True, details)


def _reason(collection: Collection, modality: str, values: tuple[str, tuple[str, str]], drift: Drift) -> str:
    column, (first, last) = values
    kind, much, chance = MODALITIES[modality].name, f"{drift.effect:.0%}", f"{drift.p_value:.3g}"
    if column != "source":
        return (
            f"{kind} images by {column}, {first} and {last}: neighbours come from the same one "
            f"{much} more than chance (p = {chance})"
        )
    first, last = (collection.source(name).title for name in (first, last))
    return (
        f"{kind} images of {first} and {last}: neighbours come from the same one {much} more than chance "
        f"(p = {chance})"
    )
