"""Cases that follow the table of their images: what was corrected there is corrected in the collection.

An image is known by its content. Where the table now says something else of it (another label, patient, split
or name), the case's record is written anew, and its vector, picture and place on the map stay.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mermed_core.collections.annotations import rename_cases
from mermed_core.collections.case_columns import CHECKSUM, FRAME, CaseColumns
from mermed_core.collections.case_table import case_table, kept_columns, with_columns
from mermed_core.collections.folder import FolderChange, changing, open_folder
from mermed_core.collections.segment import Segment
from mermed_core.collections.sources import SourceFacts, source_facts
from mermed_core.collections.stated import StatedSegment
from mermed_core.collections.store import case_columns, plain_facts
from mermed_core.collections.told import COLUMNS, stated_modalities
from mermed_core.data.manifest import Manifest
from mermed_core.data.validation import BY_FILE, BY_MODEL, TOLD_BY
from mermed_core.modalities import LEFT_OPEN

_NONE = -1
_Image = tuple[tuple[str, int], str]  # content and modality


def gone_from(folder: Path, manifest: Manifest, contents: Sequence[tuple[str, int]]) -> tuple[list[str], int]:
    """Returns the ids of the cases whose image a manifest does not hold, and how many cases there are.

    An image of another modality is another one: its vector is made in another way. A case whose modality the
    model told is the image whatever is stated now.

    Args:
        folder: the collection.
        manifest: the images.
        contents: of them, see `pictures.image_contents`.

    Raises:
        CollectionError: there is no collection that can be used.
    """
    columns = case_columns(open_folder(folder))
    missing = np.flatnonzero(_rows_in(manifest, contents, columns) == _NONE)
    return [str(case_id) for case_id in columns["case_id"].iloc[missing]], len(columns)


def correct_cases(
    folder: Path,
    manifest: Manifest,
    contents: Sequence[tuple[str, int]],
    *,
    sources: Mapping[str, Any] | None = None,
) -> int:
    """Writes the records of cases anew of which a manifest says something else; returns how many.

    Tags and notes go along with a case that is called something else now.

    Args:
        folder: the collection.
        manifest: the images; the records of cases of others stay.
        contents: of them, see `pictures.image_contents`.
        sources: facts about data sets by source; those without a case are left out.

    Raises:
        CollectionError: there is no collection that can be used, or its tags and notes cannot be read.
        ManifestError: a column cannot be stored as the collection has it.
    """
    with changing(folder) as change:
        columns = case_columns(change.opened)
        rows = _rows_in(manifest, contents, columns)
        known = source_facts(sources or {}, manifest.frame["source"].unique())
        segments: list[StatedSegment] = []
        names: dict[str, str] = {}
        changed = first = 0
        for stated, segment in zip(change.stated.segments, change.opened.segments, strict=True):
            own = rows[first : first + len(segment)]
            first += len(segment)
            before = segment.table()
            after = _corrected(before, manifest, own, columns, {**change.stated.facts, **known})
            differ = _differing(before, after)
            if not differ.any():
                segments.append(stated)
                continue
            changed += int(differ.sum())
            ids = zip(before["case_id"].to_pylist(), after["case_id"].to_pylist(), strict=True)
            names |= {old: new for old, new in ids if old != new}
            segments.append(_written(change, segment, after))
        if changed:
            rename_cases(folder, names)  # before the records: done twice it changes nothing
            gone = {name: some for name, some in change.opened.gone.items() if name in _names(segments)}
            facts = {name: plain_facts(each) for name, each in known.items()} | change.stated.sources
            change.commit(
                change.stated.changed(segments=tuple(segments), taken_out=change.gone(gone), sources=facts)
            )
        return changed


def _names(segments: Sequence[StatedSegment]) -> set[str]:
    return {segment.name for segment in segments}


def _rows_in(manifest: Manifest, contents: Sequence[tuple[str, int]], columns: CaseColumns) -> np.ndarray:
    """Returns (cases,) the row of each case's image in a manifest, -1 where it has none; no row twice.

    Of images that are the same, a case's is the one of its id, else the first that is no other case's.
    """
    images = list(zip(contents, manifest.frame["modality"], strict=True))
    row_of = {case_id: row for row, case_id in enumerate(manifest.frame["case_id"])}
    stored = zip(columns[CHECKSUM], columns[FRAME], strict=True)
    cases = list(zip(stored, stated_modalities(columns), strict=True))
    rows = np.full(len(columns), _NONE, np.int64)
    for position, case_id in enumerate(columns["case_id"]):
        row = row_of.get(case_id, _NONE)
        if row != _NONE and images[row] == cases[position]:
            rows[position] = row
    free: defaultdict[tuple[tuple[str, int], str], list[int]] = defaultdict(list)
    for row in sorted(set(range(len(images))) - set(rows.tolist()), reverse=True):
        free[images[row]].append(row)
    for position in np.flatnonzero(rows == _NONE).tolist():
        if left := free[cases[position]]:
            rows[position] = left.pop()
    _find_stated_now(rows, images, cases)
    return rows


def _find_stated_now(rows: np.ndarray, images: Sequence[_Image], cases: Sequence[_Image]) -> None:
    """Finds the images of cases whose modality the model told and is stated now; see `_rows_in`.

    Args:
        rows: (cases,) which are filled in.
        images: of the manifest, each its content and modality.
        cases: likewise, as stated.
    """
    told = [place for place in np.flatnonzero(rows == _NONE).tolist() if cases[place][1] == LEFT_OPEN]
    if not told:
        return
    free: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for row in sorted(set(range(len(images))) - set(rows.tolist()), reverse=True):
        free[images[row][0]].append(row)
    for place in told:
        if left := free[cases[place][0]]:
            rows[place] = left.pop()


def _as_told(manifest: Manifest, before: pa.Table) -> Manifest:
    """Returns images as a manifest has them, with what the model told of those of which it states nothing."""
    if TOLD_BY not in before.column_names:
        return manifest
    known = before.select(["modality", *COLUMNS]).to_pandas()
    open_ = manifest.without_modality()
    frame = manifest.frame.assign(**{name: known[name].to_numpy() for name in COLUMNS})
    frame["modality"] = frame["modality"].where(~open_, known["modality"])
    frame[TOLD_BY] = np.where(open_, BY_MODEL, BY_FILE)
    return manifest.with_frame(frame)


def _corrected(
    before: pa.Table,
    manifest: Manifest,
    rows: np.ndarray,
    columns: CaseColumns,
    sources: Mapping[str, SourceFacts],
) -> pa.Table:
    """Returns records as a manifest has them, and as they were where it has no such row."""
    there = np.flatnonzero(rows != _NONE)
    if not len(there):
        return before
    part = _as_told(manifest.select(rows[there]), before.take(pa.array(there)))
    part = with_columns(part, before.schema)
    keep = kept_columns(part, before.schema, columns, sources)
    checksums = before[CHECKSUM].take(pa.array(there)).to_pylist()
    now = case_table(part, sources, keep, before.schema, checksums=checksums)
    order = np.arange(len(before))
    order[there] = len(before) + np.arange(len(there))
    return pa.concat_tables([before, now]).take(pa.array(order)).combine_chunks()


def _differing(before: pa.Table, after: pa.Table) -> np.ndarray:
    """Returns (rows,) whether the records of a case differ."""
    if before.equals(after):
        return np.zeros(len(before), bool)
    pairs = zip(before.to_pylist(), after.to_pylist(), strict=True)
    return np.array([old != new for old, new in pairs], bool)


def _written(change: FolderChange, segment: Segment, records: pa.Table) -> StatedSegment:
    pictures = None if segment.thumbnails is None else segment.pictures()
    return change.segment(records, segment.vectors(), pictures)
