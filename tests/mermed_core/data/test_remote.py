import hashlib
import logging
import os
import threading

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mermed_core.data import remote as byte_ranges
from mermed_core.data.remote import read_range
from mermed_core.errors import DamagedImageError, ImageTooLargeError, ManifestError

CONTENT = bytes(range(256)) * 40


@pytest.fixture(autouse=True)
def nothing_refused_yet(monkeypatch):
    monkeypatch.setattr(byte_ranges, "_refused", {})


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
        lambda url, sha256: (fetch(url, sha256), monkeypatch.setattr(byte_ranges.Path, "stat", evicting))[0],
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


def test_an_image_larger_than_any_that_is_read_takes_no_memory(tmp_path):
    size = byte_ranges.Limits().max_bytes + 1
    with (tmp_path / "a.tar").open("wb") as file:
        file.truncate(size)  # a hole; nothing is written
    with pytest.raises(ImageTooLargeError, match="at most 128 MB"):
        read_range(str(tmp_path / "a.tar"), 0, size)


def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.tar")
    for name in ("pipe.tar", "."):
        with pytest.raises(DamagedImageError, match="no regular file"):
            read_range(str(tmp_path / name), 0, 4)


@pytest.fixture
def web_shard(file_server, tmp_path, monkeypatch):
    """A shard on a server behind a login and a signature."""
    monkeypatch.setenv("MERMED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(byte_ranges, "_WAITS", (0,))
    file_server.files["ct.tar"] = CONTENT
    return file_server.url.replace("http://", "http://me:hush@") + "/ct.tar?sig=mine"


def test_a_shard_of_a_web_server_is_fetched_once_and_whole(file_server, web_shard, tmp_path, caplog):
    file_server.cuts = [1000]
    with caplog.at_level(logging.DEBUG):
        assert read_range(web_shard, 300, 50) == CONTENT[300:350]
        assert read_range(web_shard, 0, 5) == CONTENT[:5]
    spans = [span for _, span in file_server.requests]
    assert spans == ["bytes=0-0", None, "bytes=1000-"]
    (copy,) = (tmp_path / "cache").glob("[!.]*")
    assert copy.name.endswith("-ct.tar")
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0  # what a login opened is not for everybody
    for secret in ("hush", "mine"):
        assert secret not in caplog.text + " ".join(os.listdir(tmp_path / "cache"))


def test_a_shard_above_the_limit_is_asked_for_once_and_never_fetched(file_server, web_shard, monkeypatch):
    monkeypatch.setenv("MERMED_FETCH_GB", "0.000001")
    for _ in range(3):
        with pytest.raises(DamagedImageError, match="MERMED_FETCH_GB") as caught:
            read_range(web_shard, 0, 5)
        assert "hush" not in str(caught.value)
        assert "mine" not in str(caught.value)
        assert caught.value.__cause__ is None
    assert [span for _, span in file_server.requests] == ["bytes=0-0"]


def test_a_store_above_the_limit_is_not_asked_for_bytes(remote, monkeypatch):
    system, fetched = remote
    system.pipe("/bucket/ct.tar", CONTENT)
    monkeypatch.setenv("MERMED_FETCH_GB", "0.000001")
    with pytest.raises(DamagedImageError, match="MERMED_FETCH_GB"):
        read_range("memory://bucket/ct.tar", 0, 5)
    assert fetched == []


def test_a_store_that_sends_more_than_it_stated_is_stopped(remote, monkeypatch, tmp_path):
    system, _ = remote
    system.pipe("/bucket/ct.tar", CONTENT)
    monkeypatch.setattr(type(system), "size", lambda *_: 100)
    with pytest.raises(DamagedImageError, match="More bytes arrived"):
        read_range("memory://bucket/ct.tar", 0, 5)
    assert not list((tmp_path / "cache").glob("*.tar"))


def test_a_shard_with_another_checksum_is_not_kept_and_not_fetched_again(file_server, web_shard, tmp_path):
    right = hashlib.sha256(CONTENT).hexdigest()
    assert read_range(web_shard, 3, 4, sha256=right) == CONTENT[3:7]
    file_server.files["ct.tar"] = CONTENT[::-1]
    file_server.requests.clear()
    wrong = "0" * 64
    for _ in range(2):
        with pytest.raises(DamagedImageError, match="another SHA-256"):
            read_range(web_shard, 3, 4, sha256=wrong)
    assert len(file_server.requests) == 2
    assert len(list((tmp_path / "cache").glob("[!.]*"))) == 1
    # The copy that was checked is still the one that is read.
    assert read_range(web_shard, 3, 4, sha256=right) == CONTENT[3:7]


def test_a_full_disk_is_said_before_anything_is_fetched(file_server, web_shard, monkeypatch):
    usage = byte_ranges.shutil.disk_usage("/")
    monkeypatch.setattr(byte_ranges.shutil, "disk_usage", lambda _: usage._replace(free=100))
    with pytest.raises(DamagedImageError, match="only 100 bytes are free"):
        read_range(web_shard, 0, 5)


def test_the_message_of_a_stores_package_is_cleaned(remote, monkeypatch):
    system, _ = remote

    def fails(self, path, *_, **__):
        raise RuntimeError("403 for https://u:pw@host/ct.tar?sig=tok and ct.tar?sig=tok")

    monkeypatch.setattr(type(system), "size", fails)
    with pytest.raises(DamagedImageError, match=r"403 for https://host/ct\.tar") as caught:
        read_range("memory://bucket/ct.tar?sig=tok", 0, 5)
    assert "tok" not in str(caught.value)
    assert caught.value.__cause__ is None
