import gc
import io
import zipfile

import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image

from app.study import View, open_study, opened_study, view_of
from app.texts.input_text import DRAW_A_REGION
from app.upload_limits import UploadLimits
from mermed_core.errors import DamagedImageError, ImageError, UnsupportedFormatError
from mermed_core.imaging.frames import Box
from mermed_core.imaging.grey_values import Window
from mermed_core.imaging.limits import Limits


def png(level: int, size: tuple[int, int] = (40, 60)) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full(size, level, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def test_several_files_an_archive_and_frames_are_stacks_and_the_rest_is_counted():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/scan.png", png(10))
        archive.writestr("a/readme.txt", "no image")
    pages = [Image.fromarray(np.full((8, 8), 40 * i, np.uint8)) for i in range(3)]
    stack = io.BytesIO()
    pages[0].save(stack, "TIFF", save_all=True, append_images=pages[1:])
    study = open_study([("one.zip", buffer.getvalue()), ("folder/frames.tiff", stack.getvalue())])
    assert [(each.name, len(each.pictures)) for each in study.stacks] == [("scan.png", 1), ("frames.tiff", 3)]
    assert study.notes == ("One file is no image that can be read here and was left out.",)
    assert study.read(1, 2).pixels[0, 0, 0] == 80
    assert study.place(View(0, 0)) is None
    assert study.place(View(1, 2)) is None  # which frame it is, the file says itself


def test_a_slice_has_its_place_in_the_series(ct_file):
    files = []
    for number in (1, 2, 3):
        data_set = pydicom.dcmread(ct_file)
        data_set.SeriesInstanceUID, data_set.InstanceNumber = "1.2.3.4", number
        data_set.save_as(buffer := io.BytesIO())
        files.append((f"{number}.dcm", buffer.getvalue()))
    assert open_study(files).place(View(0, 1)) == (2, 3)
    assert open_study(files[:1]).place(View(0, 0)) is None


def test_one_wrong_file_says_what_is_wrong_and_many_say_it_together():
    with pytest.raises(UnsupportedFormatError, match="PDF"):
        open_study([("a.pdf", b"%PDF-1.7")])
    with pytest.raises(ImageError, match="None of these files"):
        open_study([("a.pdf", b"%PDF-1.7"), ("b.txt", b"text")])


def test_an_archive_that_cannot_be_opened_leaves_the_other_files():
    closed = ("b.zip", b"PK\x03\x04 and nothing more")
    study = open_study([closed, ("a.png", png(10))])
    assert [each.name for each in study.stacks] == ["a.png"]
    assert study.notes == ("One file is no image that can be read here and was left out.",)
    with pytest.raises(DamagedImageError, match="ZIP archive is damaged"):
        open_study([closed])
    with pytest.raises(ImageError, match="None of these files"):
        open_study([closed, ("a.pdf", b"%PDF-1.7")])


def test_a_dicom_file_is_held_without_its_header(ct_file):
    data = ct_file.read_bytes()
    assert b"Doe" in data
    study = open_study([("slice.dcm", data)])
    assert b"Doe" not in study.stacks[0].pictures[0].data
    assert study.read(0, 0).header_modality == "ct"


def test_a_study_is_gone_with_its_visit():
    study = open_study([("a.png", png(1))])
    visit = study.visit
    assert opened_study(visit) is study
    assert len(visit) > 40
    del study
    gc.collect()
    assert opened_study(visit) is None


def test_a_view_is_windowed_blackened_and_cut(ct_file):
    study = open_study([("slice.dcm", ct_file.read_bytes())])
    whole = study.read(0, 0)
    assert whole.grey is not None
    window = Window(-600, 1500)
    view = View(window=window, region=Box(8, 16, 20, 30), covered=(Box(0, 0, 12, 64),))
    seen = study.seen(view)
    expected = whole.grey.shown(window, False)[8:28, 16:46].copy()
    expected[:4] = 0
    np.testing.assert_array_equal(seen.pixels, expected)
    assert seen.grey is None  # not held twice
    assert seen.notes[0].startswith("Only the region that you drew")
    assert any("you chose (centre -600, width 1500)" in note for note in seen.notes)
    assert not any("own window" in note for note in seen.notes)
    np.testing.assert_array_equal(study.seen(View()).pixels, whole.pixels)
    np.testing.assert_array_equal(study.seen(View(inverted=True)).pixels, 255 - whole.pixels)


def test_a_region_ends_where_the_picture_does_and_a_tiny_one_is_refused():
    study = open_study([("a.png", png(9))])
    assert study.seen(View(region=Box(-50, 30, 500, 500))).pixels.shape == (40, 30, 3)
    with pytest.raises(ImageError, match="too small"):
        study.seen(View(region=Box(39, 0, 500, 500)))


def test_what_the_page_asks_for_is_read_or_refused():
    asked = {
        "stack": 1,
        "position": 2,
        "window": {"centre": 40, "width": 400, "function": "LINEAR"},
        "inverted": True,
        "region": {"top": 1, "left": 2, "height": 30, "width": 40},
        "covered": [],
    }
    assert view_of(asked) == View(1, 2, Window(40, 400, "LINEAR"), True, Box(1, 2, 30, 40))
    assert view_of({"stack": 0, "position": 0}) == View()
    for wrong in (
        None,
        {},
        {"stack": "x", "position": 0},
        asked | {"window": {"centre": float("nan"), "width": 1, "function": "LINEAR"}},
        asked | {"window": {"centre": 1, "width": 0, "function": "LINEAR"}},
        asked | {"region": [1, 2]},
    ):
        with pytest.raises(ImageError):
            view_of(wrong)
    with pytest.raises(ImageError):
        open_study([("a.png", png(9))]).seen(View(stack=1))


@pytest.fixture
def slide(monkeypatch) -> tuple[np.ndarray, bytes]:
    """A picture of 300 × 200 px with copies nested in it, of which at most 20,000 px may be read at once."""
    monkeypatch.setattr(UploadLimits, "file", Limits(max_pixels=20_000))
    pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(pixels, subifds=1, photometric="rgb", tile=(64, 64), metadata=None)
        file.write(pixels[::2, ::2], subfiletype=1, photometric="rgb", tile=(64, 64), metadata=None)
    return pixels, buffer.getvalue()


def test_a_slide_opens_at_the_level_that_fits_and_a_region_comes_at_full_size(slide):
    pixels, data = slide
    study = open_study([("slide.svs", data)])
    whole = study.seen(View())
    np.testing.assert_array_equal(whole.pixels, pixels[::2, ::2])
    assert "level 2 of 2" in whole.notes[0]
    assert DRAW_A_REGION in whole.notes
    part = study.seen(View(region=Box(150, 210, 80, 70)))
    np.testing.assert_array_equal(part.pixels, pixels[150:200, 210:280])
    assert part.notes[0] == "Only the region that you drew is analysed (70 × 50 px)."
    assert "at full size" in part.notes[1]
    assert not any("level 2" in note for note in part.notes)
    assert part.full is None
    large = study.seen(View(region=Box(0, 0, 200, 290), inverted=True))
    np.testing.assert_array_equal(large.pixels, 255 - pixels[::2, :290:2])
    assert any("too large to be read at full size" in note for note in large.notes)


def test_what_is_covered_is_black_on_every_level_of_a_slide(slide):
    pixels, data = slide
    study = open_study([("slide.svs", data)])
    covered = (Box(160, 200, 21, 31), Box(0, 0, 10, 10))
    whole = study.seen(View(covered=covered)).pixels
    assert not whole[80:91, 100:116].any()
    assert whole[79, 100:116].any()
    assert whole[80:91, 116].any()
    part = study.seen(View(covered=covered, region=Box(150, 210, 50, 70))).pixels
    expected = pixels[150:200, 210:280].copy()
    expected[10:31, :21] = 0
    np.testing.assert_array_equal(part, expected)
