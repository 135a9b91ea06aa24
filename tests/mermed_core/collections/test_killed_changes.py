"""A process that is killed while it builds or changes a collection leaves the old state or the new, whole.

Each change runs in a process of its own, a fork of one that has imported what takes seconds, and is killed
(SIGKILL) just before one of its steps on the disk.
"""

import contextlib
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mermed_core.collections import changes, store
from mermed_core.collections.annotations import read_annotations, tag_cases
from mermed_core.collections.changes import add_cases, compact, remove_cases
from mermed_core.collections.collection import Description
from mermed_core.collections.folder import open_folder, verify_folder
from mermed_core.collections.migration import migrate_collection
from mermed_core.collections.store import load_collection, write_collection
from mermed_core.data.manifest import Manifest
from mermed_core.errors import CollectionError
from mermed_core.files import checksum, write_json
from mermed_core.models.embedder import Embeddings
from mermed_core.models.retrieval_space import RetrievalSpace
from mermed_core.search import stored
from mermed_core.search.ivf_engine import IvfEngine

ROWS, NEW, DIM = 1500, 40, 16
PATIENT = "someone-7"
STEPS = ("fsync", "replace", "rename", "unlink", "rmdir", "mkdir")
_SPACE = RetrievalSpace.identity(DIM)


def embeddings(rows: slice) -> Embeddings:
    """Returns some of the images of a hospital, two a patient, with their vectors."""
    random = np.random.default_rng(5)
    centres = random.normal(size=(20, DIM))
    vectors = centres[random.integers(0, 20, ROWS + NEW)] + 0.4 * random.normal(size=(ROWS + NEW, DIM))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    numbers = range(ROWS + NEW)[rows]
    frame = pd.DataFrame({"case_id": [f"scan-{row}" for row in numbers], "modality": "ct", "source": "ward"})
    frame["group"] = [f"someone-{row // 2}" for row in numbers]
    frame["image"] = [f"image {row}".encode() for row in numbers]
    pictures = tuple(f"picture {row}".encode() for row in numbers)
    return Embeddings(vectors[rows].astype(np.float32), Manifest.from_frame(frame), pictures, {})


def small() -> None:
    """Makes segments and the limit of the index small and the map quick, in this process."""
    stored.FLAT = 1000
    store.SEGMENT_ROWS = changes.SEGMENT_ROWS = 600
    store.compute_map = lambda vectors, _: vectors[:, :2].copy()


def build(folder: Path, rows: slice) -> None:
    write_collection(folder, embeddings(rows), Description("Large", "", True, "f"), space=_SPACE)


def add(folder: Path) -> None:
    changes.embedded = embedded
    embedder: Any = SimpleNamespace(fingerprint="f")
    add_cases(folder, embedder, embeddings(slice(ROWS, None)).manifest, space=_SPACE)


def embedded(_: Any, manifest: Manifest, **__: Any) -> Iterator[Embeddings]:
    """Stands in for a model, which would take seconds in every process."""
    new = embeddings(slice(ROWS, None))
    rows = [int(name.removeprefix("scan-")) - ROWS for name in manifest.frame["case_id"]]
    yield Embeddings(new.vectors[rows], manifest, tuple(new.thumbnails[row] for row in rows), {})


CHANGES: dict[str, Callable[[Path], object]] = {
    "build": lambda folder: build(folder, slice(0, ROWS - 100)),
    "add": add,
    "remove": lambda folder: remove_cases(folder, groups=[PATIENT]),
    "compact": compact,
    "migrate": migrate_collection,
}


def run(change: str, folder: Path, last: int) -> None:
    """Makes a change and kills this process before a step, counted from 1; 0 lets it end."""
    small()
    count = 0

    def dying(real: Callable) -> Callable:
        def step(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return step

    for name in STEPS:
        setattr(os, name, dying(getattr(os, name)))
    CHANGES[change](folder)
    (folder.parent / "steps").write_text(str(count))


@pytest.fixture(scope="module")
def context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mermed_core.collections.changes", "pytest"])
    return context


def ended(context: ForkServerContext, *arguments: Any) -> int | None:
    process = context.Process(target=run, args=arguments)
    process.start()
    process.join(60)
    return process.exitcode


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("original") / "large"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "FLAT", 1000)
        patch.setattr(store, "SEGMENT_ROWS", 600)
        patch.setattr(store, "compute_map", lambda vectors, _: vectors[:, :2].copy())
        build(folder, slice(0, ROWS))
    tag_cases(folder, "look again", ["scan-1", "scan-14", "scan-15"])  # of another, and both of the patient
    return folder


def content(folder: Path) -> list[tuple[str, bytes, bytes | None]]:
    """Returns what a collection holds of each case, after every file was read whole."""
    assert verify_folder(folder)[1] == []
    loaded = load_collection(folder)
    rows = enumerate(loaded.records["case_id"])
    return [(name, loaded.vectors[row].tobytes(), loaded.thumbnail_at(row)) for row, name in rows]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("change", [name for name in CHANGES if name != "migrate"])
def test_killed_at_a_step_the_old_state_or_the_new_is_there(context, original, tmp_path, monkeypatch, change):
    monkeypatch.setattr(stored, "FLAT", 1000)
    if change == "compact":
        original = shutil.copytree(original, tmp_path / "original" / "large")
        remove_cases(original, groups=[PATIENT], erase=False)
    whole = shutil.copytree(original, tmp_path / "whole" / "large")
    assert ended(context, change, whole, 0) == 0
    states = [content(original), content(whole)]
    steps = int((tmp_path / "whole" / "steps").read_text())
    assert steps > 10
    left = set()
    for last in sorted({1, 2, *np.linspace(3, steps, 4).astype(int).tolist()}):
        place = shutil.copytree(original, tmp_path / str(last) / "large")
        assert ended(context, change, place, last) == -signal.SIGKILL
        found = content(place)
        assert found in states
        left.add(states.index(found))
        assert isinstance(load_collection(place).engine, IvfEngine)
        done = change == "remove" and found == states[1]
        with contextlib.suppress(*[CollectionError] * done):  # "no group" of this name is there any more
            small_again(change, place, monkeypatch)
        if change in ("remove", "compact"):
            tables = [
                pq.read_table(each, columns=["group"]) for each in place.glob("segment-*/records.parquet")
            ]
            assert PATIENT not in pa.concat_tables(tables)["group"].to_pylist()
            assert read_annotations(place).cases == {"scan-1"}
        assert content(place) == states[1]
        assert not list(place.parent.rglob(".*.partial"))
    assert 0 in left


@pytest.mark.timeout(180)
def test_killed_while_it_migrates_the_old_format_or_todays_is_there(context, original, tmp_path, monkeypatch):
    """And of a patient who is removed afterwards nothing is left beside it: the old collection was whole."""
    monkeypatch.setattr(stored, "FLAT", 1000)
    write_format_2(tmp_path / "before" / "large", original)
    before = files(tmp_path / "before" / "large")
    whole = shutil.copytree(tmp_path / "before", tmp_path / "whole") / "large"
    assert ended(context, "migrate", whole, 0) == 0
    after = files(whole)
    steps = int((tmp_path / "whole" / "steps").read_text())
    left = set()
    for last in sorted({1, *np.linspace(2, steps, 6).astype(int).tolist(), steps - 1}):
        place = shutil.copytree(tmp_path / "before", tmp_path / str(last)) / "large"
        assert ended(context, "migrate", place, last) == -signal.SIGKILL
        found = files(place)
        assert found in (before, after)
        left.add(found == after)
        with contextlib.suppress(*[CollectionError] * (found == after)):  # it is of today's format already
            small_again("migrate", place, monkeypatch)
        assert files(place) == after
        assert list(place.parent.iterdir()) == [place]
    assert left == {True, False}


def test_what_a_killed_migration_left_beside_goes_before_a_patient_does(
    context, original, tmp_path, monkeypatch
):
    monkeypatch.setattr(stored, "FLAT", 1000)
    place = write_format_2(tmp_path / "large", original)
    assert ended(context, "migrate", place, 0) == 0
    steps = int((tmp_path / "steps").read_text())
    shutil.rmtree(place)
    write_format_2(place, original)
    last = steps - len(list(place.iterdir()))  # the old one has stepped aside, none of its files is gone yet
    assert ended(context, "migrate", place, last) == -signal.SIGKILL
    (left,) = tmp_path.glob(".large.*.partial")
    assert PATIENT.encode() in b"".join(path.read_bytes() for path in left.iterdir())
    small_again("remove", place, monkeypatch)
    assert not left.exists()


def write_format_2(folder: Path, today: Path) -> Path:
    """Writes a collection as versions before format 3 did, records uncompressed."""
    collection, opened = load_collection(today), open_folder(today)
    folder.mkdir(parents=True)
    table = pa.Table.from_pandas(collection.records, preserve_index=False)
    pq.write_table(table, folder / "records.parquet", compression="none")
    parts = [segment.vectors() for segment in opened.segments]
    codes = np.concatenate([part.codes for part in parts])
    np.savez(folder / "vectors.npz", codes=codes, lowest=parts[0].lowest, step=parts[0].step)
    np.savez(folder / "map.npz", coordinates=collection.coordinates)
    pictures = pa.array([collection.thumbnail_at(row) for row in range(len(table))], pa.binary())
    pq.write_table(pa.table({"thumbnail": pictures}), folder / "thumbnails.parquet")
    sums = {path.name: checksum(path) for path in folder.iterdir()}
    stated = {"format": 2, "name": "Old", "text": "", "synthetic": False, "sources": {}, "checksums": sums}
    stated |= {"fingerprint": collection.fingerprint, "broken": {}, "left_out": {}}
    write_json(folder / "manifest.json", stated)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    """Returns what is in a folder, but for an index, which is built anew where it is missing."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("."))
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if "index-" not in path.name}


def small_again(change: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives the same command once more, in this process."""
    with monkeypatch.context() as patch:
        patch.setattr(changes, "embedded", embedded)
        for module in (store, changes):
            patch.setattr(module, "SEGMENT_ROWS", 600)
        patch.setattr(store, "compute_map", lambda vectors, _: vectors[:, :2].copy())
        CHANGES[change](place)
