"""The records of cases as a table: what a segment keeps of a manifest of images."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from mermed_core.collections.case_columns import CASE_COLUMNS, CHECKSUM, FRAME, CaseColumns
from mermed_core.collections.pictures import image_checksums
from mermed_core.collections.sources import SourceFacts
from mermed_core.data.manifest import Manifest
from mermed_core.data.validation import BY_FILE, FILE, TOLD_BY
from mermed_core.errors import ManifestError

_ORIGIN = (FILE, FRAME, CHECKSUM)


def case_table(
    manifest: Manifest,
    sources: Mapping[str, SourceFacts],
    keep: Sequence[str],
    like: pa.Schema | None = None,
    *,
    checksums: Sequence[str] | None = None,
) -> pa.Table:
    """Returns a row a case: what it is, and which picture is its.

    Args:
        manifest: the images.
        sources: data sets of which the names of files are kept.
        keep: further columns that are kept.
        like: the columns that other segments of the collection have.
        checksums: of the encoded images, where they are known.

    Raises:
        ManifestError: a column cannot be stored, or not as other segments have it.
    """
    known = image_checksums(manifest) if checksums is None else list(checksums)
    return _stored(_records(manifest, sources, keep, known), like)


def kept_columns(
    manifest: Manifest, schema: pa.Schema, columns: CaseColumns, sources: Mapping[str, SourceFacts]
) -> list[str]:
    """Returns the columns of a manifest that a collection keeps of its images.

    The names of files of one's own are among them only where the collection has some: they may say who the
    patient is.

    Args:
        manifest: of images that are added or corrected.
        schema: of the collection's records.
        columns: of its cases.
        sources: data sets of which the names of files are kept anyway.
    """
    own = ~columns["source"].isin(list(sources))
    keeps = FILE in columns and bool((columns[FILE][own].dropna() != "").any())
    return [name for name in schema.names if name in manifest.frame and (name != FILE or keeps)]


def with_columns(manifest: Manifest, schema: pa.Schema) -> Manifest:
    """Returns a manifest with the further columns that records have, empty where it has none.

    Of images that state their modality the column of who told it is not empty.
    """
    missing = [name for name in schema.names if name not in manifest.frame and name not in (FRAME, CHECKSUM)]
    return manifest.with_frame(
        manifest.frame.assign(**{name: BY_FILE if name == TOLD_BY else None for name in missing})
    )


def _records(
    manifest: Manifest, sources: Mapping[str, SourceFacts], keep: Sequence[str], checksums: Sequence[str]
) -> pd.DataFrame:
    """Returns a row a case: what it is, and which picture is its."""
    frame = manifest.frame
    files = frame[FILE] if FILE in frame else pd.Series("", frame.index)
    known = frame["source"].isin(sources.keys()) | (FILE in keep)
    return frame[list(dict.fromkeys([*CASE_COLUMNS, *keep]))].assign(
        **{
            FILE: files.where(known, ""),
            FRAME: frame[FRAME].astype(np.int32) if FRAME in frame else np.int32(0),
            CHECKSUM: checksums,
        }
    )


def _stored(records: pd.DataFrame, like: pa.Schema | None = None) -> pa.Table:
    labels = [list(names) if names is not None else [] for names in records["labels"]]
    table = pa.Table.from_pandas(records.drop(columns="labels"), preserve_index=False)
    # Stated, so that a column keeps its type where every value is empty.
    table = table.append_column("labels", pa.array(labels, pa.list_(pa.string())))
    further = [name for name in table.column_names if name not in (*CASE_COLUMNS, *_ORIGIN)]
    table = table.select([*CASE_COLUMNS, *_ORIGIN, *further]).replace_schema_metadata()
    kinds = {field.name: field.type for field in table.schema}
    kinds |= {name: pa.string() for name in (*CASE_COLUMNS, FILE, CHECKSUM) if name != "labels"}
    kinds |= {name: pa.string() for name in further if pa.types.is_null(kinds[name])}
    stored = pa.schema(list(kinds.items())) if like is None else like
    try:
        return table.select(stored.names).cast(stored)
    except (pa.ArrowException, KeyError) as error:
        raise ManifestError(f"a column cannot be stored as the collection has it ({error}).") from error
