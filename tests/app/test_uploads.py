import io
import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from app import private_folder
from app.study import View
from app.uploads import FOLDER_VARIABLE, open_sent, open_upload, shrunk, take, use_private_folder
from mermed_core.errors import DamagedImageError, ImageError
from mermed_core.files import ASSETS
from mermed_core.imaging.frames import Box
from mermed_core.imaging.reader import MedicalImage


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def uploaded(folder, data: bytes):
    place = folder / "0f3c"
    place.mkdir()
    path = place / "scan.png"
    path.write_bytes(data)
    return path


def stack(frames: int) -> bytes:
    buffer = io.BytesIO()
    pages = [Image.fromarray(np.full((8, 8), 40 * (i + 1), np.uint8)) for i in range(frames)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    return buffer.getvalue()


def test_an_upload_is_gone_after_it_was_taken(folder):
    path = uploaded(folder, b"bytes")
    assert take(str(path)) == b"bytes"
    assert list(folder.iterdir()) == []


def test_strays_are_swept_but_uploads_under_way_stay(folder):
    for name in ("tmpstray", "tmpunderway"):
        (folder / name).touch()
    os.utime(folder / "tmpstray", (0, 0))
    take(str(uploaded(folder, b"bytes")))
    assert [file.name for file in folder.iterdir()] == ["tmpunderway"]


def test_a_file_elsewhere_is_only_read(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere") / "example.png"
    other.write_bytes(b"bytes")
    assert take(str(other)) == b"bytes"
    assert other.exists()


def test_a_refused_upload_is_gone_too(services, folder):
    path = uploaded(folder, b"nothing like an image")
    with pytest.raises(ImageError):
        open_upload(services.predictor, str(path))
    assert list(folder.iterdir()) == []


def test_a_region_is_a_negative_where_its_picture_is(services):
    query = open_upload(services.predictor, str(ASSETS / "examples" / "cxr.png"))
    part = View(region=Box(20, 20, 40, 40))
    for negative in (True, False):
        whole = replace(query, embedding=replace(query.embedding, negative=negative))
        region = whole.at_view(services.predictor, part)
        assert region.embedding.negative is negative
        within = region.at_view(services.predictor, replace(part, region=Box(25, 25, 20, 20)))
        assert within.embedding.negative is negative
        assert not within.at_view(services.predictor, View()).embedding.negative  # judged by itself again
        # What its own picture is called says nothing of one that is shown the other way round.
        assert not whole.at_view(services.predictor, replace(part, inverted=True)).embedding.negative


def test_other_frames_are_read_from_what_is_held_in_memory(services, folder):
    query = open_upload(services.predictor, str(uploaded(folder, stack(3))))
    assert query.image.frames == 3
    third = query.at_frame(services.predictor, 2)
    assert third.study is query.study
    assert third.image.frame == 2
    assert third.image.pixels[0, 0, 0] == 120


def test_only_files_that_were_uploaded_are_opened_for_the_page(services, folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere") / "secret.tiff"
    other.write_bytes(stack(1))
    mine = uploaded(folder, stack(2))
    for paths in ([], [str(mine), str(other)], [f"{folder}/../{other.parent.name}/secret.tiff"]):
        with pytest.raises(DamagedImageError, match="incomplete"):
            open_sent(services.predictor, paths)
    assert open_sent(services.predictor, [str(mine)]).image.frames == 2
    assert list(folder.iterdir()) == []
    assert other.exists()


def test_large_images_are_shrunk_in_shape(services):
    image = MedicalImage(np.zeros((300, 4000, 3), np.uint8), 1, 0, "PNG", ())
    assert shrunk(image, 1000).pixels.shape == (75, 1000, 3)
    assert shrunk(image, 4000) is image
    thin = MedicalImage(np.zeros((1, 9000, 3), np.uint8), 1, 0, "PNG", ())
    assert shrunk(thin, 100).pixels.shape == (1, 100, 3)


def test_an_upload_is_embedded_when_it_is_opened(services, folder):
    query = open_upload(services.predictor, str(uploaded(folder, stack(2))), "oct")
    assert query.embedding.chosen == "oct"
    second = query.at_frame(services.predictor, 1)
    assert not np.array_equal(second.embedding.neutral, query.embedding.neutral)
    detected = query.read_as(services.predictor, None)
    assert detected.embedding.chosen == next(iter(query.embedding.modality))
    assert detected.embedding.neutral is query.embedding.neutral


def test_the_folder_that_the_host_chose_is_used_and_stays(monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    use_private_folder(tmp_path)
    assert os.environ.pop(FOLDER_VARIABLE) == str(tmp_path)


def test_uploads_pass_through_a_private_folder(monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    registered = []
    monkeypatch.setattr(
        private_folder.atexit, "register", lambda *call, **options: registered.append((call, options))
    )
    use_private_folder()
    folder = os.environ[FOLDER_VARIABLE]
    assert os.stat(folder).st_mode & 0o077 == 0
    (call, options) = registered[0]
    call[0](*call[1:], **options)
    assert not os.path.exists(folder)
