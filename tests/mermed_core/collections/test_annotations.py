"""Tags and notes beside a collection: written, taken back, gone with their case, refused when damaged."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mermed_core import files
from mermed_core.collections.annotations import (
    ANNOTATIONS,
    LONGEST_NOTE,
    MOST_TAGS,
    Annotations,
    read_annotations,
    tag_cases,
    write_note,
)
from mermed_core.collections.changes import compact, remove_cases
from mermed_core.collections.folder import open_folder, sweep
from mermed_core.collections.store import load_collection
from mermed_core.errors import CollectionError
from mermed_core.files import BUNDLED_COLLECTION, unfinished_file


@pytest.fixture
def folder(tmp_path) -> Path:
    return shutil.copytree(BUNDLED_COLLECTION, tmp_path / "mine")


@pytest.fixture(scope="module")
def cases() -> list[str]:
    return list(load_collection(BUNDLED_COLLECTION).records["case_id"])


def test_a_tag_comes_and_goes_and_is_taken_back_by_what_it_changed(folder, cases):
    assert read_annotations(folder) == Annotations()
    assert tag_cases(folder, "  look \n again ", cases[:3]) == sorted(cases[:3])
    assert tag_cases(folder, "look again", cases[1:5]) == sorted(cases[3:5])  # two of them had it
    assert tag_cases(folder, "other", cases[:1]) == cases[:1]
    found = read_annotations(folder)
    assert found.tags == {"look again": frozenset(cases[:5]), "other": frozenset(cases[:1])}
    assert found.tags_of(cases[0]) == ["look again", "other"]
    assert tag_cases(folder, "look again", cases[3:5], on=False) == sorted(cases[3:5])
    assert read_annotations(folder).tags["look again"] == frozenset(cases[:3])
    tag_cases(folder, "other", cases, on=False)
    assert "other" not in read_annotations(folder).tags


def test_a_note_takes_the_place_of_the_one_before_and_an_empty_one_removes_it(folder, cases):
    assert write_note(folder, cases[0], " Ä note.\nTwo lines. ") == ""
    assert write_note(folder, cases[0], "another") == "Ä note.\nTwo lines."
    assert read_annotations(folder).notes == {cases[0]: "another"}
    assert list(read_annotations(folder).table().iloc[0]) == [cases[0], "", "another"]
    assert write_note(folder, cases[0], "") == "another"
    assert not (folder / ANNOTATIONS).exists()  # as if nothing had ever been written


@pytest.mark.parametrize("later", [False, True])
def test_who_is_removed_is_removed_from_tags_and_notes_in_every_byte(folder, later):
    records = load_collection(folder).records
    group = records["group"].iloc[50]
    own = list(records["case_id"][records["group"] == group])
    others = [case for case in records["case_id"][:4] if case not in own]
    tag_cases(folder, "whose", [*own, *others])
    tag_cases(folder, "his alone", own)
    write_note(folder, own[0], "a note on him")
    write_note(folder, others[0], "a note on another")
    remove_cases(folder, groups=[group], erase=not later)
    content = b"".join(path.read_bytes() for path in folder.rglob("*.json"))
    for trace in (*own, "his alone", "a note on him"):
        assert trace.encode() not in content
    found = read_annotations(folder)
    assert found.tags == {"whose": frozenset(others)}
    assert found.notes == {others[0]: "a note on another"}
    # A page that opened the collection before may still show him; nothing can be written about him.
    assert tag_cases(folder, "whose", own) == []
    with pytest.raises(CollectionError, match="has no case"):
        write_note(folder, own[0], "back")


def test_what_a_killed_removal_left_goes_with_the_next_change(folder, cases, monkeypatch):
    tag_cases(folder, "whose", cases[:2])

    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mermed_core.collections.changes.forget_removed", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_cases(folder, cases=[cases[0]])
    assert cases[0] in read_annotations(folder).cases
    compact(folder)
    assert read_annotations(folder).cases == {cases[1]}


def test_several_who_write_at_once_lose_nothing(folder, cases):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: tag_cases(folder, f"tag {number % 4}", [cases[number]]), range(16)))
    assert len(read_annotations(folder).cases) == 16


def test_a_tag_that_is_being_written_is_not_swept_away_by_who_changes_the_folder(folder, cases, monkeypatch):
    staged, flush = unfinished_file(folder / ANNOTATIONS), files._flush

    def flushed(path: Path) -> None:
        sweep(folder, open_folder(folder).stated)  # as another process does at any moment
        flush(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_flush", flushed)
        assert tag_cases(folder, "mine", cases[:2]) == sorted(cases[:2])
    assert read_annotations(folder).cases == set(cases[:2])
    staged.write_text(cases[0])  # what a process leaves that is killed meanwhile
    sweep(folder, open_folder(folder).stated)
    assert not staged.exists()


def test_a_damaged_file_is_refused_by_all_who_need_it(folder, cases):
    tag_cases(folder, "mine", cases[:2])
    stated = json.loads((folder / ANNOTATIONS).read_text())
    stated["tags"]["mine"] = cases[:3]
    for content in (json.dumps(stated), "[]", "{", json.dumps({**stated, "format": 9})):
        (folder / ANNOTATIONS).write_text(content)
        with pytest.raises(CollectionError, match="cannot be read"):
            read_annotations(folder)
        with pytest.raises(CollectionError, match="cannot be read"):
            tag_cases(folder, "mine", cases[:1])
        with pytest.raises(CollectionError, match="cannot be read"):
            remove_cases(folder, cases=cases[:1])
    assert len(load_collection(folder)) == len(cases)  # the cases can be seen all the same


@pytest.mark.parametrize("tag", ["", " \n", "x" * 41, "a|b", "a\x00b"])
def test_what_can_be_no_tag_is_a_sentence(folder, cases, tag):
    with pytest.raises(CollectionError, match="A tag has 1 to 40 letters"):
        tag_cases(folder, tag, cases[:1])
    assert not (folder / ANNOTATIONS).exists()


def test_there_is_an_end_to_tags_and_to_a_note(folder, cases, monkeypatch):
    monkeypatch.setattr("mermed_core.collections.annotations.MOST_TAGS", 2)
    tag_cases(folder, "one", cases[:1])
    tag_cases(folder, "two", cases[:1])
    with pytest.raises(CollectionError, match="at most 2 tags"):
        tag_cases(folder, "three", cases[:1])
    assert MOST_TAGS >= 100
    with pytest.raises(CollectionError, match="this one has 2001"):
        write_note(folder, cases[0], "x" * (LONGEST_NOTE + 1))


def test_what_is_no_collection_is_not_written_into(tmp_path):
    with pytest.raises(CollectionError, match="no collection"):
        tag_cases(tmp_path, "tag", ["case"])
    assert not list(tmp_path.iterdir())
