"""The edges of windows and tables in DICOM, where a picture would go wrong without a word."""

import numpy as np
import pytest
from pydicom.dataset import Dataset

from mermed_core.imaging.reader import MedicalImage, read_image

VALUES = np.arange(0, 256, dtype=np.uint16).reshape(16, 16)


def shown(image: MedicalImage) -> np.ndarray:
    return image.pixels[..., 0].astype(float)


def table(count: int, first: int, entries: np.ndarray) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [count, first, 16])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def test_one_frame_is_not_numbered(make_dicom):
    assert len(read_image(make_dicom(VALUES)).notes) == 1


@pytest.mark.parametrize(("function", "used"), [("LINEAR", False), ("LINEAR_EXACT", True), ("SIGMOID", True)])
def test_a_window_narrower_than_one_is_only_for_the_exact_functions(make_dicom, function, used):
    stated = {"RescaleSlope": 0.004, "RescaleIntercept": 0, "VOILUTFunction": function}
    image = read_image(make_dicom(VALUES, WindowCenter=0.5, WindowWidth=0.5, **stated))
    assert ("own window" in image.notes[0]) == used
    values = VALUES * 0.004
    low, high = np.percentile(values, (0.5, 99.5))
    expected = {
        "LINEAR": np.clip((values - low) / (high - low), 0, 1) * 255,
        "LINEAR_EXACT": np.clip((values - 0.25) / 0.5, 0, 1) * 255,
        "SIGMOID": 255 / (1 + np.exp(-4 * (values - 0.5) / 0.5)),
    }
    np.testing.assert_allclose(shown(image), expected[function], atol=0.51)


def test_the_narrowest_linear_window_is_a_threshold(make_dicom):
    image = read_image(make_dicom(VALUES, WindowCenter=100, WindowWidth=1))
    np.testing.assert_array_equal(shown(image), np.where(VALUES > 99.5, 255, 0))


def test_a_constant_picture_keeps_the_grey_of_its_window(make_dicom):
    image = read_image(make_dicom(np.full((8, 8), 100, np.uint16), WindowCenter=101, WindowWidth=201))
    assert "own window" in image.notes[0]
    np.testing.assert_allclose(shown(image), (99.5 / 200) * 255, atol=1)


def test_a_table_of_65536_entries_states_its_number_as_zero(make_dicom):
    values = (np.arange(256) * 257).astype(np.uint16).reshape(16, 16)
    image = read_image(make_dicom(values, VOILUTSequence=[table(0, 0, np.arange(65535, -1, -1))]))
    np.testing.assert_allclose(shown(image), 255 - values / 257, atol=0.51)


@pytest.mark.parametrize("first", [100, 40000])
def test_values_below_a_table_take_its_first_entry_and_above_its_last(make_dicom, first):
    values = (VALUES + first - 100).astype(np.uint16)
    image = read_image(make_dicom(values, VOILUTSequence=[table(50, first, np.arange(1, 51))]))
    expected = np.clip(VALUES.astype(int) - 100, 0, 49) + 1
    np.testing.assert_allclose(shown(image), expected / 63 * 255, atol=0.51)  # 50 needs six bits


def test_a_table_that_uses_few_of_its_bits_is_not_dark(make_dicom):
    image = read_image(make_dicom(VALUES, VOILUTSequence=[table(256, 0, np.arange(256))]))
    np.testing.assert_array_equal(shown(image), VALUES)
    assert "table" in image.notes[0]


def test_a_table_counts_before_a_window(make_dicom):
    stated = {"WindowCenter": 10, "WindowWidth": 5, "VOILUTSequence": [table(256, 0, np.arange(255, -1, -1))]}
    np.testing.assert_array_equal(shown(read_image(make_dicom(VALUES, **stated))), 255 - VALUES)
