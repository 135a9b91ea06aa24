"""Folders and files that appear whole or not at all, also when the process is killed."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from mermed_core.errors import OccupiedError
from mermed_core.files import (
    ASSETS,
    BUNDLED_COLLECTION,
    BUNDLED_MODEL,
    FileSum,
    check_replaceable,
    checksum,
    flush_tree,
    unfinished_file,
    write_file,
    write_folder,
    write_json,
)


def test_a_folder_takes_its_place_when_all_is_written(tmp_path):
    target = tmp_path / "deep" / "model"
    with write_folder(target) as staging:
        (staging / "a").write_text("new")
        assert not target.exists()
    assert (target / "a").read_text() == "new"
    assert [path.name for path in target.parent.iterdir()] == ["model"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").touch()
    with write_folder(target) as staging:
        (staging / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_error_leaves_the_old_folder_and_nothing_beside_it(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(RuntimeError), write_folder(target) as staging:
        (staging / "new").touch()
        raise RuntimeError
    assert (target / "old").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_without_an_atomic_exchange_the_old_folder_steps_aside(tmp_path, monkeypatch):
    monkeypatch.setattr("mermed_core.files._exchange", lambda *_: False)
    test_a_folder_is_replaced_as_a_whole(tmp_path)


def test_an_error_leaves_the_old_file(tmp_path):
    target = tmp_path / "numbers.json"
    write_json(target, {"a": 1})
    with pytest.raises(RuntimeError), write_file(target) as staging:
        staging.write_text("half")
        raise RuntimeError
    assert target.read_text() == '{\n  "a": 1\n}\n'
    assert list(tmp_path.iterdir()) == [target]


def test_an_unfinished_file_can_be_kept_to_go_on_from(tmp_path):
    target = tmp_path / "large"
    with pytest.raises(RuntimeError), write_file(target, keep_unfinished=True) as staging:
        staging.write_text("half")
        raise RuntimeError
    assert unfinished_file(target).read_text() == "half"
    with write_file(target, keep_unfinished=True) as staging, staging.open("a") as file:
        file.write(" and half")
    assert target.read_text() == "half and half"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.timeout(60)
def test_killed_in_the_middle_the_old_folder_stays_and_the_next_write_sweeps_up(tmp_path):
    target = tmp_path / "model"
    with write_folder(target) as staging:
        (staging / "a").write_text("old")
    program = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from mermed_core.files import write_folder
        with write_folder(Path({str(target)!r})) as staging:
            (staging / "a").write_text("half")
            print("writing", flush=True)
            time.sleep(60)
    """)
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "writing\n"
        os.kill(process.pid, signal.SIGKILL)
    assert (target / "a").read_text() == "old"
    with write_folder(target) as staging:
        (staging / "a").write_text("new")
    assert (target / "a").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.timeout(60)
def test_what_another_process_still_writes_is_not_swept_up(tmp_path):
    target = tmp_path / "model"
    program = textwrap.dedent(f"""
        from pathlib import Path
        from mermed_core.files import write_folder
        with write_folder(Path({str(target)!r})) as staging:
            print("writing", flush=True)
            input()
            (staging / "a").write_text("last")
    """)
    other = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other as process:
        assert process.stdout
        assert process.stdout.readline() == "writing\n"
        with write_folder(target) as staging:
            (staging / "a").write_text("first")
        assert (target / "a").read_text() == "first"
        process.communicate("go on\n")
    assert process.returncode == 0
    assert (target / "a").read_text() == "last"
    assert list(tmp_path.iterdir()) == [target]


def test_the_bundled_model_and_collection_are_where_files_says():
    assert (BUNDLED_MODEL / "config.json").is_file()
    assert (BUNDLED_COLLECTION / "manifest.json").is_file()
    assert BUNDLED_MODEL.parent == BUNDLED_COLLECTION.parent == ASSETS


def test_the_checksum_is_sha256(tmp_path):
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert checksum(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("inside", [[], ["mark"], ["mark", "more"]])
def test_a_new_an_empty_or_an_older_one_may_be_replaced(tmp_path, inside):
    check_replaceable(tmp_path / "new", "mark")
    for name in inside:
        (tmp_path / name).touch()
    check_replaceable(tmp_path, "mark")


def test_what_something_else_holds_is_not_replaced(tmp_path):
    (tmp_path / "thesis.txt").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "folder" / "mark").mkdir(parents=True)
    for target in (tmp_path, tmp_path / "thesis.txt", tmp_path / "link", tmp_path / "folder"):
        with pytest.raises(OccupiedError, match="another place"):
            check_replaceable(target, "mark")


@pytest.mark.timeout(60)
def test_killed_at_any_moment_a_folder_is_of_one_piece(tmp_path):
    target = tmp_path / "model"
    program = textwrap.dedent(f"""
        from itertools import count
        from pathlib import Path
        from mermed_core.files import write_folder
        for number in count():
            with write_folder(Path({str(target)!r})) as staging:
                for name in "abc":
                    (staging / name).write_text(str(number))
            if number == 3:
                print("writing", flush=True)
    """)
    for milliseconds in (0, 3, 11, 29, 47):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert process.stdout.readline() == "writing\n"
            time.sleep(milliseconds / 1000)
            os.kill(process.pid, signal.SIGKILL)
        written = {path.name: path.read_text() for path in target.iterdir()}
        assert written.keys() == {"a", "b", "c"}
        assert len(set(written.values())) == 1
        assert int(written["a"]) >= 3
    with write_folder(target) as staging:
        (staging / "a").write_text("new")
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no atomic exchange")
def test_an_older_folder_is_exchanged_in_one_step(tmp_path, monkeypatch):
    target = tmp_path / "model"
    with write_folder(target) as staging:
        (staging / "a").write_text("old")

    def two_steps(*_):
        pytest.fail("between two renames a killed process would leave nothing under the name")

    with monkeypatch.context() as patched, write_folder(target) as staging:
        (staging / "a").write_text("new")
        patched.setattr("pathlib.Path.rename", two_steps)
    assert (target / "a").read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_is_readable_by_others_as_any_folder(tmp_path):
    with write_folder(tmp_path / "model"):
        pass
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o755


def test_what_another_process_takes_away_meanwhile_need_not_be_flushed(tmp_path, monkeypatch):
    for name in ("mine", "theirs"):
        (tmp_path / name).touch()

    def take_away(_: int) -> None:
        for path in tmp_path.iterdir():
            path.unlink()

    monkeypatch.setattr(os, "fsync", take_away)
    flush_tree(tmp_path)
    assert not list(tmp_path.iterdir())


def test_json_keeps_letters_of_every_language(tmp_path):
    write_json(tmp_path / "deep" / "names.json", {"Ä": "é"})
    assert "Ä" in (tmp_path / "deep" / "names.json").read_text(encoding="utf-8")


def test_a_sample_finds_most_damage_and_the_whole_all_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr("mermed_core.files._SAMPLES", 2)
    monkeypatch.setattr("mermed_core.files._SAMPLE", 8)
    path = tmp_path / "large"
    path.write_bytes(bytes(100))
    known = FileSum.of(path)
    assert FileSum.from_dict(known.to_dict()) == known
    path.write_bytes(bytes(50) + b"x" + bytes(49))
    assert known.fits(path)
    assert not known.fits(path, whole=True)
    for damage in (b"", bytes(101), b"x" + bytes(99), bytes(99) + b"x"):
        path.write_bytes(damage)
        assert not known.fits(path)
    path.unlink()
    assert not known.fits(path)
