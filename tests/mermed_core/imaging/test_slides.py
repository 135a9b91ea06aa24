"""Pictures that are too large to be read whole: which copy is shown, and regions against their array."""

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from mermed_core.errors import DamagedImageError, ImageTooLargeError
from mermed_core.imaging.frames import Box
from mermed_core.imaging.limits import Limits
from mermed_core.imaging.reader import count_frames, read_image, read_region
from mermed_core.imaging.slides import fitting, on_level

HIGH, WIDE = 150, 203
LIMITS = Limits(max_pixels=8000)  # the second level has 7,500 pixels
COLOUR = np.random.default_rng(0).integers(0, 256, (HIGH, WIDE, 3), dtype=np.uint8)
DEEP = (COLOUR[..., 0].astype(np.uint16) * 16 + 1000).astype(np.uint16)


def copies(values: np.ndarray) -> list[np.ndarray]:
    return [values, values[::2, ::2], values[::4, ::4]]


def pyramid(values: np.ndarray, layout: str = "nested", **options: Any) -> bytes:
    """Returns a TIFF file whose copies are nested in its page, reduced pages, or as a scanner writes them."""
    planes = options.get("planarconfig") == "separate"
    levels = [each.transpose(2, 0, 1) if planes else each for each in copies(values)]
    options = {"photometric": "rgb" if values.ndim == 3 else "minisblack", "tile": (32, 48)} | options
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        if layout == "nested":
            file.write(levels[0], subifds=len(levels) - 1, metadata=None, **options)
            for each in levels[1:]:
                file.write(each, subfiletype=1, metadata=None, **options)
        elif layout == "reduced":
            for number, each in enumerate(levels):
                file.write(each, subfiletype=int(number > 0), metadata=None, **options)
        else:
            about = "Aperio Image Library\r\n256x256 Q=30|AppMag = 20|MPP = 0.4990"
            plain = {name: value for name, value in options.items() if name != "tile"}
            file.write(levels[0], description=about, metadata=None, **options)
            file.write(levels[2][:30], metadata=None, **plain)  # the thumbnail
            for each in levels[1:]:
                file.write(each, metadata=None, **options)
            file.write(
                np.full((40, 60, 3), 7, np.uint8), subfiletype=1, photometric="rgb", metadata=None
            )  # the label
    return buffer.getvalue()


_SIDES = st.integers(1, 400)


@given(st.tuples(_SIDES, _SIDES), st.tuples(_SIDES, _SIDES), st.data())
def test_a_region_covers_on_a_copy_what_it_touches_and_no_more(full, level, data):
    top, left = data.draw(st.integers(0, full[0] - 1)), data.draw(st.integers(0, full[1] - 1))
    height, width = data.draw(st.integers(1, full[0] - top)), data.draw(st.integers(1, full[1] - left))
    box = Box(top, left, height, width)
    part = on_level(box, full, level)
    assert on_level(box, full, full) == box
    for start, length, own_start, own_length, whole, small in (
        (top, height, part.top, part.height, full[0], level[0]),
        (left, width, part.left, part.width, full[1], level[1]),
    ):
        assert 0 <= own_start < own_start + own_length <= small
        # A pixel i of the copy covers the places from i / small to (i + 1) / small of the picture's side.
        begin, end = start * small, (start + length) * small
        assert own_start * whole <= begin < (own_start + 1) * whole
        assert (own_start + own_length - 1) * whole < end <= (own_start + own_length) * whole


def test_the_largest_level_that_fits_is_taken():
    levels = [(400, 300), (200, 150), (100, 75)]
    for most, number in ((120_000, 0), (119_999, 1), (30_000, 1), (29_999, 2), (7500, 2), (7499, None)):
        assert fitting(levels, Limits(max_pixels=most)) == number
    assert fitting(levels, Limits(max_pixels=100), Box(390, 10, 10, 10)) == 0
    assert fitting(levels, Limits(max_pixels=99), Box(390, 10, 10, 10)) == 1


@pytest.mark.parametrize("layout", ["nested", "reduced", "scanner"])
@pytest.mark.parametrize("values", [COLOUR, COLOUR[..., 0], DEEP], ids=["colour", "grey", "16 bits"])
@pytest.mark.parametrize(
    "options", [{}, {"compression": "zlib", "predictor": True}, {"tile": None, "rowsperstrip": 7}]
)
def test_the_copy_that_fits_is_shown_and_regions_come_at_full_size(layout, values, options):
    if layout == "scanner" and options.get("rowsperstrip"):
        pytest.skip("a scanner's copies are known by their tiles")
    data = pyramid(values, layout, **options)
    image = read_image(data, limits=LIMITS, keep_grey=True)
    assert (image.size, image.pixels.shape[:2]) == ((HIGH, WIDE), (75, 102))
    assert (image.frames, count_frames(data)) == (1, 1)
    assert "203 × 150 pixels" in image.notes[0]
    assert "level 2 of 3, 102 × 75 pixels" in image.notes[0]
    assert any("0.499 µm" in note for note in image.notes) == (layout == "scanner")
    assert image.full is not None
    assert image.full.notes == image.notes[: len(image.full.notes)]
    if values.ndim == 3:
        np.testing.assert_array_equal(image.pixels, copies(values)[1])
    region, (note, *_) = read_region(data, Box(90, 140, 60, 63), limits=LIMITS)
    expected = values[90:150, 140:203]
    np.testing.assert_array_equal(region if region.ndim == expected.ndim else region[..., 0], expected)
    assert note.startswith("The region was read at full size")
    region, (note, *_) = read_region(data, Box(0, 0, HIGH, WIDE), limits=LIMITS)
    assert region.shape[:2] == (75, 102)
    assert "level 2 of 3" in note


def test_a_picture_that_may_be_read_whole_is_and_its_copies_are_no_pages():
    for layout in ("nested", "reduced", "scanner"):
        image = read_image(pyramid(COLOUR, layout))
        np.testing.assert_array_equal(image.pixels, COLOUR)
        assert (image.frames, image.full, image.size) == (1, None, (HIGH, WIDE))


@given(st.integers(0, HIGH - 1), st.integers(0, WIDE - 1), st.data())
def test_any_region_is_that_part_of_the_array(top, left, data):
    box = Box(top, left, data.draw(st.integers(1, HIGH - top)), data.draw(st.integers(1, WIDE - left)))
    for file, values in FILES:
        region, _ = read_region(file, box, limits=Limits(max_pixels=HIGH * WIDE - 1))
        if box.height * box.width < HIGH * WIDE:
            np.testing.assert_array_equal(region, box.cut(values))


FILES = [
    (pyramid(COLOUR), COLOUR),
    (pyramid(COLOUR, planarconfig="separate"), COLOUR),
    (pyramid(DEEP, tile=None, rowsperstrip=16), DEEP),
]


def test_a_region_of_jpeg_tiles_is_that_part_of_what_the_decoder_gives():
    smooth = np.stack([np.add.outer(np.arange(HIGH), np.arange(WIDE)) // 2] * 3, axis=-1).astype(np.uint8)
    data = pyramid(smooth, compression="jpeg", compressionargs={"level": 95})
    region, _ = read_region(data, Box(31, 40, 50, 61), limits=LIMITS)
    np.testing.assert_array_equal(region, tifffile.imread(io.BytesIO(data), key=0)[31:81, 40:101])


def test_grey_values_of_a_region_are_seen_through_the_window_of_the_whole():
    image = read_image(pyramid(DEEP), limits=LIMITS, keep_grey=True)
    assert image.grey is not None
    np.testing.assert_array_equal(image.grey.with_values(copies(DEEP)[1]).codes, image.grey.codes)
    beyond = image.grey.with_values(np.array([[0.0, 70_000.0, np.nan]]))
    assert beyond.codes.tolist() == [[1, len(image.grey.curve) - 1, 0]]


def test_without_a_copy_that_fits_it_is_too_large():
    data = pyramid(COLOUR)
    with pytest.raises(ImageTooLargeError, match="203 × 150 pixels"):
        read_image(data, limits=Limits(max_pixels=1000))
    with pytest.raises(ImageTooLargeError):
        read_region(data, Box(0, 0, HIGH, WIDE), limits=Limits(max_pixels=1000))
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, COLOUR, photometric="rgb")  # one strip
    with pytest.raises(ImageTooLargeError):
        read_image(buffer.getvalue(), limits=LIMITS)
    with pytest.raises(ImageTooLargeError):
        read_region(buffer.getvalue(), Box(0, 0, 20, 20), limits=LIMITS)


def test_pages_of_other_sizes_are_pages_still():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        for values in (COLOUR, COLOUR[::2, ::2], COLOUR[:50, :50]):
            file.write(values, photometric="rgb", metadata=None, tile=(32, 48))
    assert count_frames(buffer.getvalue()) == 3
    np.testing.assert_array_equal(
        read_image(buffer.getvalue(), frame=2, limits=LIMITS).pixels, COLOUR[:50, :50]
    )


def test_a_turned_slide_is_shown_upright_and_has_no_regions():
    image = read_image(pyramid(COLOUR, extratags=[(274, 3, 1, 6, True)]), limits=LIMITS)
    assert image.pixels.shape[:2] == (102, 75)
    assert image.full is None


def test_a_tile_outside_the_file_is_damage():
    data = pyramid(COLOUR, compression="zlib")
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        end = max(file.pages[0].aspage().dataoffsets)
    with pytest.raises(DamagedImageError):
        read_region(data[:end], Box(100, 150, 50, 53), limits=LIMITS)


@pytest.mark.parametrize(
    ("resolution", "said"), [((20_000, 20_000), "0.5 µm"), ((72, 72), None), ((0, 0), None)]
)
def test_only_a_width_that_can_be_true_is_said(resolution, said):
    unit = "CENTIMETER" if resolution[0] > 72 else "INCH"
    data = pyramid(COLOUR, resolution=resolution, resolutionunit=unit)
    note = " ".join(read_image(data, limits=LIMITS).notes)
    assert ("µm" in note) == (said is not None)
    assert said is None or said in note
