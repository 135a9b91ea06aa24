import os
import threading

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mermed_core.data import remote as byte_ranges
from mermed_core.data.remote import read_range
from mermed_core.errors import DamagedImageError, ManifestError

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def remote(tmp_path, monkeypatch):
    """A file system in memory that counts what is fetched from it."""
    monkeypatch.setenv("MERMED_CACHE", str(tmp_path / "cache"))
    system = fsspec.filesystem("memory")
    fetched = []
    get_file = type(system).get_file

    def counted(self, path, *arguments, **options):
        fetched.append(path)
        return get_file(self, path, *arguments, **options)

    monkeypatch.setattr(type(system), "get_file", counted)
    yield system, fetched
    system.store.clear()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(offset=st.integers(0, len(CONTENT)), length=st.integers(0, 500))
def test_any_range_of_a_file(tmp_path, offset, length):
    path = tmp_path / "a.tar"
    if not path.exists():
        path.write_bytes(CONTENT)
    expected = CONTENT[offset : offset + length]
    if len(expected) == length:
        assert read_range(str(path), offset, length) == expected
    else:
        with pytest.raises(DamagedImageError, match="cut off"):
            read_range(str(path), offset, length)


def test_a_missing_file_is_a_damaged_image(tmp_path):
    with pytest.raises(DamagedImageError, match="cannot be read"):
        read_range(str(tmp_path / "none.tar"), 0, 1)


def test_a_file_in_its_place_is_read_anew(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(b"old")
    assert read_range(str(path), 0, 3) == b"old"
    (tmp_path / "b").write_bytes(b"new")
    os.replace(tmp_path / "b", path)
    assert read_range(str(path), 0, 3) == b"new"


def test_a_remote_file_is_fetched_once_by_all(remote):
    system, fetched = remote
    system.pipe("/bucket/ct.tar", CONTENT)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(read_range("memory://bucket/ct.tar", 300, 50)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [CONTENT[300:350]] * 8
    assert len(fetched) == 1


def test_what_was_fetched_longest_ago_gives_way(remote, monkeypatch, tmp_path):
    system, fetched = remote
    monkeypatch.setenv("MERMED_CACHE_GB", str(2.5 * len(CONTENT) / 1e9))
    for number in range(4):
        system.pipe(f"/bucket/{number}.tar", CONTENT)
        read_range(f"memory://bucket/{number}.tar", 0, 9)
        copy = next((tmp_path / "cache").glob(f"*-{number}.tar"))
        os.utime(copy, (number, number))
    assert sorted(path.name[-5:] for path in (tmp_path / "cache").glob("*.tar")) == ["2.tar", "3.tar"]
    assert read_range("memory://bucket/0.tar", 1, 2) == CONTENT[1:3]
    assert len(fetched) == 5


def test_a_copy_that_another_process_evicts_just_now_is_fetched_again(remote, monkeypatch):
    system, fetched = remote
    system.pipe("/bucket/ct.tar", CONTENT)
    stat, evicted = byte_ranges.Path.stat, []

    def evicting(self, **options):
        if self.name.endswith("-ct.tar") and not evicted:
            evicted.append(self)
            self.unlink()
        return stat(self, **options)

    fetch = byte_ranges._fetched
    monkeypatch.setattr(
        byte_ranges,
        "_fetched",
        lambda url: (fetch(url), monkeypatch.setattr(byte_ranges.Path, "stat", evicting))[0],
    )
    assert read_range("memory://bucket/ct.tar", 10, 5) == CONTENT[10:15]
    assert len(fetched) == 2


def test_an_incomplete_copy_is_never_kept(remote, monkeypatch, tmp_path):
    system, _ = remote
    system.pipe("/bucket/ct.tar", CONTENT)
    monkeypatch.setattr(type(system), "size", lambda *_: len(CONTENT) + 1)
    with pytest.raises(DamagedImageError, match="incomplete"):
        read_range("memory://bucket/ct.tar", 0, 5)
    assert not list((tmp_path / "cache").glob("*.tar"))
    monkeypatch.undo()
    with pytest.raises(DamagedImageError):
        read_range("memory://bucket/missing.tar", 0, 5)


def test_an_unknown_protocol_is_a_sentence():
    with pytest.raises(ManifestError, match="cannot be opened"):
        byte_ranges.file_system("nonsense://x")


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "local:///etc/hostname", "zip://a::memory://b.zip", "x://a"]
)
def test_what_reaches_into_this_machine_is_not_opened(url):
    with pytest.raises(DamagedImageError, match="remote files are of"):
        read_range(url, 0, 4)


@pytest.mark.parametrize(("offset", "length"), [(0, 10**13), (0, 2**70), (2**70, 1), (-4, 4), (4, -1)])
def test_a_range_outside_the_file_takes_no_memory(tmp_path, offset, length):
    (tmp_path / "a.tar").write_bytes(CONTENT)
    with pytest.raises(DamagedImageError, match="cut off"):
        read_range(str(tmp_path / "a.tar"), offset, length)
