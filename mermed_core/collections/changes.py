"""Changes of a collection in place: cases are added, taken out and erased; segments are put together.

No case is embedded twice, and no point of the map moves. Each change takes the state of the folder from one
whole collection to the next, see `folder`.
"""

import logging
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mermed_core.collections.annotations import forget_removed, read_annotations
from mermed_core.collections.case_columns import CHECKSUM, FRAME, FilterColumns
from mermed_core.collections.case_table import kept_columns, with_columns
from mermed_core.collections.chosen_cases import names_of, rows_of
from mermed_core.collections.collection import filter_masks
from mermed_core.collections.folder import FolderChange, changing, check_made_by
from mermed_core.collections.map_file import MapData
from mermed_core.collections.pictures import image_contents
from mermed_core.collections.projection import place_each
from mermed_core.collections.segment import SEGMENT_ROWS, THUMBNAILS, Segment
from mermed_core.collections.sources import SourceFacts, source_facts
from mermed_core.collections.stated import Stated, StatedBroken, StatedSegment, next_state, stated_broken
from mermed_core.collections.store import (
    case_columns,
    draw_map,
    embedded,
    plain_facts,
    write_segments,
)
from mermed_core.collections.told import needed, with_told_columns
from mermed_core.data.manifest import Manifest
from mermed_core.data.validation import TOLD_BY
from mermed_core.errors import CollectionError, ManifestError, NothingReadableError
from mermed_core.models.embedder import Embedder, Embeddings
from mermed_core.models.embedding_cache import EmbeddingCache
from mermed_core.models.retrieval_space import RetrievalSpace
from mermed_core.models.told_modality import ModalityTeller
from mermed_core.search.engine import SearchEngine
from mermed_core.search.quantised import QuantisedVectors, StoredVectors
from mermed_core.search.stored import open_engine, update_index

logger = logging.getLogger(__name__)

_PLACING = 8  # neighbours that a new case is placed among
_BLOCK = 1024  # new cases that are placed together


@dataclass(frozen=True)
class Added:
    """What came of adding images.

    Attributes:
        cases: how many were added.
        there: how many were in the collection already.
        broken: reasons by the id of an image that could not be read.
        left_out: how many files or rows of the sources are no image, by reason.
    """

    cases: int
    there: int
    broken: Mapping[str, str]
    left_out: Mapping[str, int]


def add_cases(
    folder: Path,
    embedder: Embedder,
    manifest: Manifest,
    *,
    space: RetrievalSpace,
    sources: Mapping[str, Any] | None = None,
    cache: EmbeddingCache | None = None,
    workers: int = 0,
    whole: bool = False,
    teller: ModalityTeller | None = None,
) -> Added:
    """Adds the images of a manifest that the collection does not hold yet, whatever they are called.

    They are placed on the map among their nearest cases and get the further columns of the map from the
    nearest one. The columns of the records stay as they are: a further column that the manifest does not have
    is empty for its images.

    Args:
        folder: the collection.
        embedder: the model that made it.
        manifest: the images.
        space: the model's retrieval space.
        sources: facts about data sets by source; those without a case are left out.
        cache: where embeddings are kept, so that they need not be made again.
        workers: processes that read images ahead.
        whole: the manifest is all that the collection is of; what is stated about files that are no case is
            then about its files alone.
        teller: tells the modality of images of which nothing states it.

    Raises:
        CollectionError: there is no collection that can be used, or another model made it.
        ManifestError: another image in the collection has the id of a new one, or nothing states or tells the
            modality of one.
        NothingReadableError: none can be read, and the collection holds none of the manifest's.
    """
    with changing(folder) as change:
        check_made_by(folder, change.stated, space.fingerprint(embedder.fingerprint))
        new = _new_images(change, manifest)
        has_columns = TOLD_BY in case_columns(change.opened)
        if needed(teller, new) and not has_columns:
            with_told_columns(change)
        elif not has_columns:
            teller = None
        known = source_facts(sources or {}, new.frame["source"].unique())
        pictures = any(segment.file(THUMBNAILS) for segment in change.stated.segments)
        parts = embedded(embedder, new, pictures=pictures, cache=cache, workers=workers, teller=teller)
        segments, broken = _write(change, parts, {**change.stated.facts, **known}, space, pictures)
        there = len(manifest) - len(new)
        if len(new) and not segments and not there:
            raise NothingReadableError(broken)
        unread = _unread(change.stated, stated_broken(broken, new.frame), manifest, there, whole)
        if segments:
            facts = {name: plain_facts(each) for name, each in known.items()}
            _commit_added(change, segments, facts, unread)
        elif change.stated.changed(**unread) != change.stated:
            change.commit(change.stated.changed(**unread))
        return Added(sum(segment.rows for segment in segments), there, broken, manifest.left_out)


def remove_cases(
    folder: Path,
    *,
    cases: Sequence[str] = (),
    groups: Sequence[str] = (),
    source: str | None = None,
    erase: bool = True,
) -> int:
    """Removes cases from every file of a collection; returns how many.

    First they are taken out: index and map are written without them and no reader finds them any more. Then
    their tags and notes are removed, and the segments that held them are written anew. Killed in between, the
    same call erases what was taken out.

    Args:
        folder: the collection.
        cases: ids of cases.
        groups: groups, such as patients, whose cases are removed; see `chosen_cases.rows_of`.
        source: the data set that the groups are of; needed where several have a group of one name.
        erase: write the segments anew now; otherwise `compact` does it.

    Raises:
        CollectionError: there is no collection that can be used, or it has no such case or group, or nothing
            would be left of it, or its tags and notes cannot be read, or there is no room to erase them.
    """
    read_annotations(folder)  # what cannot be removed from them is not removed from the rest either
    with changing(folder) as change:
        columns = case_columns(change.opened)
        rows, unknown = rows_of(columns, change.stated.name, cases, groups, source)
        names = {name for group in groups for name in names_of(group)}
        broken = {
            name: image
            for name, image in change.stated.broken.items()
            if name not in cases and not (image.group in names and source in (None, image.source))
        }
        unread = len(change.stated.broken) - len(broken)
        if unknown and not unread and not (erase and change.opened.gone):
            raise CollectionError(unknown[0])
        if len(rows) == len(columns):
            raise CollectionError(f"Nothing would be left of '{folder}'; delete the folder instead.")
        if len(rows) or unread:
            _take_out(change, rows, broken)
        forget_removed(folder)
        if erase:
            try:
                _rewrite(change, [[number] for number in _touched(change)])
            except OSError as error:
                raise CollectionError(
                    f"{len(rows)} cases are taken out of '{folder}', but not erased from its files yet "
                    f"({error}). Make room, then erase them: "
                    f"mermed collect compact {shlex.quote(str(folder))}"
                ) from error
        return len(rows)


def compact(folder: Path, *, new_map: bool = False) -> tuple[int, int]:
    """Erases what was taken out and puts small segments together; returns how many there were and are.

    Args:
        folder: the collection.
        new_map: compute the map again, so that cases that were added get a place of their own; all points
            move.

    Raises:
        CollectionError: there is no collection that can be used, or its tags and notes cannot be read.
    """
    with changing(folder) as change:
        forget_removed(folder)  # what a removal left that was killed
        before = len(change.stated.segments)
        touched = set(_touched(change))
        groups = _groups([len(segment) for segment in change.opened.segments])
        _rewrite(change, [group for group in groups if len(group) > 1 or touched & set(group)])
        if new_map:
            drawn = draw_map(change.opened.vectors)
            change.commit(change.stated.changed(map=change.map(drawn)))
        return before, len(change.stated.segments)


def cache_beside(folder: Path) -> Path:
    """Returns where `mermed explore` keeps the embeddings of a collection until it is made or changed."""
    return folder.with_name(f"{folder.name}.embeddings")


def clear_cache(folder: Path) -> int:
    """Deletes the blocks of a cache of embeddings, which do not say whose they are; returns how many."""
    blocks = [path for pattern in ("*.npz", ".*.npz.partial") for path in folder.glob(pattern)]
    for path in blocks:
        path.unlink(missing_ok=True)
    return len(blocks)


def _new_images(change: FolderChange, manifest: Manifest) -> Manifest:
    """Returns the images of a manifest whose content the collection does not hold.

    Raises:
        ManifestError: one that it does not hold has the id of one that it holds.
    """
    columns = case_columns(change.opened)
    held = set(zip(columns[CHECKSUM], columns[FRAME], strict=True))
    new = manifest.select(np.array([content not in held for content in image_contents(manifest)], bool))
    taken = new.frame["case_id"].isin(columns["case_id"])
    if taken.any():
        raise ManifestError(
            f"the collection holds another image as '{new.frame['case_id'][taken].iloc[0]}' "
            f"({int(taken.sum())} such in all); remove those first with mermed collect remove --case, or "
            "give the new ones other ids.",
            column="case_id",
        )
    return new


def _write(
    change: FolderChange,
    parts: Iterator[Embeddings],
    sources: Mapping[str, SourceFacts],
    space: RetrievalSpace,
    pictures: bool,
) -> tuple[list[StatedSegment], dict[str, str]]:
    """Writes new cases with the columns that the others have; returns their segments, and what is broken."""
    schema = change.opened.segments[0].records.schema_arrow
    segments: list[StatedSegment] = []
    broken: dict[str, str] = {}
    for part in parts:
        broken |= part.broken
        if len(part.vectors):
            part = replace(part, manifest=with_columns(part.manifest, schema))
            keep = kept_columns(part.manifest, schema, case_columns(change.opened), change.stated.facts)
            segments += write_segments(
                change, part, sources, space=space, keep=keep, pictures=pictures, like=schema
            )
    return segments, broken


def _commit_added(
    change: FolderChange,
    segments: Sequence[StatedSegment],
    facts: Mapping[str, Any],
    unread: Mapping[str, Any],
) -> None:
    opened, stated = change.opened, change.stated
    masks = filter_masks(FilterColumns(case_columns(opened)))
    engine = open_engine(opened.vectors, change.folder, stated.state, masks, writing=True)
    came = [change.open(segment) for segment in segments]
    vectors = StoredVectors([segment.part for segment in (*opened.segments, *came)], stated.dim)
    state = next_state(stated.state, *(segment.name for segment in segments))
    drawn = _placed(engine, opened.map, vectors)
    update_index(change.folder, stated.state, state, vectors, np.ones(stated.cases, bool))
    change.commit(
        stated.changed(
            cases=len(vectors),
            state=state,
            segments=(*stated.segments, *segments),
            sources={**facts, **stated.sources},
            map=change.map(drawn),
            **unread,
        )
    )


def _unread(
    stated: Stated, broken: Mapping[str, StatedBroken], manifest: Manifest, there: int, whole: bool
) -> dict[str, Any]:
    """Returns what is to be stated of what is no case, where some images of a manifest were there before."""
    readable = set(manifest.frame["case_id"]) - broken.keys()  # one that was damaged may have been mended
    known_broken = {} if whole else stated.broken
    still = {name: image for name, image in known_broken.items() if name not in readable}
    counts = {} if whole else dict(stated.left_out)
    for reason, count in manifest.left_out.items():
        known = counts.get(reason, 0)
        counts[reason] = max(known, count) if there else known + count  # once where a folder is added again
    return {"broken": {**still, **broken}, "left_out": counts}


def _placed(engine: SearchEngine, drawn: MapData, vectors: StoredVectors) -> MapData:
    """Returns the map with the vectors that come after those that the engine searches."""
    places, nearest = [], []
    for first in range(len(engine), len(vectors), _BLOCK):
        similarities, positions = engine.search(vectors[first : first + _BLOCK], _PLACING)
        places.append(place_each(similarities, drawn.coordinates[positions]))
        nearest.append(positions[:, 0])
    rows = np.concatenate(nearest)
    columns = {name: values[rows] for name, values in drawn.columns.items()}
    return drawn.extended(np.concatenate(places), columns)


def _take_out(change: FolderChange, rows: np.ndarray, broken: Mapping[str, StatedBroken]) -> None:
    """Commits the collection without some rows, whose data stay in their segments, and what is broken now."""
    opened, stated = change.opened, change.stated
    kept = np.ones(stated.cases, bool)
    kept[rows] = False
    gone, first = dict(opened.gone), 0
    parts = []
    for segment, each in zip(stated.segments, opened.segments, strict=True):
        inside = rows[(rows >= first) & (rows < first + len(each))] - first
        before = gone.get(segment.name, np.empty(0, np.int64))
        gone[segment.name] = np.union1d(before, each.part.stored(inside))
        parts.append(change.open(segment, gone[segment.name]).part)
        first += len(each)
    vectors = StoredVectors(parts, stated.dim)
    state = next_state(stated.state, *map(str, rows.tolist()))
    update_index(change.folder, stated.state, state, vectors, kept)
    change.commit(
        stated.changed(
            cases=len(vectors),
            state=state,
            taken_out=change.gone(gone),
            map=change.map(opened.map.take(kept)),
            broken=broken,
        )
    )


def _touched(change: FolderChange) -> list[int]:
    """Returns the numbers of the segments that hold what was taken out."""
    names = change.opened.gone.keys()
    return [number for number, segment in enumerate(change.stated.segments) if segment.name in names]


def _groups(sizes: Iterable[int]) -> Iterator[list[int]]:
    """Yields the numbers of neighbouring segments that fit into one."""
    group: list[int] = []
    rows = 0
    for number, size in enumerate(sizes):
        if group and rows + size > SEGMENT_ROWS:
            yield group
            group, rows = [], 0
        group.append(number)
        rows += size
    if group:
        yield group


def _rewrite(change: FolderChange, groups: Iterable[Sequence[int]]) -> None:
    """Commits the collection with each group of segments as one, without what was taken out of them."""
    opened, stated = change.opened, change.stated
    joined = {group[0]: group for group in groups}
    if not joined:
        return
    inside = set(chain.from_iterable(joined.values()))
    segments: list[StatedSegment] = []
    for number, segment in enumerate(stated.segments):
        if number in joined:
            segments += _joined(change, [opened.segments[each] for each in joined[number]])
        elif number not in inside:
            segments.append(segment)
    left = {segment.name for segment in segments}
    gone = {name: rows for name, rows in opened.gone.items() if name in left}
    change.commit(stated.changed(segments=tuple(segments), taken_out=change.gone(gone)))


def _joined(change: FolderChange, parts: Sequence[Segment]) -> list[StatedSegment]:
    """Writes segments as one, in their order; none where no case of theirs is left."""
    parts = [part for part in parts if len(part)]
    if not parts:
        return []
    if len(parts) == 1:
        vectors = parts[0].vectors()
    else:  # what each one's codes stand for differs
        vectors = QuantisedVectors.joined([part.vectors() for part in parts])
    pictures = None
    if any(part.thumbnails is not None for part in parts):
        pictures = chain.from_iterable(
            part.pictures() if part.thumbnails is not None else [b""] * len(part) for part in parts
        )
    return [change.segment(pa.concat_tables(part.table() for part in parts), vectors, pictures)]
