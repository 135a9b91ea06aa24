import hashlib
import logging
import os
import shutil
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from mermed_core.data import download as downloads
from mermed_core.data import web
from mermed_core.data.download import Download, fetch_files
from mermed_core.errors import DownloadError, RefusedDownloadError
from mermed_core.files import unfinished_file

CONTENT = np.random.default_rng(0).bytes(3_000_000)
OTHER = CONTENT[::-1]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(web, "WAITS", (0, 0))


@pytest.fixture
def wanted(file_server, tmp_path):
    file_server.files["a.npz"] = CONTENT
    return Download(f"{file_server.url}/a.npz?download=1", tmp_path / "new" / "a.npz", md5(CONTENT))


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def asked(server) -> list[str | None]:
    """The ranges of the requests for content; the first request of a file only asks how large it is."""
    return [span for _, span in server.requests if span != "bytes=0-0"]


def test_a_file_is_fetched_whole_and_once(file_server, wanted, caplog):
    with caplog.at_level(logging.INFO):
        fetch_files([wanted])
    assert wanted.file.read_bytes() == CONTENT
    assert "fetching 3.0 MB from 127.0.0.1" in caplog.text
    assert asked(file_server) == [None]
    before = len(file_server.requests)
    fetch_files([wanted])
    assert len(file_server.requests) == before
    assert [path.name for path in wanted.file.parent.iterdir() if not path.name.endswith(".lock")] == [
        "a.npz"
    ]


def test_a_broken_connection_is_taken_up_where_it_ended(file_server, wanted):
    file_server.cuts = [1_000_000, 500_000]
    fetch_files([wanted])
    assert wanted.file.read_bytes() == CONTENT
    assert asked(file_server) == [None, "bytes=1000000-", "bytes=1500000-"]


def test_the_next_call_goes_on_where_the_last_one_ended(file_server, wanted, caplog):
    file_server.cuts = [1_000_000, 0, 0]
    with pytest.raises(DownloadError, match=r"broke off: .*goes on from there"):
        fetch_files([wanted])
    assert not wanted.file.exists()
    assert wanted.arrived == 1_000_000
    file_server.requests.clear()
    with caplog.at_level(logging.INFO):
        fetch_files([wanted])
    assert "1.0 MB of it here" in caplog.text
    assert asked(file_server) == ["bytes=1000000-"]
    assert wanted.file.read_bytes() == CONTENT


def test_ctrl_c_keeps_what_has_arrived(wanted, monkeypatch):
    class Interrupted(web.tqdm):
        def update(self, n=1):
            raise KeyboardInterrupt

    monkeypatch.setattr(web, "tqdm", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch_files([wanted])
    assert wanted.arrived == 1 << 20
    monkeypatch.undo()
    fetch_files([wanted])
    assert wanted.file.read_bytes() == CONTENT


def test_a_server_that_sends_no_parts_begins_anew(file_server, wanted):
    file_server.sends_parts = False
    file_server.cuts = [1, 1_000_000]  # the answer that only says the size is a whole file too
    fetch_files([wanted])
    assert wanted.file.read_bytes() == CONTENT
    assert asked(file_server) == [None, "bytes=1000000-"]


def test_a_server_without_parts_that_always_breaks_off_is_given_up(file_server, wanted):
    file_server.sends_parts = False
    file_server.cuts = [1, 900_000, 1_000_000, 600_000, 700_000, 800_000, 500_000]
    with pytest.raises(DownloadError, match="broke off"):
        fetch_files([wanted])
    assert file_server.cuts == [800_000, 500_000]  # after the second attempt nothing new came


def test_a_file_with_another_checksum_is_deleted(file_server, wanted):
    file_server.files["a.npz"] = OTHER
    with pytest.raises(DownloadError, match=f"MD5 {md5(OTHER)} instead of {md5(CONTENT)}.* was deleted"):
        fetch_files([wanted])
    assert not wanted.file.exists()
    assert wanted.arrived == 0
    file_server.files["a.npz"] = CONTENT
    fetch_files([wanted])
    assert wanted.file.read_bytes() == CONTENT


@pytest.mark.parametrize("left", [len(CONTENT), len(CONTENT) + 5])
def test_what_is_no_beginning_of_the_file_does_not_become_it(file_server, wanted, left):
    wanted.file.parent.mkdir()
    unfinished_file(wanted.file).write_bytes(bytes(left))
    if left == len(CONTENT):  # only the checksum can tell
        with pytest.raises(DownloadError, match="was deleted"):
            fetch_files([wanted])
    fetch_files([wanted])
    assert wanted.file.read_bytes() == CONTENT


def test_a_file_that_changes_on_the_server_is_refused(file_server, wanted, monkeypatch):
    file_server.cuts = [1_000_000]

    def change(_):
        file_server.files["a.npz"] = CONTENT + b"more"

    monkeypatch.setattr(web, "time", SimpleNamespace(sleep=change))
    with pytest.raises(DownloadError, match="changed while it was fetched"):
        fetch_files([wanted])


def test_a_busy_server_is_asked_again(file_server, wanted):
    file_server.cuts = [1_000_000]
    fetch = downloads.receive

    def busy(*arguments, **options):
        file_server.errors = [503, 429]
        fetch(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(downloads, "receive", busy)
        fetch_files([wanted])
    assert wanted.file.read_bytes() == CONTENT


@pytest.mark.parametrize(("code", "part"), [(404, "answers 404 Not Found"), (403, "403"), (503, "503")])
def test_a_server_that_refuses_is_quoted(file_server, wanted, code, part):
    file_server.errors = [code]
    with pytest.raises(DownloadError, match=part):
        fetch_files([wanted])
    assert not wanted.file.parent.exists()


def test_without_a_network_the_sentence_says_what_to_put_where(file_server, wanted):
    file_server.shutdown()
    file_server.server_close()
    with pytest.raises(DownloadError) as caught:
        fetch_files([wanted])
    address = wanted.url.removesuffix("?download=1")
    for part in ("cannot be reached", "refused", address, str(wanted.file.parent)):
        assert part in str(caught.value)
    assert "download=1" not in str(caught.value)


def test_a_file_above_the_limit_is_refused_before_it_is_fetched(file_server, wanted, monkeypatch):
    monkeypatch.setenv("MERMED_FETCH_GB", "0.002")
    with pytest.raises(
        RefusedDownloadError, match=r"has 3\.0 MB, and no more than 0\.002 GB .*MERMED_FETCH_GB"
    ):
        fetch_files([wanted])
    assert asked(file_server) == []
    monkeypatch.setenv("MERMED_FETCH_GB", "0.003")
    fetch_files([wanted])
    assert wanted.file.read_bytes() == CONTENT


def test_neither_query_nor_login_is_shown(file_server, tmp_path, caplog):
    file_server.files["a.npz"] = OTHER
    url = file_server.url.replace("http://", "http://me:hush@") + "/a.npz?sig=mine"
    with caplog.at_level(logging.DEBUG), pytest.raises(DownloadError, match="not the published") as caught:
        fetch_files([Download(url, tmp_path / "a.npz", md5(CONTENT))])
    for secret in ("hush", "mine", "me:"):
        assert secret not in caplog.text + str(caught.value)


def test_nothing_is_fetched_where_there_is_no_room(file_server, wanted, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=203_000_000 - 1))
    with pytest.raises(DownloadError, match=r"203\.0 MB are needed in .*, but only 203\.0 MB are free"):
        fetch_files([wanted])
    assert asked(file_server) == []
    unfinished_file(wanted.file).write_bytes(CONTENT[:10])  # what is here needs no room any more
    fetch_files([wanted])
    assert wanted.file.read_bytes() == CONTENT


def test_a_disk_that_fills_up_meanwhile_is_a_sentence(wanted, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads, "receive", full)
    with pytest.raises(DownloadError, match=r"a\.npz\.partial' cannot be written: .*No space left"):
        fetch_files([wanted])


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/a", "/etc/hostname", ""])
def test_only_web_addresses_are_opened(tmp_path, url):
    with pytest.raises(DownloadError, match="http://"):
        fetch_files([Download(url, tmp_path / "a", "")])


def test_a_server_that_hides_the_size_is_refused(file_server, wanted, monkeypatch):
    file_server.sends_parts = False
    handler = file_server.RequestHandlerClass
    send_header = handler.send_header
    monkeypatch.setattr(
        handler,
        "send_header",
        lambda self, key, value: key == "Content-Length" or send_header(self, key, value),
    )
    with pytest.raises(DownloadError, match="does not state the size"):
        fetch_files([wanted])


def test_two_at_once_fetch_one_file(file_server, wanted):
    threads = [threading.Thread(target=fetch_files, args=([wanted],)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wanted.file.read_bytes() == CONTENT
    assert asked(file_server) == [None]


def test_what_is_fetched_survives_a_power_cut(wanted, monkeypatch):
    flushed = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (flushed.append(os.fstat(file).st_size), fsync(file)))
    fetch_files([wanted])
    assert len(CONTENT) in flushed
