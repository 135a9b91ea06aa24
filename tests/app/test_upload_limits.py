"""How large a visitor's file may be is the host's word, and everything that depends on it follows."""

import io
from dataclasses import replace
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
from PIL import Image

from app import study
from app.components.opener import opener
from app.pages.batch import opened
from app.ui import launch_options
from app.upload_limits import UploadLimits, upload_limits
from mermed_core.data.phantoms import NORMAL, draw_phantom
from mermed_core.errors import ImageTooLargeError, SettingsError
from mermed_core.imaging.archives import ARCHIVE_LIMITS
from mermed_core.imaging.limits import Limits
from mermed_core.inference.batch import analyse_files, files_of
from mermed_core.settings import Settings


def test_without_a_word_of_the_host_everything_is_as_it_was():
    assert upload_limits() == UploadLimits(128)
    assert (upload_limits().file, upload_limits().archive) == (Limits(), ARCHIVE_LIMITS)
    assert upload_limits().visits == 3 * 2**30


def test_a_larger_file_may_be_sent_and_read(monkeypatch):
    monkeypatch.setenv("MERMED_UPLOAD_MB", "2000")
    assert launch_options(Settings.from_environment())["max_file_size"] == "2000mb"
    assert upload_limits().file.max_bytes == upload_limits().archive.max_bytes == 2000 * 2**20
    assert upload_limits().visits == 6000 * 2**20
    assert opener().props["most_bytes"] == 2000 * 2**20
    assert "more than 2000 MB" in opener().props["sentences"]["large"]


def test_what_is_read_is_bounded_by_it(monkeypatch, tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(buffer, "BMP")
    data = buffer.getvalue()
    monkeypatch.setattr(UploadLimits, "file", Limits(max_bytes=len(data) - 1))
    with pytest.raises(ImageTooLargeError, match="at most 0 MB are read"):
        study.open_study([("a.bmp", data)]).read(0, 0)
    monkeypatch.setattr(UploadLimits, "archive", replace(ARCHIVE_LIMITS, max_bytes=100))
    with pytest.raises(ImageTooLargeError, match="too much to open at once"):
        study.open_study([("a.bmp", data)])
    path = tmp_path / "a.bmp"
    path.write_bytes(data)
    with pytest.raises(ImageTooLargeError, match="too much to open at once"):
        opened([str(path)])


def test_a_file_in_a_batch_may_be_as_large_as_any_other(monkeypatch, tmp_path, services):
    path, archive = tmp_path / "large.bmp", tmp_path / "images.zip"
    Image.fromarray(draw_phantom("ct", NORMAL, seed=0, size=840).pixels).save(path)  # 2.02 MB
    with ZipFile(archive, "w", ZIP_DEFLATED) as file:
        file.write(path, path.name)
    for allowed, said in (("2", "at most 2 MB are read"), ("3", "")):
        monkeypatch.setenv("MERMED_UPLOAD_MB", allowed)
        for files in (opened([str(path)]), opened([str(archive)]), files_of(path), files_of(archive)):
            (row,) = analyse_files(services.predictor, files)
            assert (row.analysis is None, said in row.problem) == (bool(said), True)


@pytest.mark.parametrize("size", ["0", "-5", "100mb", "99999"])
def test_a_size_that_is_none_is_said_at_the_start(size):
    with pytest.raises(SettingsError, match="MERMED_UPLOAD_MB"):
        Settings.from_environment({"MERMED_UPLOAD_MB": size})
