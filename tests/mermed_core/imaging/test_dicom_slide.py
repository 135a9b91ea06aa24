"""Slides whose tiles are frames: laid together as numpy lays them, at the level that fits, and by region."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mermed_core.errors import ImageTooLargeError, SlideLabelError
from mermed_core.imaging.dicom_pixels_only import pixels_only
from mermed_core.imaging.dicom_slide import slide_copies, slide_size
from mermed_core.imaging.frames import Box
from mermed_core.imaging.limits import Limits
from mermed_core.imaging.reader import count_frames, read_image, read_region
from mermed_core.imaging.series import group_series, join_slides, slide_files

HIGH, WIDE = 70, 110
TILE = 32  # of make_slide
LIMITS = Limits(max_pixels=2000)  # the second level has 1,925 pixels
SLIDE = np.random.default_rng(0).integers(0, 256, (HIGH, WIDE, 3), dtype=np.uint8)


def spacing(micrometres: float) -> Sequence:
    measures, group = Dataset(), Dataset()
    measures.PixelSpacing = [micrometres / 1000] * 2
    group.PixelMeasuresSequence = Sequence([measures])
    return Sequence([group])


@pytest.fixture(scope="session")
def files(make_slide) -> list[bytes]:
    return [
        make_slide(SLIDE[::step, ::step], SharedFunctionalGroupsSequence=spacing(0.25 * step))
        for step in (1, 2, 4)
    ]


def test_tiles_make_one_picture_and_are_no_frames(files, make_slide):
    assert count_frames(files[0]) == 1
    assert slide_size(files[0]) == (HIGH, WIDE)
    image = read_image(files[0])
    np.testing.assert_array_equal(image.pixels, SLIDE)
    assert (image.frames, image.full, image.size) == (1, None, (HIGH, WIDE))
    grey = SLIDE[..., 0].astype(np.uint16) * 16
    deep = read_image(make_slide(grey, RescaleSlope=2, RescaleIntercept=-10), keep_grey=True)
    assert deep.grey is not None
    np.testing.assert_array_equal(
        deep.grey.lowest + (deep.grey.codes - 1.0) * deep.grey.step, 2.0 * grey - 10
    )


def test_the_header_that_is_kept_still_says_how_the_tiles_lie(files):
    np.testing.assert_array_equal(read_image(pixels_only(files[0])).pixels, SLIDE)


def test_files_of_a_slide_are_put_in_order_of_their_size(files):
    mixed = [files[2], files[0], files[1]]
    assert group_series(mixed) == [[1, 2, 0]]
    assert slide_copies(mixed) == [1, 2, 0]
    assert slide_copies([files[0], files[0]]) == [0]


@pytest.mark.parametrize(
    "elements",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "LABEL", "NONE"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "OVERVIEW", "NONE"]},
        {"ImageType": ["DERIVED", "PRIMARY", "THUMBNAIL", "RESAMPLED"], "SpecimenLabelInImage": "YES"},
    ],
)
def test_the_label_of_the_glass_is_no_copy_and_is_not_read(files, make_slide, elements):
    label = make_slide(SLIDE[:20, :30], **elements)
    if "SpecimenLabelInImage" not in elements:
        assert group_series([files[1], label, files[0]]) == [[2, 0], [1]]
    for read in (read_image, count_frames, pixels_only):
        with pytest.raises(SlideLabelError, match="may name the patient"):
            read(label)


def test_the_tissue_itself_is_read_whatever_its_kind_is_called(make_slide, make_dicom):
    for kind in ("VOLUME", "THUMBNAIL"):
        assert count_frames(make_slide(SLIDE, ImageType=["ORIGINAL", "PRIMARY", kind, "NONE"])) == 1
    other = make_dicom(
        np.zeros((8, 8), np.uint16), Modality="CT", ImageType=["DERIVED", "SECONDARY", "LABEL"]
    )
    assert count_frames(other) == 1


def test_sizes_of_a_slide_are_one_picture_among_other_files(files, make_slide, tmp_path):
    other = make_slide(SLIDE, SeriesInstanceUID="1.2.4")
    mixed = [b"no DICOM", files[2], other, files[0], files[0], files[1]]
    assert join_slides(mixed) == [[0], [3, 5, 1], [2], [4]]
    for number, data in enumerate(mixed):
        (tmp_path / f"{number}").write_bytes(data)
    paths = [tmp_path / f"{number}" for number in range(len(mixed))]
    assert join_slides(paths) == join_slides(mixed)
    assert slide_files(paths[3]) == [paths[3], paths[5], paths[1]]
    assert slide_files(paths[5]) == [paths[5], paths[1]]
    assert slide_files(paths[0]) == [paths[0]]
    assert slide_files(paths[2]) == [paths[2]]
    assert slide_files(tmp_path / "missing") == [tmp_path / "missing"]
    np.testing.assert_array_equal(
        read_image(paths[3], limits=LIMITS, copies=[paths[5]]).pixels, SLIDE[::2, ::2]
    )


def test_slices_are_no_slide(make_dicom):
    other = make_dicom(np.zeros((8, 8), np.uint16))
    assert slide_copies([other]) == []
    assert slide_copies([b"no DICOM"]) == []


def test_the_level_that_fits_is_shown_and_a_region_comes_at_full_size(files):
    first, *copies = files
    image = read_image(first, limits=LIMITS, copies=copies)
    np.testing.assert_array_equal(image.pixels, SLIDE[::2, ::2])
    assert image.size == (HIGH, WIDE)
    assert image.notes[:2] == (
        "The picture has 110 × 70 pixels, too many to be read at once; shown is level 2 of 3, "
        "55 × 35 pixels.",
        "A pixel is 0.25 µm wide at full size and 0.5 µm as shown.",
    )
    region, notes = read_region(first, Box(20, 60, 40, 50), limits=LIMITS, copies=copies)
    np.testing.assert_array_equal(region, SLIDE[20:60, 60:110])
    assert notes == ("The region was read at full size.", "A pixel of it is 0.25 µm wide.")
    region, notes = read_region(first, Box(0, 0, HIGH, WIDE), limits=LIMITS, copies=copies)
    np.testing.assert_array_equal(region, SLIDE[::2, ::2])
    assert "read at level 2 of 3." in notes[0]
    assert notes[1] == "A pixel of it is 0.5 µm wide."


def test_without_a_copy_that_fits_it_is_too_large(files):
    with pytest.raises(ImageTooLargeError, match="110 × 70 pixels"):
        read_image(files[0], limits=LIMITS)
    with pytest.raises(ImageTooLargeError):
        read_region(files[0], Box(0, 0, HIGH, WIDE), limits=LIMITS)


@given(st.integers(0, HIGH - 1), st.integers(0, WIDE - 1), st.data())
def test_any_region_is_that_part_of_the_array(files, top, left, data):
    box = Box(top, left, data.draw(st.integers(1, HIGH - top)), data.draw(st.integers(1, WIDE - left)))
    region, _ = read_region(files[0], box)
    np.testing.assert_array_equal(region, box.cut(SLIDE))


@pytest.mark.parametrize(
    "elements",
    [
        {"DimensionOrganizationType": "TILED_SPARSE"},
        {"NumberOfFrames": 3},
        {"TotalPixelMatrixRows": 0},
        {"TotalPixelMatrixRows": 5000},
        {"TotalPixelMatrixColumns": None},
    ],
)
def test_frames_that_make_no_full_picture_stay_frames(make_slide, elements):
    data = make_slide(SLIDE, **elements)
    assert slide_size(data) is None
    assert count_frames(data) == elements.get("NumberOfFrames", 12)
    np.testing.assert_array_equal(read_image(data, frame=1).pixels, SLIDE[:TILE, TILE : 2 * TILE])


def test_an_older_file_that_does_not_say_how_its_tiles_lie_is_read_where_they_fill_the_picture(make_slide):
    data = make_slide(SLIDE, DimensionOrganizationType=None)
    np.testing.assert_array_equal(read_image(data).pixels, SLIDE)
    planes = make_slide(SLIDE, DimensionOrganizationType=None, NumberOfFrames=6)
    assert count_frames(planes) == 6
