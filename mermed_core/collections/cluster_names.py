"""What clusters are called: by the labels, the modality and the source that tell each from the others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mermed_core.collections.case_columns import LABEL
from mermed_core.collections.collection import Collection
from mermed_core.collections.stated import MANIFEST
from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_ATLAS
from mermed_core.search.filters import Column

_NAMED = 0.2  # share of a cluster's cases that a label or a modality must have to be in its name
_FEW_LABELLED = 0.05  # share of cases with labels below which known cases say what a cluster holds
_MOST_LABELS = 2
_MOST = 0.5
_ASKED, _KNOWN = 64, 5  # cases of a cluster that are looked up among known ones, and how many each finds


@dataclass(frozen=True)
class ClusterName:
    """What tells a cluster from the others of its level; what does not is left empty.

    Attributes:
        labels: the most telling one first.
        modalities: those that many cases have, the most frequent first.
        source: that of most cases.
        number: tells clusters apart that are alike in all of this; 0 where no other is alike.
        by_known: the labels are those of known cases that lie nearest, as its own cases have none.
    """

    labels: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    source: str = ""
    number: int = 0
    by_known: bool = False


def name_clusters(
    member: np.ndarray, columns: Mapping[str, Column], known: Sequence[tuple[str, ...]] = ()
) -> list[ClusterName]:
    """Returns what each cluster is called, in the order of their numbers; no two have the same name.

    A label counts by the share of the cluster's cases that have it, times the logarithm of how many times
    more frequent it is there than everywhere. Modality and source are added where labels do not suffice.

    Args:
        member: (cases,) the number of each case's cluster, 0, 1, 2, …
        columns: label, modality and source of the cases, see `Collection.columns`.
        known: for each cluster, labels of known cases near it; used where its cases have hardly any.
    """
    sizes = np.bincount(member)
    labels = _telling(member, sizes, columns[LABEL])
    of_known = [False] * len(sizes)
    for number, near in enumerate(known):
        if labels[number] is None and near:
            labels[number], of_known[number] = near, True
    modalities = _of_many(member, sizes, columns["modality"])
    source = _of_most(member, sizes, columns["source"])
    names = [ClusterName(each or (), by_known=by) for each, by in zip(labels, of_known, strict=True)]
    names = [
        name if name.labels else replace(name, modalities=several)
        for name, several in zip(names, modalities, strict=True)
    ]
    names = _told_apart(names, lambda number, name: replace(name, modalities=modalities[number]))
    names = _told_apart(names, lambda number, name: replace(name, source=source[number]))
    count: dict[ClusterName, int] = {}
    alike = {
        name for name in names if names.count(name) > 1 or name in (ClusterName(), ClusterName(by_known=True))
    }
    numbered = []
    for name in names:  # larger clusters have lower numbers
        count[name] = count.get(name, 0) + 1
        numbered.append(replace(name, number=count[name]) if name in alike else name)
    return numbered


def labels_of_known(member: np.ndarray, collection: Collection, known: Collection) -> list[tuple[str, ...]]:
    """Returns the labels of the known cases nearest to some cases of each cluster, () where they disagree.

    Args:
        member: (cases,) the number of each case's cluster.
        collection: of the cases.
        known: cases with labels; by the same model, otherwise nothing is known.
    """
    if known.fingerprint != collection.fingerprint or not len(known):
        return [()] * (int(member.max(initial=-1)) + 1)
    order = np.argsort(member, kind="stable")
    found = []
    for rows in np.split(order, np.cumsum(np.bincount(member))[:-1]):
        asked = rows[np.unique(np.linspace(0, len(rows) - 1, min(_ASKED, len(rows))).astype(int))]
        near = known.engine.search(np.asarray(collection.vectors[np.sort(asked)]), _KNOWN).positions
        cases = known.cases_at(near.ravel())
        shares: dict[str, float] = {}
        for case in cases:
            for label in case.labels:
                shares[label] = shares.get(label, 0) + 1 / len(cases)
        best = sorted(shares, key=lambda label: -shares[label])[:1]
        found.append(tuple(label for label in best if shares[label] >= _MOST))
    return found


def known_cases(collection: Collection) -> Collection | None:
    """Returns the bundled atlas for a collection without labels that the same model made, else None."""
    if collection.columns[LABEL].values or not (BUNDLED_ATLAS / MANIFEST).is_file():
        return None
    atlas = load_collection(BUNDLED_ATLAS)
    return atlas if atlas.fingerprint == collection.fingerprint else None


def _told_apart(
    names: list[ClusterName], more: Callable[[int, ClusterName], ClusterName]
) -> list[ClusterName]:
    """Returns the names, with more to those that several clusters have, where it tells them apart."""
    told = list(names)
    for name in {name for name in names if names.count(name) > 1}:
        alike = [number for number, other in enumerate(names) if other == name]
        fuller = [more(number, name) for number in alike]
        if len(set(fuller)) > 1:
            for number, full in zip(alike, fuller, strict=True):
                told[number] = full
    return told


def _shares(member: np.ndarray, sizes: np.ndarray, column: Column) -> tuple[list[str], np.ndarray]:
    """Returns the values of a column, and their shares in each cluster (values, clusters)."""
    values = list(column.values)
    counts = [np.bincount(member[column.rows(value)], minlength=len(sizes)) for value in values]
    # A cluster whose cases were all removed is empty: 0 / 0 would spoil the shares of all.
    shares = np.array(counts, float).reshape(len(values), len(sizes)) / np.maximum(sizes, 1)
    return [str(value) for value in values], shares


def _telling(member: np.ndarray, sizes: np.ndarray, column: Column) -> list[tuple[str, ...] | None]:
    """Returns the labels that tell each cluster from the others, None where hardly any case has a label."""
    values, shares = _shares(member, sizes, column)
    if not values:
        return [None] * len(sizes)
    everywhere = (shares @ sizes / sizes.sum())[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        telling = np.where(shares >= _NAMED, shares * np.log(shares / everywhere), 0)
    found: list[tuple[str, ...] | None] = []
    for cluster in range(len(sizes)):
        if shares[:, cluster].sum() < _FEW_LABELLED:
            found.append(None)
            continue
        best = np.argsort(-telling[:, cluster], kind="stable")[:_MOST_LABELS]
        found.append(tuple(values[label] for label in best if telling[label, cluster] > 0))
    return found


def _of_many(member: np.ndarray, sizes: np.ndarray, column: Column) -> list[tuple[str, ...]]:
    """Returns the values that a good part of each cluster's cases have, the most frequent first."""
    values, shares = _shares(member, sizes, column)
    order = np.argsort(-shares, axis=0, kind="stable")
    return [
        tuple(values[value] for value in order[:, cluster] if shares[value, cluster] >= _NAMED)
        for cluster in range(len(sizes))
    ]


def _of_most(member: np.ndarray, sizes: np.ndarray, column: Column) -> list[str]:
    """Returns the value that more than half of each cluster's cases have, "" where there is none."""
    values, shares = _shares(member, sizes, column)
    if not values:
        return [""] * len(sizes)
    best = shares.argmax(axis=0)
    most = shares[best, np.arange(len(sizes))] > _MOST
    return [values[value] if enough else "" for value, enough in zip(best, most, strict=True)]
