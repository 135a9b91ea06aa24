"""A collection as a folder: built from a manifest, written whole or not at all, checked when it is read.

manifest.json names all other files with their checksums: segments of cases (`segment`), the map (`map_file`)
and, where cases were taken out and not erased yet, which rows those are (`folder`). A large collection has a
search index beside them (`search.stored`), which is made again where it is missing.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mermed_core.collections.case_columns import (
    CaseColumns,
    FilterColumns,
    arrow_series,
)
from mermed_core.collections.case_table import case_table
from mermed_core.collections.clusters import cluster_columns
from mermed_core.collections.collection import Collection, Description, filter_masks
from mermed_core.collections.folder import FolderWriter, OpenFolder, open_folder
from mermed_core.collections.map_file import MapData
from mermed_core.collections.no_manifest import check_place
from mermed_core.collections.on_server import engine_on_server
from mermed_core.collections.pictures import Pictures, small_pictures
from mermed_core.collections.projection import NEIGHBOURS, compute_map
from mermed_core.collections.segment import SEGMENT_ROWS, JoinedThumbnails
from mermed_core.collections.sources import SourceFacts, source_facts
from mermed_core.collections.stated import (
    FORMAT,
    Stated,
    StatedBroken,
    StatedSegment,
    next_state,
    read_stated,
    stated_broken,
)
from mermed_core.collections.told import COLUMNS, needed
from mermed_core.data.manifest import Manifest
from mermed_core.errors import CollectionError, ManifestError, NothingReadableError
from mermed_core.files import write_folder
from mermed_core.models.retrieval_space import RetrievalSpace
from mermed_core.search.milvus_server import MilvusServer
from mermed_core.search.quantised import QuantisedVectors, StoredVectors
from mermed_core.search.self_search import nearest_to_each
from mermed_core.search.stored import open_engine

if TYPE_CHECKING:  # opening a collection needs no encoder, which takes seconds and half a gigabyte to import
    from mermed_core.models.embedder import Embedder, Embeddings
    from mermed_core.models.embedding_cache import EmbeddingCache
    from mermed_core.models.told_modality import ModalityTeller

logger = logging.getLogger(__name__)

_NO_STATE = "0" * 64


def build_collection(
    folder: Path,
    embedder: "Embedder",
    manifest: Manifest,
    *,
    space: RetrievalSpace,
    name: str,
    text: str,
    synthetic: bool,
    sources: Mapping[str, Any] | None = None,
    keep: Sequence[str] = (),
    pictures: bool = True,
    cache: "EmbeddingCache | None" = None,
    workers: int = 0,
    teller: "ModalityTeller | None" = None,
) -> Collection:
    """Embeds a manifest and writes the collection; what stood in `folder` stays until all is done.

    Args:
        folder: the place.
        embedder: the model.
        manifest: the images.
        space: the model's retrieval space.
        name: short name for people.
        text: one or two sentences: what it holds, under which licence.
        synthetic: whether its images are drawn rather than of patients.
        sources: facts about data sets by source, see `source_facts`; those without a case are left out.
        keep: further columns of the manifest that are kept, to be filtered by; see `write_collection`.
        pictures: keep a small picture of each case.
        cache: where embeddings are kept, so that they need not be made again.
        workers: processes that read images ahead.
        teller: tells the modality of images of which nothing states it; the records then say of whom it is.

    Raises:
        NothingReadableError: not one image could be read.
        ManifestError: a column to keep is not there, or nothing states or tells a modality.
        OccupiedError: the folder holds something other than a collection.
    """
    check_kept(manifest, keep)
    check_place(folder)
    if teller := needed(teller, manifest):
        keep = (*keep, *COLUMNS)
    known = source_facts(sources or {}, manifest.frame["source"].unique())
    description = Description(name, text, synthetic, space.fingerprint(embedder.fingerprint), known)
    parts = embedded(embedder, manifest, pictures=pictures, cache=cache, workers=workers, teller=teller)
    frame, left_out = manifest.frame, manifest.left_out
    return write_parts(folder, parts, frame, description, left_out, space=space, keep=keep, pictures=pictures)


def write_collection(
    folder: Path,
    embeddings: "Embeddings",
    description: Description,
    *,
    space: RetrievalSpace,
    keep: Sequence[str] = (),
    pictures: bool = True,
) -> Collection:
    """Writes the collection of images that are embedded already.

    The names of the images' own files are kept of data sets that the description knows: what a hospital calls
    its files may say who the patient is. Of others they are kept if `keep` names the column `file`.

    Args:
        folder: the place.
        embeddings: unit vectors, as the model whose fingerprint the description states makes them.
        description: what the collection states about itself.
        space: the model's retrieval space.
        keep: further columns of the manifest that are kept, to be filtered by. None is kept without being
            named: a table from a hospital may hold what must not leave it.
        pictures: keep a small picture of each case; made now where the embeddings come without.

    Raises:
        ManifestError: a column to keep is not there.
        OccupiedError: the folder holds something other than a collection.
    """
    check_kept(embeddings.manifest, keep)
    check_place(folder)
    frame, left_out = embeddings.manifest.frame, embeddings.manifest.left_out
    parts = iter([embeddings])
    return write_parts(folder, parts, frame, description, left_out, space=space, keep=keep, pictures=pictures)


def load_collection(
    folder: Path, *, pictures: Pictures | None = None, server: MilvusServer | None = None
) -> Collection:
    """Opens a collection after its files were checked by size and sample.

    Records are read by column when they are wanted, vectors and thumbnails are mapped into memory: a million
    cases open in a second or two. `folder.verify_folder` reads all there is.

    Args:
        folder: the collection.
        pictures: where the pictures of cases can be had that the collection itself has none of.
        server: searches instead of this process; the collection was pushed to it.

    Raises:
        CollectionError: the folder is missing, incomplete, damaged or of another format.
        SearchServerError: the server does not answer, or holds something else than the folder.
    """
    return collection_of(folder, open_folder(folder), pictures, server)


def collection_of(
    folder: Path,
    opened: OpenFolder,
    pictures: Pictures | None = None,
    server: MilvusServer | None = None,
) -> Collection:
    """Returns the collection of a folder that is open, with the search engine that suits it."""
    stated, vectors, cases = opened.stated, opened.vectors, case_columns(opened)

    def current() -> bool:
        return read_stated(folder).state == stated.state

    masks = _masks(cases)
    if server is None:
        engine = open_engine(vectors, folder, stated.state, masks, current=current)
    else:
        engine = engine_on_server(server, folder, cases, vectors, stated.state)
    own = any(segment.thumbnails is not None for segment in opened.segments)
    thumbnails = JoinedThumbnails(opened.segments) if own else None
    return Collection(
        stated.description,
        cases,
        vectors,
        opened.map,
        thumbnails,
        engine,
        pictures=pictures,
        state=stated.state,
    )


def case_columns(opened: OpenFolder) -> CaseColumns:
    """Returns the records of an open folder; a column is read when it is first wanted."""

    def read(name: str) -> pd.Series:
        try:
            return arrow_series(pa.concat_tables(part.table([name]) for part in opened.segments)[name])
        except (OSError, ValueError, pa.ArrowException) as error:
            raise CollectionError(
                f"The column '{name}' of the collection '{opened.stated.name}' is damaged ({error}); "
                "build the collection again."
            ) from error

    return CaseColumns(opened.segments[0].records.schema_arrow.names, opened.stated.cases, read)


def check_kept(manifest: Manifest, keep: Sequence[str]) -> None:
    """Makes sure that a table has the columns to keep; raises ManifestError where it does not."""
    if missing := [column for column in keep if column not in manifest.frame]:
        raise ManifestError("the table has no such column to keep.", column=missing[0])


def embedded(
    embedder: "Embedder",
    manifest: Manifest,
    *,
    pictures: bool,
    cache: "EmbeddingCache | None" = None,
    workers: int = 0,
    teller: "ModalityTeller | None" = None,
) -> "Iterator[Embeddings]":
    """Yields the embeddings of a manifest, at most `SEGMENT_ROWS` images at a time.

    Of images that cannot be read there are reasons alone, also where that is all of them. A teller fills in
    modalities.
    """
    from mermed_core.models.embedder import Embeddings, embed_manifest

    for first in range(0, len(manifest), SEGMENT_ROWS):
        part = manifest.select(range(first, min(first + SEGMENT_ROWS, len(manifest))))
        try:
            if cache is None:
                made = embed_manifest(embedder, part, thumbnails=pictures, workers=workers)
            else:
                made = cache.embed(embedder, part, workers=workers)
        except NothingReadableError as error:
            none = np.empty((0, embedder.backbone.dim), np.float32)
            made = Embeddings(none, part.select([]), (), dict(error.broken))
        yield made if teller is None else teller.complete(made)


def write_segments(
    writer: FolderWriter,
    embeddings: "Embeddings",
    sources: Mapping[str, SourceFacts],
    *,
    space: RetrievalSpace,
    keep: Sequence[str],
    pictures: bool,
    like: pa.Schema | None = None,
) -> list[StatedSegment]:
    """Writes cases as segments of at most `SEGMENT_ROWS`.

    Args:
        writer: of the folder.
        embeddings: of the cases.
        sources: data sets of which the names of files are kept.
        space: the retrieval space that vectors are stored in.
        keep: further columns that are kept.
        pictures: keep thumbnails.
        like: the columns that other segments of the collection have.

    Raises:
        ManifestError: a column cannot be stored, or not as other segments have it.
    """
    segments = []
    for first in range(0, len(embeddings.vectors), SEGMENT_ROWS):
        rows = slice(first, first + SEGMENT_ROWS)
        manifest = embeddings.manifest.select(np.arange(len(embeddings.vectors))[rows])
        records = case_table(manifest, sources, keep, like)
        vectors = QuantisedVectors.encode(space.project(embeddings.vectors[rows]))
        thumbnails = small_pictures(manifest, embeddings.thumbnails[rows]) if pictures else None
        segments.append(writer.segment(records, vectors, thumbnails))
    return segments


def draw_map(vectors: StoredVectors, coordinates: np.ndarray | None = None) -> MapData:
    """Computes the map of a whole collection and its clusters.

    Args:
        vectors: of all cases.
        coordinates: (cases, 2), a map that stays as it is; computed without one.
    """
    logger.info("computing the map of %s cases", f"{len(vectors):,}")
    all_vectors = vectors[:]
    near = nearest_to_each(all_vectors, NEIGHBOURS)
    drawn = MapData.computed(compute_map(all_vectors, near) if coordinates is None else coordinates)
    return replace(drawn, columns=cluster_columns(near.positions))


def write_parts(
    folder: Path,
    parts: "Iterator[Embeddings]",
    frame: pd.DataFrame,
    description: Description,
    left_out: Mapping[str, int],
    *,
    space: RetrievalSpace,
    keep: Sequence[str],
    pictures: bool,
) -> Collection:
    """Writes the collection of images that come in parts; see `write_collection`.

    Args:
        folder: the place.
        parts: in order, each of some images.
        frame: the table of all images, those that cannot be read among them.
        description: what the collection states about itself.
        left_out: how many files or rows are no case, by reason.
        space: projects the vectors.
        keep: further columns that are kept.
        pictures: keep thumbnails.

    Raises:
        NothingReadableError: not one image could be read.
    """
    segments: list[StatedSegment] = []
    broken: dict[str, str] = {}
    with write_folder(folder) as staging:
        writer = FolderWriter(staging)
        for part in parts:
            broken |= part.broken
            segments += write_segments(
                writer, part, description.sources, space=space, keep=keep, pictures=pictures
            )
        if not segments:
            raise NothingReadableError(broken)
        write_whole(writer, segments, description, stated_broken(broken, frame), left_out)
    return load_collection(folder)


def write_whole(
    writer: FolderWriter,
    segments: Sequence[StatedSegment],
    description: Description,
    broken: Mapping[str, StatedBroken],
    left_out: Mapping[str, int],
    coordinates: np.ndarray | None = None,
) -> None:
    """Writes what belongs to segments that are there: index, map and manifest.

    Args:
        writer: of a folder that nobody reads yet.
        segments: in order, all of which is a case.
        description: what the collection states about itself.
        broken: images that could not be read, by their id.
        left_out: how many files or rows are no case, by reason.
        coordinates: (cases, 2), the map; computed without one.
    """
    opened = [writer.open(each) for each in segments]
    dim = opened[0].part.vectors.codes.shape[1]
    vectors = StoredVectors([each.part for each in opened], dim)
    state = next_state(_NO_STATE, *(each.name for each in segments))
    table = pa.concat_tables(each.table() for each in opened)
    cases = CaseColumns(table.column_names, len(table), lambda name: arrow_series(table[name]))
    open_engine(vectors, writer.folder, state, _masks(cases))  # builds the index of a large one
    drawn = draw_map(vectors, coordinates)
    facts = {name: plain_facts(known) for name, known in description.sources.items()}
    stated = Stated(
        format=FORMAT,
        name=description.name,
        text=description.text,
        synthetic=description.synthetic,
        fingerprint=description.fingerprint,
        encoder=description.encoder,
        sources=facts,
        cases=len(vectors),
        dim=dim,
        state=state,
        segments=tuple(segments),
        map=writer.map(drawn),
        broken=dict(broken),
        left_out=dict(left_out),
    )
    writer.commit(stated)


def _masks(cases: CaseColumns) -> Iterator[np.ndarray]:
    yield from filter_masks(FilterColumns(cases))  # costs nothing where no index is built


def plain_facts(facts: SourceFacts) -> dict[str, Any]:
    """Returns facts about a data set as plain values for JSON."""
    return {"title": facts.title, "licence": facts.licence, "home": facts.home, "names": dict(facts.names)}
