import io

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from mermed_core.imaging.grey_values import WINDOWS_OF_CT, GreyValues, Values, Window
from mermed_core.imaging.reader import read_image
from mermed_core.imaging.windowing import stretch_to_bytes

VALUES = np.random.default_rng(0).integers(0, 4096, (24, 32)).astype(np.uint16)


def ct(**elements) -> bytes:
    data_set = pydicom.Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = CTImageStorage, "1.2.3"
    data_set.Modality, data_set.RescaleIntercept, data_set.RescaleSlope = "CT", -1024, 1
    data_set.WindowCenter, data_set.WindowWidth = [40, -600], [400, 1500]
    for name, value in elements.items():
        setattr(data_set, name, value)
    data_set.ensure_file_meta()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set.set_pixel_data(VALUES, elements.get("PhotometricInterpretation", "MONOCHROME2"), 12)
    buffer = io.BytesIO()
    data_set.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def grey(data: bytes) -> GreyValues:
    found = read_image(data, keep_grey=True).grey
    assert found is not None
    return found


def reference(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    """DICOM PS3.3, C.11.2.1.2.1, written out."""
    share = (values - (centre - 0.5)) / (width - 1) + 0.5
    return np.rint(np.clip(share, 0, 1) * 255)


def test_ct_keeps_its_hounsfield_units_windows_and_way_of_showing():
    found = grey(ct())
    assert found.hounsfield
    assert [(each.centre, each.width) for each in found.windows] == [(40, 400), (-600, 1500)]
    values = found.lowest + (found.codes - 1.0) * found.step
    np.testing.assert_array_equal(values, VALUES.astype(float) - 1024)
    np.testing.assert_array_equal(found.shown(None, False), read_image(ct()).pixels)


@pytest.mark.parametrize("name", WINDOWS_OF_CT)
def test_a_window_shows_what_the_standard_says(name):
    window = WINDOWS_OF_CT[name]
    shown = grey(ct()).shown(Window(window.centre, window.width, "LINEAR"), False)[..., 0]
    np.testing.assert_array_equal(shown, reference(VALUES - 1024.0, window.centre, window.width))


def test_an_inverted_picture_is_shown_as_the_file_asks_and_the_other_way_round():
    data = ct(PhotometricInterpretation="MONOCHROME1")
    found = grey(data)
    assert found.inverted
    np.testing.assert_array_equal(found.shown(None, True), read_image(data).pixels)
    np.testing.assert_array_equal(found.shown(None, False), 255 - read_image(data).pixels)


def test_padding_stays_black_however_it_is_shown():
    found = grey(ct(PixelPaddingValue=int(VALUES[3, 4])))
    hidden = VALUES[3, 4] == VALUES
    for inverted in (False, True):
        assert found.shown(Window(0, 10), inverted)[hidden].max() == 0


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_of_png_and_tiff_are_kept_and_shown_stretched(kind):
    buffer = io.BytesIO()
    Image.fromarray(VALUES + 30000).save(buffer, kind)
    image = read_image(buffer.getvalue(), keep_grey=True)
    assert image.grey is not None
    np.testing.assert_array_equal(image.grey.codes - 1 + image.grey.lowest, VALUES + 30000.0)
    np.testing.assert_array_equal(image.pixels[..., 0], stretch_to_bytes(VALUES + 30000.0))
    np.testing.assert_array_equal(image.grey.shown(None, False), image.pixels)


def test_eight_bits_of_a_picture_are_only_pixels():
    buffer = io.BytesIO()
    Image.fromarray(VALUES.astype(np.uint8)).save(buffer, "PNG")
    assert read_image(buffer.getvalue(), keep_grey=True).grey is None
    assert read_image(ct()).grey is None  # unless they are asked for


def test_values_that_do_not_fit_into_16_bits_are_off_by_half_a_step_at_most():
    values = np.array([[-3.5e6, 0.25], [np.nan, 8e6]])
    found = GreyValues.of(Values(values, lambda each: np.zeros(each.shape, np.uint8)))
    assert found.codes[1, 0] == 0
    known = found.lowest + (found.codes - 1.0) * found.step
    assert np.nanmax(np.abs(np.where(found.codes > 0, known, np.nan) - values)) <= found.step / 2


def test_the_window_that_a_person_begins_with_is_about_what_is_shown():
    window = grey(ct(WindowCenter=None, WindowWidth=None)).start
    low, high = np.percentile(VALUES - 1024.0, (0.5, 99.5))
    assert abs(window.centre - window.width / 2 - low) < 20
    assert abs(window.centre + window.width / 2 - high) < 20


@pytest.mark.parametrize("most", [90, 255])
def test_bytes_that_are_shown_as_they_are_begin_with_the_window_that_leaves_them_so(most):
    values = np.arange(most + 1, dtype=np.uint8).reshape(1, -1)
    found = GreyValues.of(Values(values.astype(float), lambda known: known.astype(np.uint8)))
    assert (found.start.centre, found.start.width) == (127.5, 255)
    np.testing.assert_array_equal(found.shown(found.start, False), found.shown(None, False))
