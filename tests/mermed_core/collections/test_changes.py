"""Collections that change in place: what was there stays, what goes is gone, and no death leaves a mix."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mermed_core.collections import changes, store
from mermed_core.collections.changes import add_cases, clear_cache, compact, remove_cases
from mermed_core.collections.collection import Collection
from mermed_core.collections.folder import changing, open_folder, sweep, verify_folder
from mermed_core.collections.map_file import MapData
from mermed_core.collections.store import build_collection, load_collection
from mermed_core.data.manifest import Manifest
from mermed_core.data.pseudonyms import pseudonym
from mermed_core.errors import CollectionError, ManifestError, NothingReadableError
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.models.retrieval_space import RetrievalSpace
from mermed_core.search.filters import Filter


@pytest.fixture(autouse=True)
def _small(monkeypatch) -> None:
    """Segments of four cases, and a map that takes no time."""
    for module in (store, changes):
        monkeypatch.setattr(module, "SEGMENT_ROWS", 4)
    monkeypatch.setattr(store, "compute_map", lambda vectors, _: vectors[:, :2].copy())


@pytest.fixture
def space(embedder) -> RetrievalSpace:
    return RetrievalSpace.identity(embedder.backbone.dim)


@pytest.fixture
def some(phantoms) -> Manifest:
    """Fourteen images of seven patients with telling names, of which the first ten start a collection."""
    frame = phantoms.select(range(14)).frame.copy()
    frame["group"] = [f"PATIENT-{row // 2}-OF-THE-WARD" for row in range(14)]
    frame["case_id"] = [f"SCAN-{row:02d}-OF-THE-WARD" for row in range(14)]
    frame["sex"] = ["f", "m"] * 7
    return Manifest.from_frame(frame)


@pytest.fixture
def folder(some, embedder, space, tmp_path) -> Path:
    place = tmp_path / "mine"
    start = some.select(range(10))
    options = {"space": space, "name": "Mine", "text": "", "synthetic": True, "keep": ["sex"]}
    build_collection(place, embedder, start, **options)
    return place


@pytest.fixture
def add(folder, embedder, space) -> Callable[..., changes.Added]:
    return lambda manifest, **options: add_cases(folder, embedder, manifest, space=space, **options)


def cases(collection: Collection) -> dict[str, tuple]:
    """Returns what a collection holds of each case, by its id."""
    return {
        case.case_id: (
            case,
            collection.vectors[row].tobytes(),
            collection.coordinates[row].tobytes(),
            collection.thumbnail(case.case_id),
        )
        for row, case in enumerate(collection.cases_at(range(len(collection))))
    }


def raw(folder: Path) -> bytes:
    """Returns all bytes of a folder, and what the compressed ones stand for."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    tables = [str(pq.read_table(path).to_pylist()).encode() for path in files if path.suffix == ".parquet"]
    return b"\n".join([*(path.read_bytes() for path in files), *tables])


def test_what_is_added_is_placed_and_nothing_else_moves(folder, add, some):
    before = cases(load_collection(folder))
    added = add(some)
    assert (added.cases, added.there, added.broken) == (4, 10, {})
    loaded = load_collection(folder)
    after = cases(loaded)
    assert {case: after[case] for case in before} == before
    assert list(after) == list(some.frame["case_id"])
    np.testing.assert_array_equal(loaded.map.placed, np.arange(14) >= 10)
    assert loaded.records["sex"].tolist() == ["f", "m"] * 7
    for row in range(10, 14):
        assert loaded.nearest(loaded.vectors[row], 1)[0].case == loaded.cases_at([row])[0]
        near = loaded.coordinates[:10]
        assert (near.min(0) <= loaded.coordinates[row]).all()
        assert (loaded.coordinates[row] <= near.max(0)).all()
    hits = loaded.nearest(loaded.vectors[12], 14, where=Filter({"group": ["PATIENT-6-OF-THE-WARD"]}))
    assert {hit.case.case_id for hit in hits} == {"SCAN-12-OF-THE-WARD", "SCAN-13-OF-THE-WARD"}
    assert verify_folder(folder)[1] == []


def test_no_image_is_embedded_twice_whatever_it_is_called(add, some, embedder, monkeypatch):
    embedded = []
    embed = embedder.embed_tensors
    monkeypatch.setattr(
        embedder,
        "embed_tensors",
        lambda images, **options: (embedded.append(len(images)), embed(images, **options))[1],
    )
    renamed = some.frame.assign(case_id=[f"other/{row}" for row in range(14)])
    assert add(Manifest.from_frame(renamed)).cases == 4
    assert sum(embedded) == 4
    assert add(some).cases == 0
    assert sum(embedded) == 4


def test_another_image_under_an_id_that_is_there_is_refused(folder, add, some):
    frame = some.select(range(10, 12)).frame.copy()
    frame.loc[1, "case_id"] = "SCAN-03-OF-THE-WARD"
    before = raw(folder)
    with pytest.raises(ManifestError, match=r"another image as 'SCAN-03-OF-THE-WARD'.*collect remove --case"):
        add(Manifest.from_frame(frame))
    assert raw(folder) == before


def test_another_model_cannot_add(folder, embedder, some):
    other = RetrievalSpace(np.zeros(embedder.backbone.dim, np.float32), np.eye(4, embedder.backbone.dim))
    with pytest.raises(CollectionError, match="made by another model"):
        add_cases(folder, embedder, some, space=other)


def test_images_that_cannot_be_read_are_named(folder, add, some):
    frame = some.select(range(10, 12)).frame.copy()
    frame.at[0, "image"] = b"no image"
    added = add(Manifest.from_frame(frame))
    assert (added.cases, list(added.broken)) == (1, ["SCAN-10-OF-THE-WARD"])
    assert list(open_folder(folder).stated.broken) == ["SCAN-10-OF-THE-WARD"]
    assert remove_cases(folder, groups=["PATIENT-5-OF-THE-WARD"]) == 1
    assert not open_folder(folder).stated.broken
    assert b"SCAN-10" not in raw(folder)


def test_a_folder_with_damaged_images_can_be_added_again_and_again(folder, add, some):
    frame = some.select(range(9, 12)).frame.copy()
    frame.loc[1:, "image"] = b"no image"
    again = Manifest.from_frame(frame, left_out={"hidden files": 2})
    for _ in range(2):
        added = add(again)
        assert (added.cases, added.there) == (0, 1)
        assert list(added.broken) == ["SCAN-10-OF-THE-WARD", "SCAN-11-OF-THE-WARD"]
        stated = open_folder(folder).stated
        assert list(stated.broken) == ["SCAN-10-OF-THE-WARD", "SCAN-11-OF-THE-WARD"]
        assert stated.left_out == {"hidden files": 2}  # counted once
    assert add(some.select(range(9, 11))).cases == 1  # one of them was mended
    assert list(open_folder(folder).stated.broken) == ["SCAN-11-OF-THE-WARD"]
    add(some.select(range(11)), whole=True)  # the other one is deleted
    stated = open_folder(folder).stated
    assert (stated.broken, stated.left_out) == ({}, {})


def test_images_of_which_none_can_be_read_are_refused(folder, add, some):
    frame = some.select(range(10, 12)).frame.copy()
    frame["image"] = b"no image"
    before = raw(folder)
    with pytest.raises(NothingReadableError, match=r"Not one image .* Of the first: \w+") as caught:
        add(Manifest.from_frame(frame))
    assert list(caught.value.broken) == ["SCAN-10-OF-THE-WARD", "SCAN-11-OF-THE-WARD"]
    assert raw(folder) == before


def test_columns_of_the_map_come_from_the_nearest_case(folder, add, some):
    with changing(folder) as change:
        drawn = change.opened.map
        clusters = np.arange(10, dtype=np.int32)
        data = MapData(drawn.coordinates, drawn.placed, {"cluster_0": clusters}, {"names": ["Ä"]})
        change.commit(change.stated.changed(map=change.map(data)))
    before = load_collection(folder)
    add(some)
    after = load_collection(folder)
    nearest = before.engine.search(after.vectors[10:], 1).positions[:, 0]
    np.testing.assert_array_equal(after.map.columns["cluster_0"], [*range(10), *nearest])
    assert after.map.facts == {"names": ["Ä"]}
    remove_cases(folder, cases=["SCAN-00-OF-THE-WARD"])
    assert load_collection(folder).map.columns["cluster_0"].tolist() == [*range(1, 10), *nearest]


def test_a_patient_who_is_removed_is_gone_from_every_byte(tmp_path):
    place = shutil.copytree(BUNDLED_COLLECTION, tmp_path / "bundled")
    before = load_collection(place)
    group = before.records["group"].iloc[50]
    rows = before.cases.rows_with("group", group)
    codes = open_folder(place).segments[0].vectors().codes
    known = [group.encode() + b"'"]
    for row in rows:
        picture = before.thumbnail_at(int(row))
        assert picture
        middle = len(picture) // 2
        checksum = before.records["checksum"].iloc[row]
        known += [checksum.encode(), codes[row].tobytes(), picture[middle : middle + 60]]
    assert all(trace in raw(place) for trace in known)
    assert remove_cases(place, groups=[group]) == len(rows)
    assert not [trace for trace in known if trace in raw(place)]
    after, kept = load_collection(place), np.ones(len(before), bool)
    kept[rows] = False
    np.testing.assert_array_equal(after.coordinates, before.coordinates[kept])
    np.testing.assert_array_equal(after.vectors[:], before.vectors[kept])


def test_a_patient_is_removed_by_the_identifier_of_the_hospital(folder, add, some, monkeypatch):
    monkeypatch.setenv("MERMED_SALT", "a secret")
    frame = some.select(range(10, 14)).frame.copy()
    frame["group"] = [pseudonym(name) for name in ("4711", "4711", "4711", "4712")]
    frame.at[2, "image"] = b"no image"
    add(Manifest.from_frame(frame))
    with pytest.raises(CollectionError, match="has no group '4711'"):
        monkeypatch.setenv("MERMED_SALT", "another")
        remove_cases(folder, groups=["4711"])
    monkeypatch.setenv("MERMED_SALT", "a secret")
    assert remove_cases(folder, groups=["4711"]) == 2
    assert pseudonym("4711").encode() not in raw(folder)
    assert pseudonym("4712").encode() in raw(folder)


def test_a_full_disk_says_that_the_cases_are_out_and_not_erased(folder, monkeypatch):
    cases = len(load_collection(folder))

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(changes, "_rewrite", full)
        with pytest.raises(CollectionError, match=r"taken out.*not erased.*No space.*collect compact"):
            remove_cases(folder, groups=["PATIENT-1-OF-THE-WARD"])
    left = len(load_collection(folder))
    assert left < cases
    compact(folder)
    assert len(load_collection(folder)) == left
    assert not list(folder.glob("gone-*"))


def test_what_cannot_be_removed_is_a_sentence(folder):
    with pytest.raises(CollectionError, match="no case 'nobody'"):
        remove_cases(folder, cases=["nobody"])
    everybody = [f"PATIENT-{number}-OF-THE-WARD" for number in range(5)]
    with pytest.raises(CollectionError, match="Nothing would be left"):
        remove_cases(folder, groups=everybody)


def test_a_group_is_its_sources_own(folder, add, some):
    frame = some.select(range(10, 14)).frame.assign(source="elsewhere", group="PATIENT-0-OF-THE-WARD")
    add(Manifest.from_frame(frame))
    with pytest.raises(CollectionError, match=r"another in each of elsewhere, .*--source"):
        remove_cases(folder, groups=["PATIENT-0-OF-THE-WARD"])
    assert remove_cases(folder, groups=["PATIENT-0-OF-THE-WARD"], source="elsewhere") == 4
    assert "SCAN-00-OF-THE-WARD" in cases(load_collection(folder))


def test_small_segments_become_one_and_an_own_map_is_computed(folder, add, some):
    remove_cases(folder, cases=["SCAN-01-OF-THE-WARD", "SCAN-02-OF-THE-WARD", "SCAN-05-OF-THE-WARD"])
    add(some.select(range(10, 12)))
    assert [segment.rows for segment in open_folder(folder).stated.segments] == [2, 3, 2, 2]
    before = load_collection(folder)
    assert compact(folder) == (4, 3)
    after = load_collection(folder)
    np.testing.assert_array_equal(after.coordinates, before.coordinates)
    np.testing.assert_allclose(after.vectors[:], before.vectors[:], atol=0.01)
    assert after.map.placed.sum() == 2
    assert compact(folder, new_map=True) == (3, 3)
    redrawn = load_collection(folder)
    assert not redrawn.map.placed.any()
    np.testing.assert_array_equal(redrawn.coordinates, redrawn.vectors[:][:, :2])


def test_a_reader_keeps_the_state_that_it_opened(folder, add, some):
    reader = load_collection(folder)
    before = cases(load_collection(folder))
    add(some)
    remove_cases(folder, groups=["PATIENT-0-OF-THE-WARD"])
    compact(folder)
    assert cases(reader) == before  # columns and pictures are read only now


def test_a_reader_that_meets_a_change_opens_the_new_state(folder, monkeypatch):
    opened, read = [], store.open_folder

    def change_meanwhile(path, stated):
        if not opened:
            opened.append(1)
            remove_cases(folder, groups=["PATIENT-0-OF-THE-WARD"])
        return original(path, stated)

    from mermed_core.collections import folder as rooms

    original = rooms._opened
    monkeypatch.setattr(rooms, "_opened", change_meanwhile)
    assert len(read(folder).map) == 8


class Killed(BaseException):
    """Not an error that anything may handle."""


_STEPS = ("fsync", "replace", "rename", "unlink", "rmdir", "mkdir")


def die_at(step: int, monkeypatch) -> list[int]:
    """Lets a step that changes the disk, and all after it, fail as if the process were gone."""
    count = [0]

    def dying(name: str) -> Callable:
        real = getattr(os, name)

        def run(*arguments, **options):
            count[0] += 1
            if count[0] >= step:
                raise Killed
            return real(*arguments, **options)

        return run

    for name in _STEPS:
        monkeypatch.setattr(os, name, dying(name))
    return count


@pytest.mark.parametrize("change", ["add", "remove", "compact", "build"])
def test_a_death_at_any_step_leaves_the_state_before_or_after(
    folder, embedder, space, some, tmp_path, change, caplog
):
    caplog.set_level(logging.ERROR)
    if change == "compact":
        remove_cases(folder, groups=["PATIENT-1-OF-THE-WARD"], erase=False)
    options = {"space": space, "name": "Mine", "text": "", "synthetic": True, "keep": ["sex"]}
    runs = {
        "add": lambda place: add_cases(place, embedder, some.select(range(10, 12)), space=space),
        "remove": lambda place: remove_cases(place, groups=["PATIENT-1-OF-THE-WARD"]),
        "compact": compact,
        "build": lambda place: build_collection(place, embedder, some.select(range(3)), **options),
    }
    before, original = load_collection(folder), tmp_path / "original"
    shutil.copytree(folder, original)
    runs[change](folder)
    after = load_collection(folder)
    states = [ids.tolist() for ids in (before.records["case_id"], after.records["case_id"])]
    step, reached = 1, 0
    while True:
        place = shutil.copytree(original, tmp_path / "dying" / "mine")
        with pytest.MonkeyPatch.context() as patch:
            count = die_at(step, patch)
            try:
                runs[change](place)
                done = True
            except Killed:
                done = False
        loaded = load_collection(place)
        assert loaded.records["case_id"].tolist() in states, step
        assert all(loaded.thumbnail_at(row) for row in range(len(loaded)))
        assert verify_folder(place)[1] == []
        if done:
            break
        reached = count[0]
        try:
            runs[change](place)  # the same command once more
        except CollectionError as error:
            if change != "remove" or "no group" not in str(error):
                raise
        assert load_collection(place).records["case_id"].tolist() == states[1]
        if change in ("remove", "compact"):
            assert b"PATIENT-1-OF-THE-WARD" not in raw(place)
        assert not list(place.rglob(".*.partial"))
        shutil.rmtree(tmp_path / "dying")
        step += 1 if step < 6 else 5
    assert reached > 10


def test_a_sweep_leaves_what_is_not_ours(folder):
    (folder / "notes.txt").write_text("mine")
    (folder / "segment-0123456789ab").mkdir()
    sweep(folder, open_folder(folder).stated)
    assert (folder / "notes.txt").read_text() == "mine"
    assert not (folder / "segment-0123456789ab").exists()


def test_a_cache_of_embeddings_is_cleared(tmp_path):
    (tmp_path / "a.npz").touch()
    (tmp_path / "kept.txt").touch()
    assert clear_cache(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]
