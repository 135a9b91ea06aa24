"""A collection of vectors that another encoder made: a map to explore, but no image is searched in it.

Its cases are compared with each other only. What an image of a visitor becomes lies in the space of this
program's model, so to look for it among foreign vectors would give neighbours that mean nothing.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.extmath import randomized_svd
from tqdm import tqdm

from mermed_core.collections.case_columns import CHECKSUM, FRAME
from mermed_core.collections.collection import Collection, Description
from mermed_core.collections.folder import open_folder
from mermed_core.collections.no_manifest import check_place
from mermed_core.collections.segment import SEGMENT_ROWS
from mermed_core.collections.sources import source_facts
from mermed_core.collections.stated import MANIFEST
from mermed_core.collections.store import case_columns, check_kept, write_parts
from mermed_core.data.manifest import Manifest
from mermed_core.data.vector_file import VectorFile
from mermed_core.errors import ImageError
from mermed_core.imaging.thumbnails import make_thumbnail
from mermed_core.models.embedder import Embeddings
from mermed_core.models.retrieval_space import RetrievalSpace
from mermed_core.progress_bar import progress_bar
from mermed_core.search.quantised import blocks

MOST_KEPT = 256
"""Numbers of a vector that are kept at most; of longer ones the principal components are."""
_FITTED_ON = 2**26  # numbers that the components are fitted on: no more than they need, at any length
_FEWEST_ROWS = 4 * MOST_KEPT
_SEED = 7
_MOST_READERS = 8


def fingerprint(vectors: VectorFile) -> str:
    """Returns what identifies the vectors of a file; no model of this program has such a fingerprint."""
    return f"foreign-{vectors.sha256[:32]}"


def build_from_vectors(
    folder: Path,
    manifest: Manifest,
    vectors: VectorFile,
    rows: np.ndarray,
    *,
    name: str,
    text: str,
    synthetic: bool,
    sources: Mapping[str, Any] | None = None,
    keep: Sequence[str] = (),
    pictures: bool = True,
) -> Collection:
    """Writes the collection of a manifest whose vectors are there; what stood in `folder` stays until then.

    Args:
        folder: the place.
        manifest: the images.
        vectors: of them.
        rows: (images,) which vector is each image's, see `VectorFile.rows_of`.
        name: short name for people.
        text: one or two sentences: what it holds, under which licence.
        synthetic: whether its images are drawn rather than of patients.
        sources: facts about data sets by source; those without a case are left out.
        keep: further columns of the manifest that are kept, to be filtered by.
        pictures: keep a small picture of each case; an image that cannot be read is then no case.

    Raises:
        NothingReadableError: not one image could be read.
        ManifestError: a column to keep is not there.
        OccupiedError: the folder holds something other than a collection.
    """
    check_kept(manifest, keep)
    check_place(folder)
    known = source_facts(sources or {}, manifest.frame["source"].unique())
    encoder = f"{vectors.name}, {vectors.vectors.shape[1]:,} numbers an image"
    description = Description(name, text, synthetic, fingerprint(vectors), known, encoder)
    space = fitted_space(vectors.vectors)
    parts = _parts(manifest, vectors.vectors, rows, pictures)
    frame, left_out = manifest.frame, manifest.left_out
    return write_parts(folder, parts, frame, description, left_out, space=space, keep=keep, pictures=pictures)


def fitted_space(vectors: np.ndarray) -> RetrievalSpace:
    """Returns the space that vectors (rows, numbers) are kept in: as they are, or their principal components.

    Components are fitted on a sample where there are many rows, without shortening any axis, so that they
    keep as much of every similarity as `MOST_KEPT` numbers can.
    """
    rows, width = vectors.shape
    if width <= MOST_KEPT:
        return RetrievalSpace.identity(width)
    count = min(rows, max(_FEWEST_ROWS, _FITTED_ON // width))
    chosen = np.sort(np.random.default_rng(_SEED).choice(rows, count, replace=False))
    sample = _unit(vectors[chosen])
    mean = sample.mean(axis=0)
    rank = max(1, min(MOST_KEPT, count - 1))
    basis = randomized_svd(sample - mean, rank, n_iter=3, random_state=0)[2]  # pyright: ignore[reportArgumentType]
    return RetrievalSpace(mean, basis.astype(np.float32))


def holds(folder: Path, manifest: Manifest, contents: Sequence[tuple[str, int]]) -> bool:
    """Returns whether a collection is there that holds the images of a manifest in their order, and no other.

    Args:
        folder: the collection.
        manifest: the images.
        contents: of them, see `pictures.image_contents`.

    Raises:
        CollectionError: the collection is damaged.
    """
    if not (folder / MANIFEST).is_file():
        return False
    opened = open_folder(folder)
    columns = case_columns(opened)
    wanted = zip(manifest.frame["case_id"], manifest.frame["modality"], contents, strict=True)
    there = zip(columns[CHECKSUM], columns[FRAME], strict=True)
    whole = [each for each in wanted if each[0] not in opened.stated.broken]
    return list(zip(columns["case_id"], columns["modality"], there, strict=True)) == whole


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Returns vectors of any real type as float32 of unit norm."""
    plain = np.asarray(vectors, np.float32)
    largest = np.abs(plain).max(axis=1, keepdims=True)  # the square of a large one would not be finite
    plain = plain / largest
    return plain / np.linalg.norm(plain, axis=1, keepdims=True)


def _parts(manifest: Manifest, vectors: np.ndarray, rows: np.ndarray, pictures: bool) -> Iterator[Embeddings]:
    """Yields the images with their vectors, at most `SEGMENT_ROWS` at a time."""
    with progress_bar("reading", "image", total=len(manifest)) as bar:
        for some in blocks(len(manifest), SEGMENT_ROWS):
            part = manifest.select(range(some.start, some.stop))
            made = _pictures(part, bar) if pictures else [b""] * len(part)
            good = np.array([isinstance(each, bytes) for each in made], bool)
            ids: pd.Series = part.frame["case_id"]
            broken = {str(ids.iloc[row]): str(made[row]) for row in np.flatnonzero(~good)}
            thumbnails = tuple(each for each in made if isinstance(each, bytes)) if pictures else ()
            yield Embeddings(_unit(vectors[rows[some][good]]), part.select(good), thumbnails, broken)


def _pictures(manifest: Manifest, bar: tqdm) -> list[bytes | str]:
    """Returns a small picture of each image, or why it cannot be read."""

    def read(row: int) -> bytes | str:
        try:
            made = make_thumbnail(manifest.read_image(row).pixels)
        except ImageError as error:
            made = str(error)
        bar.update()
        return made

    readers = max(1, min(_MOST_READERS, os.cpu_count() or 1))
    with ThreadPoolExecutor(readers, "reader") as pool:
        return list(pool.map(read, range(len(manifest))))
