"""Nothing of an upload stays: not on the disk, not in the log, not in an error, not in the next visit."""

import logging
import os
import secrets
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image, PngImagePlugin

from mermed_core.inference.predictor import Predictor

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT
_opened_for_writing: list[tuple[str, str]] = []  # path, and the code that opened it
_watching = False


def _watch(event: str, given: tuple) -> None:
    if _watching and event == "open" and isinstance(given[0], str | bytes | os.PathLike):
        path, mode, flags = given
        if (mode and set(mode) & set("wax+")) or (not mode and flags & _WRITES):
            _opened_for_writing.append((os.fsdecode(path), "".join(traceback.format_stack(limit=8))))


sys.addaudithook(_watch)  # it cannot be removed again


@contextmanager
def watched() -> Iterator[list[tuple[str, str]]]:
    """The files that this process, which serves the page, opens for writing meanwhile."""
    global _watching
    _opened_for_writing.clear()
    _watching = True
    yield _opened_for_writing
    _watching = False


@pytest.fixture
def marked(tmp_path) -> tuple[Path, list[bytes]]:
    """An image with a name of its own, and bytes that only it has: of its text, pixels and file."""
    secret = f"Doe_{secrets.token_hex(8)}"
    # Noise of some megabytes: larger than what servers keep in memory before they turn to the disk.
    pixels = np.frombuffer(secrets.token_bytes(900 * 900 * 3), np.uint8).reshape(900, 900, 3)
    about = PngImagePlugin.PngInfo()
    about.add_text("PatientName", secret)
    path = tmp_path / f"{secret}.png"
    Image.fromarray(pixels).save(path, pnginfo=about)
    data = path.read_bytes()
    middle = len(data) // 2
    return path, [secret.encode(), pixels[0].tobytes()[:24], data[middle : middle + 24]]


def test_no_byte_of_an_upload_is_on_the_disk_or_in_the_log(address, uploads, marked, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    path, marks = marked
    client = Client(address, verbose=False)
    with watched() as written:
        client.predict(handle_file(path), "", api_name="/classify")
        client.predict(handle_file(path), api_name="/analyse")
        client.predict([handle_file(path)], api_name="/analyse_many")
        client.predict("a", [handle_file(path)], api_name="/own_files")
        client.predict("My image", None, 4, [], [], [], api_name="/similar")
    # Only the upload folder, which is in memory where a host has room, is written to, and it is empty again.
    for each, where in written:
        assert each == os.devnull or Path(each).resolve().is_relative_to(uploads.resolve()), where
    assert written
    assert [file for file in uploads.rglob("*") if file.is_file() and file.stat().st_size > 0] == []
    seen = capfd.readouterr()
    for said in (caplog.text, seen.out, seen.err):
        assert all(mark not in said.encode() for mark in marks)


def test_the_next_visit_knows_nothing_of_it(address, marked):
    Client(address, verbose=False).predict(handle_file(marked[0]), "", api_name="/classify")
    client = Client(address, verbose=False)
    assert "appears here" in str(client.predict(None, api_name="/explain"))
    assert client.predict(api_name="/own_save") == ""


def test_an_unexpected_error_is_a_number_that_the_log_has_too(address, marked, monkeypatch, caplog, capfd):
    path, marks = marked

    def fails(self: Predictor, image: object, **_: object) -> None:
        raise KeyError(f"{path} {marks[1]!r}")

    monkeypatch.setattr(Predictor, "analyse", fails)
    with pytest.raises(AppError, match="number") as raised:
        Client(address, verbose=False).predict(handle_file(path), "", api_name="/classify")
    said = str(raised.value)
    assert raised.value.duration is None  # it stays until it is closed
    number = said.partition("number ")[2][:8]
    assert f"incident {number}: KeyError while doing classify" in caplog.text
    seen = capfd.readouterr()
    for told in (said, caplog.text, seen.out, seen.err):
        assert path.name not in told
        assert "Doe_" not in told
    assert "Traceback" not in said + seen.err
    assert "/" not in said.replace("://", "")
    assert caplog.text.count(number) == 1
