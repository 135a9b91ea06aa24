import io
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest

from mermed_core.errors import ImageError
from mermed_core.imaging.dicom_pixels_only import pixels_only
from mermed_core.imaging.reader import looks_like_image, read_image

FILES = sorted(path for path in (Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))
WORDS = ("PatientName", "PatientID", "StudyInstanceUID", "SOPInstanceUID", "InstitutionName", "StudyDate")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_shows_the_same_without_its_header_and_names_nobody(path):
    try:
        whole = read_image(path)
    except ImageError:
        pytest.skip("no picture")
    data = pixels_only(path.read_bytes())
    bare = read_image(data)
    np.testing.assert_array_equal(bare.pixels, whole.pixels)
    assert (bare.notes, bare.frames, bare.header_modality) == (
        whole.notes,
        whole.frames,
        whole.header_modality,
    )
    header = pydicom.dcmread(path, force=True)
    left = pydicom.dcmread(io.BytesIO(data), force=True)
    for word in WORDS:
        assert word not in left
        assert word not in left.file_meta
        said = str(header.get(word) or "").encode()
        assert len(said) < 8 or said not in data
    assert looks_like_image(data) == "DICOM"


def test_what_stands_deeper_than_the_first_level_goes_too():
    inner, outer = pydicom.Dataset(), pydicom.Dataset()
    inner.RescaleSlope, inner.RescaleIntercept, inner.PatientName = 1, -1024, "Doe^Jane"
    outer.PixelValueTransformationSequence, outer.PatientID = [inner], "4711-Secret"
    path = next(each for each in FILES if each.name == "CT_small.dcm")
    header = pydicom.dcmread(path)
    header.SharedFunctionalGroupsSequence = [outer]
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header.save_as(buffer)
    data = pixels_only(buffer.getvalue())
    assert b"Doe" not in data
    assert b"4711" not in data
    shared = pydicom.dcmread(io.BytesIO(data), force=True).SharedFunctionalGroupsSequence[0]
    assert shared.PixelValueTransformationSequence[0].RescaleIntercept == -1024
