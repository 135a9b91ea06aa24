"""A collection: cases with their unit vectors, search index, map and thumbnails, in a folder that is checked.

Written whole or not at all; read only if every file has the checksum that manifest.json states.
"""

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mermed_core.files import check_replaceable, checksum, write_folder, write_json
from mermed_core.data.manifest import Manifest
from mermed_core.models.embedder import Embedder, embed_manifest
from mermed_core.errors import CollectionError
from mermed_core.search.faiss_engine import VectorIndex
from mermed_core.collections.projection import compute_map
from mermed_core.records import Case

FORMAT = 1
MANIFEST, RECORDS, VECTORS, INDEX, MAP = (
    "manifest.json",
    "records.parquet",
    "vectors.npy",
    "index.faiss",
    "map.npz",
)
_FILES = (RECORDS, VECTORS, INDEX, MAP)
_ASKED = 200  # cases that say how near cases are to each other; more would take seconds in a large collection
_FAR = 0.01  # share of the cases that lie farther from all others than is usual


@dataclass(frozen=True)
class Description:
    """What a collection says of itself.

    Attributes:
        name: short name for people.
        text: one or two sentences: what is in it, under which licence.
        synthetic: whether its images are drawn and not of patients.
        fingerprint: of the model that made the vectors.
    """

    name: str
    text: str
    synthetic: bool
    fingerprint: str


class Collection:
    """A loaded collection; row i of every part is case i."""

    def __init__(
        self,
        description: Description,
        cases: Sequence[Case],
        vectors: np.ndarray,
        coordinates: np.ndarray,
        thumbnails: Sequence[bytes],
        index: VectorIndex,
    ) -> None:
        self.name = description.name
        self.description = description.text
        self.synthetic = description.synthetic
        self.fingerprint = description.fingerprint
        self.cases = tuple(cases)
        self.vectors = vectors
        self.coordinates = coordinates
        self.index = index
        self._thumbnails = thumbnails
        if not len(self.cases) == len(vectors) == len(coordinates) == len(thumbnails) == len(index):
            raise CollectionError(
                f"The parts of the collection '{self.name}' differ in length; build it again."
            )

    def __len__(self) -> int:
        """Returns the number of cases."""
        return len(self.cases)

    @cached_property
    def usual_similarity(self) -> float:
        """The cosine similarity, −1..1, that 99 % of the cases have at least with the case nearest to them.

        Told by 200 cases spread evenly; −1 where no case has another one.
        """
        if len(self) < 2:
            return -1.0
        asked = np.unique(np.linspace(0, len(self) - 1, min(_ASKED, len(self))).astype(int))
        similarities, _ = self.index.search(self.vectors[asked], 2)  # the first is the case itself
        return float(np.quantile(similarities[:, 1], _FAR))

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {case.case_id: position for position, case in enumerate(self.cases)}

    def position(self, case_id: str) -> int:
        """Returns the row of a case.

        Raises:
            CollectionError: the collection has no such case.
        """
        if case_id not in self._positions:
            raise CollectionError(f"The collection '{self.name}' has no case '{case_id}'.")
        return self._positions[case_id]

    def case(self, case_id: str) -> Case:
        """Returns a case by its id; raises CollectionError where there is none."""
        return self.cases[self.position(case_id)]

    def thumbnail(self, case_id: str) -> bytes:
        """Returns a case's image as JPEG bytes, longest side at most `embed.THUMBNAIL_SIDE` px."""
        return self._thumbnails[self.position(case_id)]

    def modalities(self) -> tuple[str, ...]:
        """Returns the modalities that occur, sorted."""
        return tuple(sorted({case.modality for case in self.cases}))

    def sources(self) -> tuple[str, ...]:
        """Returns the data sets that occur, sorted."""
        return tuple(sorted({case.source for case in self.cases}))

    def labels(self) -> tuple[str, ...]:
        """Returns the labels that occur, sorted."""
        return tuple(sorted({label for case in self.cases for label in case.labels}))

    def matching(
        self,
        *,
        modalities: AbstractSet[str] = frozenset(),
        sources: AbstractSet[str] = frozenset(),
        labels: AbstractSet[str] = frozenset(),
        without_group: str | None = None,
    ) -> np.ndarray:
        """Returns the positions of cases that pass every filter; an empty filter lets all pass."""
        return np.array(
            [
                position
                for position, case in enumerate(self.cases)
                if (not modalities or case.modality in modalities)
                and (not sources or case.source in sources)
                and (not labels or not labels.isdisjoint(case.labels))
                and case.group != without_group
            ],
            dtype=np.int64,
        )


def build_collection(
    folder: Path,
    embedder: Embedder,
    manifest: Manifest,
    *,
    name: str,
    text: str,
    synthetic: bool,
    workers: int = 0,
) -> Collection:
    """Embeds a manifest and writes the collection; what stood in `folder` stays until all is done.

    Raises:
        ManifestError: not one image could be read.
        OccupiedError: the folder holds something other than a collection.
    """
    check_replaceable(folder, MANIFEST)
    embeddings = embed_manifest(embedder, manifest, thumbnails=True, workers=workers)
    vectors, thumbnails = embeddings.vectors, embeddings.thumbnails
    index = VectorIndex.build(vectors)
    coordinates = compute_map(vectors, index)
    cases = tuple(embeddings.manifest.cases())
    description = Description(name, text, synthetic, embedder.fingerprint)
    collection = Collection(description, cases, vectors, coordinates, thumbnails, index)
    with write_folder(folder) as staging:
        _write_records(staging / RECORDS, cases, thumbnails)
        np.save(staging / VECTORS, vectors, allow_pickle=False)
        index.save(staging / INDEX)
        np.savez(staging / MAP, coordinates=coordinates)
        write_json(
            staging / MANIFEST,
            {
                "format": FORMAT,
                **asdict(description),
                "cases": len(cases),
                "dim": int(vectors.shape[1]),
                "broken": embeddings.broken,
                "checksums": {file: checksum(staging / file) for file in _FILES},
            },
        )
    return collection


def load_collection(folder: Path) -> Collection:
    """Reads a collection after verifying every file against its checksum.

    Raises:
        CollectionError: the folder is missing, incomplete, damaged or of a newer format.
    """
    stated = _read_manifest(folder)
    for file in _FILES:
        path = folder / file
        if not path.is_file() or checksum(path) != stated["checksums"].get(file):
            raise CollectionError(f"'{path}' is missing or damaged; build the collection again.")
    table = pq.read_table(folder / RECORDS).to_pydict()
    thumbnails = table.pop("thumbnail")
    cases = [
        Case(**{**row, "labels": tuple(row["labels"])}) for row in pd.DataFrame(table).to_dict("records")
    ]
    with np.load(folder / MAP, allow_pickle=False) as map_file:
        coordinates = map_file["coordinates"]
    description = Description(
        stated["name"], stated["text"], bool(stated["synthetic"]), stated["fingerprint"]
    )
    vectors = np.load(folder / VECTORS, allow_pickle=False)
    return Collection(description, cases, vectors, coordinates, thumbnails, VectorIndex.load(folder / INDEX))


def _write_records(path: Path, cases: Sequence[Case], thumbnails: Sequence[bytes]) -> None:
    rows = [
        {**asdict(case), "thumbnail": thumbnail} for case, thumbnail in zip(cases, thumbnails, strict=True)
    ]
    schema = pa.schema(
        [(field, pa.string()) for field in ("case_id", "modality")]
        + [("labels", pa.list_(pa.string()))]
        + [(field, pa.string()) for field in ("source", "group", "split")]
        + [("thumbnail", pa.binary())]
    )
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def _read_manifest(folder: Path) -> dict:
    path = folder / MANIFEST
    if not path.is_file():
        raise CollectionError(
            f"There is no collection in '{folder}'; make one with python -m train.build_collection."
        )
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        missing = {"format", "name", "text", "synthetic", "fingerprint", "checksums"} - stated.keys()
        stated["checksums"] = dict(stated.get("checksums", {}))
    except (ValueError, AttributeError, TypeError) as error:
        raise CollectionError(f"'{path}' is damaged; build the collection again.") from error
    if missing or stated["format"] != FORMAT:
        raise CollectionError(f"'{path}' is not a collection of format {FORMAT}; build it again.")
    return stated
