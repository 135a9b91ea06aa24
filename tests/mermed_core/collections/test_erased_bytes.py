"""A patient who is removed from a large collection is in no byte of it, also of its search index."""

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from mermed_core.collections import store
from mermed_core.collections.annotations import tag_cases, write_note
from mermed_core.collections.changes import compact, remove_cases
from mermed_core.collections.collection import Collection, Description
from mermed_core.collections.folder import open_folder, verify_folder
from mermed_core.collections.store import load_collection, write_collection
from mermed_core.data.manifest import Manifest
from mermed_core.models.embedder import Embeddings
from mermed_core.models.retrieval_space import RetrievalSpace
from mermed_core.search import stored
from mermed_core.search.ivf_engine import IvfEngine

ROWS, DIM, CLUSTERS, OWN = 3000, 16, 30, 30
PATIENT = "JANE-DOE-OF-THE-WARD"


@pytest.fixture(autouse=True)
def _small(monkeypatch) -> None:
    monkeypatch.setattr(stored, "FLAT", 1000)
    monkeypatch.setattr(store, "SEGMENT_ROWS", 1200)
    monkeypatch.setattr(store, "compute_map", lambda vectors, _: vectors[:, :2].copy())


@pytest.fixture
def folder(tmp_path) -> Path:
    """A collection with an index of lists; the patient has some images that differ little from each other."""
    random = np.random.default_rng(5)
    centres = random.normal(size=(CLUSTERS, DIM))
    vectors = centres[random.integers(0, CLUSTERS, ROWS)] + 0.4 * random.normal(size=(ROWS, DIM))
    own = random.choice(ROWS, OWN, replace=False)
    vectors[own] = 3 * random.normal(size=DIM) + 0.01 * random.normal(size=(OWN, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = np.array([f"someone-{row}" for row in range(ROWS)], object)
    names[own] = PATIENT
    manifest = Manifest.from_frame(
        records(names, [f"scan-{row:04d}-{name}" for row, name in enumerate(names)])
    )
    pictures = tuple(f"the picture of {name} in row {row}".encode() for row, name in enumerate(names))
    description = Description("Large", "", True, "f")
    embeddings = Embeddings(vectors.astype(np.float32), manifest, pictures, {})
    write_collection(tmp_path / "large", embeddings, description, space=RetrievalSpace.identity(DIM))
    return tmp_path / "large"


def records(groups: np.ndarray, ids: list[str]) -> pd.DataFrame:
    images = [f"bytes of {name}".encode() for name in ids]
    return pd.DataFrame(
        {"case_id": ids, "group": groups, "image": images, "modality": "ct", "source": "ward"}
    )


def index_of(folder: Path) -> Path:
    (index,) = folder.glob("index-*.faiss")
    return index


def raw(folder: Path) -> bytes:
    """Returns all bytes of a folder, and what the compressed ones stand for."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    tables = [str(pq.read_table(path).to_pylist()).encode() for path in files if path.suffix == ".parquet"]
    return b"\n".join([*(path.read_bytes() for path in files), *tables])


def traces(folder: Path, collection: Collection) -> dict[str, bytes]:
    """Returns what every image of the patient is in the files, each called by where it stands."""
    rows = collection.cases.rows_with("group", PATIENT)
    own = list(collection.cases["case_id"].iloc[rows])
    tag_cases(folder, "seen twice", [*own, collection.cases["case_id"].iloc[0]])
    tag_cases(folder, "a tag of his alone", own)
    write_note(folder, own[0], "a note on him")
    vectors = open_folder(folder).vectors
    index: Any = faiss.read_index(str(index_of(folder)))  # of a kind that its type does not say
    found = {"name": PATIENT.encode(), "tag": b"a tag of his alone", "note": b"a note on him"}
    for row in rows.tolist():
        found[f"codes of {row}"] = code_of(folder, row)
        found[f"numbers of {row}"] = vectors[row].tobytes()
        found[f"picture of {row}"] = collection.thumbnail_at(row) or b""
        found[f"checksum of {row}"] = str(collection.records["checksum"].iloc[row]).encode()
    for number in range(index.nlist):
        size = index.invlists.list_size(number)
        ids = faiss.rev_swig_ptr(index.invlists.get_ids(number), size) if size else np.empty(0, np.int64)
        inside = np.isin(ids, rows)
        codes = (
            faiss.rev_swig_ptr(index.invlists.get_codes(number), size * DIM).reshape(-1, DIM) if size else []
        )
        for place in np.flatnonzero(inside):
            found[f"code of {ids[place]} in a list"] = bytes(codes[place])
        if size and inside.all():
            found[f"centre of list {number}"] = index.quantizer.reconstruct(number).tobytes()
    return found


def code_of(folder: Path, row: int) -> bytes:
    opened = open_folder(folder)
    first = 0
    for segment in opened.segments:
        if row < first + len(segment):
            return segment.vectors().codes[row - first].tobytes()
        first += len(segment)
    raise AssertionError


@pytest.mark.parametrize("later", [False, True])
def test_nothing_of_a_patient_is_left_in_a_collection_with_an_index(folder, later):
    before = load_collection(folder)
    assert isinstance(before.engine, IvfEngine)
    known = traces(folder, before)
    content, index = raw(folder), index_of(folder).read_bytes()
    of_index = {name: trace for name, trace in known.items() if "list" in name}
    assert any("centre" in name for name in of_index)  # a list of his own, whose centre is his alone
    assert sum("code of" in name for name in of_index) == OWN
    assert all(trace in index for trace in of_index.values())
    assert all(trace in content for name, trace in known.items() if "numbers" not in name)

    assert remove_cases(folder, groups=[PATIENT], erase=not later) == OWN
    remaining = index_of(folder).read_bytes()  # taken out of sight, the index is without him at once
    assert not [name for name, trace in known.items() if trace in remaining]
    if later:
        assert known["name"] in raw(folder)
        compact(folder)
    remaining = raw(folder)
    assert not [name for name, trace in known.items() if trace in remaining]

    after, kept = load_collection(folder), np.ones(ROWS, bool)
    kept[before.cases.rows_with("group", PATIENT)] = False
    assert isinstance(after.engine, IvfEngine)
    assert verify_folder(folder)[1] == []
    np.testing.assert_array_equal(after.coordinates, before.coordinates[kept])
    found = after.engine.search(after.vectors[::50], 10).positions
    true = after.engine.exact.search(after.vectors[::50], 10).positions
    assert np.mean([np.isin(row, other).mean() for row, other in zip(true, found, strict=True)]) >= 0.98
