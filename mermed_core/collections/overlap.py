"""Two collections beside each other: which cases are in both, and how many neighbours they share there.

Two encoders' vectors of the same images cannot be compared number by number; who is near whom can.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mermed_core.collections.collection import CHECKSUM, FRAME, Collection
from mermed_core.collections.quality.neighbourhood import patients, without_itself
from mermed_core.collections.quality.watch import Watch
from mermed_core.collections.told import told_by_model
from mermed_core.errors import CollectionError
from mermed_core.metrics.bootstrap import interval, resample

NEIGHBOURS = 10
_MOST_ASKED = (
    10_000  # cases whose neighbours are compared; more would make the interval no narrower to the eye
)
_BLOCK = 512  # queries searched together
_RESAMPLES = 1000
_SEED = 0


@dataclass(frozen=True)
class SharedNeighbours:
    """The mean share of their nearest cases that some cases have in both collections.

    Attributes:
        cases: whose neighbours were compared.
        mean: 0..1.
        low: end of the 95 % interval, a bootstrap over patients; None with fewer than 5 patients.
        high: likewise.
    """

    cases: int
    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Overlap:
    """How alike the neighbourhoods of two collections are.

    Attributes:
        cases: of the first and of the second collection.
        matched: cases that both have; neighbours are looked for among these alone.
        neighbours: how many nearest cases of each case are compared.
        chance: the share that is expected of neighbours drawn at random.
        all: of the cases of every modality.
        modalities: by modality of the first collection, in alphabetical order.
        told: of the cases whose neighbours were compared, how many have a modality that the model told and
            nobody stated.
    """

    cases: tuple[int, int]
    matched: int
    neighbours: int
    chance: float
    all: SharedNeighbours
    modalities: Mapping[str, SharedNeighbours]
    told: int = 0


def match_cases(first: Collection, second: Collection) -> np.ndarray:
    """Returns the rows (matched, 2) of the cases that two collections share, by rising row of the first.

    A case is matched by its id, and where ids differ by the checksum of its image and the frame. Cases of one
    id whose images are known to differ are not the same: another data set may have numbered its images alike.
    """
    images = [_images(collection) for collection in (first, second)]
    ids = [pd.Index(collection.cases["case_id"].astype(str)) for collection in (first, second)]
    row_of = ids[0].get_indexer(ids[1])
    same = np.flatnonzero(row_of >= 0)
    one, other = images[0][row_of[same]], images[1][same]
    row_of[same[(one != "") & (other != "") & (one != other)]] = -1
    free = np.setdiff1d(np.arange(len(first)), row_of)
    _match_images(row_of, images, free)
    matched = np.flatnonzero(row_of >= 0)
    pairs = np.column_stack([row_of[matched], matched])
    return pairs[np.argsort(pairs[:, 0])]


def neighbourhood_overlap(
    first: Collection,
    second: Collection,
    *,
    neighbours: int = NEIGHBOURS,
    seed: int = _SEED,
    watch: Watch | None = None,
) -> Overlap:
    """Compares who is near whom in two collections, in the space in which each compares images.

    Args:
        first: a collection.
        second: another one, such as the same images as another encoder sees them.
        neighbours: how many nearest cases of each case; fewer where the collections share no more cases.
        seed: of the choice of 10,000 cases where more are shared, and of the interval.
        watch: is told how far it is.

    Raises:
        CollectionError: the collections share fewer than two cases.
    """
    pairs = match_cases(first, second)
    if len(pairs) < 2:
        raise CollectionError(
            f"'{first.name}' and '{second.name}' share {len(pairs)} of their cases, too few to compare. "
            "Cases are matched by their ids and by the checksums of their images."
        )
    count = min(neighbours, len(pairs) - 1)
    asked = np.sort(np.random.default_rng(seed).permutation(len(pairs))[:_MOST_ASKED])
    shares = _shares(first, second, pairs, asked, count, watch or Watch())
    groups = patients(first.records)[pairs[asked, 0]]
    modality = first.cases["modality"].to_numpy()[pairs[asked, 0]]
    of = {str(name): np.flatnonzero(modality == name) for name in np.unique(modality.astype(str))}
    return Overlap(
        (len(first), len(second)),
        len(pairs),
        count,
        count / (len(pairs) - 1),
        _summary(shares, groups, seed),
        {name: _summary(shares[rows], groups[rows], seed) for name, rows in of.items()},
        int(told_by_model(first.cases)[pairs[asked, 0]].sum()),
    )


def _images(collection: Collection) -> np.ndarray:
    """Returns (cases,) checksum and frame of each case's image as one text, "" where they are not known."""
    if CHECKSUM not in collection.cases:
        return np.full(len(collection), "", object)
    checksums = collection.cases[CHECKSUM].fillna("").astype(str).to_numpy(object)
    frames = np.zeros(len(collection), int)
    if FRAME in collection.cases:
        frames = collection.cases[FRAME].fillna(0).to_numpy(int)
    named = [
        f"{checksum}/{frame}" if checksum else "" for checksum, frame in zip(checksums, frames, strict=True)
    ]
    return np.array(named, object)


def _match_images(row_of: np.ndarray, images: list[np.ndarray], free: np.ndarray) -> None:
    """Matches what has no id in common by its image, each case once; equal images in their order."""
    tables = []
    for side, rows in enumerate((free, np.flatnonzero(row_of < 0))):
        table = pd.DataFrame({"image": images[side][rows], f"row{side}": rows})
        table = table[table["image"] != ""]
        tables.append(table.assign(copy=table.groupby("image").cumcount()))
    both = tables[0].merge(tables[1], on=["image", "copy"])
    row_of[both["row1"].to_numpy(int)] = both["row0"].to_numpy(int)


def _shares(
    first: Collection, second: Collection, pairs: np.ndarray, asked: np.ndarray, count: int, watch: Watch
) -> np.ndarray:
    """Returns (asked,) the share of the nearest matched cases that both collections name."""
    shares = np.empty(len(asked))
    watch.begin("neighbours in both collections", len(asked))
    for start in range(0, len(asked), _BLOCK):
        rows = asked[start : start + _BLOCK]
        one, other = (
            _nearest(collection, pairs[:, side], rows, count)
            for side, collection in enumerate((first, second))
        )
        shares[start : start + _BLOCK] = (one[:, :, None] == other[:, None, :]).any(axis=2).mean(axis=1)
        watch.advance(len(rows))
    return shares


def _nearest(collection: Collection, matched: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """Returns the matched cases (rows, count) nearest to some matched cases, themselves left out."""
    number_of = np.full(len(collection), -1)
    number_of[matched] = np.arange(len(matched))
    allowed = None if len(matched) == len(collection) else number_of >= 0
    hits = collection.engine.search(collection.vectors[matched[rows]], count + 1, allowed)
    found, _ = without_itself(rows, number_of[hits.positions], hits.values)
    return found


def _summary(shares: np.ndarray, groups: np.ndarray, seed: int) -> SharedNeighbours:
    draws = resample(lambda weights: weights @ shares / weights.sum(axis=1), groups, _RESAMPLES, seed)
    low, high = interval(draws)
    ends = (None, None) if np.isnan(low) else (low, high)
    return SharedNeighbours(len(shares), float(shares.mean()), *ends)
