import io
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from mermed_core.imaging.series import group_series


def slice_at(series: str, number: int, z: float | None, *, series_number: int = 1, rows: int = 8) -> bytes:
    data_set = pydicom.Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = CTImageStorage, generate_uid()
    data_set.SeriesInstanceUID, data_set.InstanceNumber = series, number
    data_set.SeriesNumber = series_number
    if z is not None:
        data_set.ImageOrientationPatient, data_set.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, z]
    data_set.ensure_file_meta()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set.set_pixel_data(np.zeros((rows, 8), np.uint16), "MONOCHROME2", 12)
    buffer = io.BytesIO()
    data_set.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_slices_are_ordered_by_where_they_lie_and_not_by_number_or_name():
    files = [slice_at("1.2", number, z) for number, z in ((1, 30.0), (2, -10.0), (3, 10.0))]
    assert group_series(files) == [[1, 2, 0]]


def test_slices_that_do_not_say_where_they_lie_are_ordered_by_number():
    files = [slice_at("1.2", 3, 5.0), slice_at("1.2", 1, 7.0), slice_at("1.2", 2, None)]
    assert sorted(map(len, group_series(files))) == [1, 2]  # without a direction it is no part of the stack
    files = [slice_at("1.2", number, None) for number in (3, 1, 2)]
    assert group_series(files) == [[1, 2, 0]]


def test_series_stand_apart_in_the_order_of_their_numbers_and_pictures_stay_where_they_were():
    files = [
        slice_at("1.2", 1, 0.0, series_number=5),
        b"\x89PNG no DICOM",
        slice_at("1.3", 1, 0.0, series_number=2),
        slice_at("1.2", 2, 1.0, series_number=5),
        slice_at("1.2", 3, 2.0, series_number=5, rows=16),  # a scout of another size
    ]
    groups = group_series(files)
    assert groups == [[2], [1], [0, 3], [4]]


def test_a_study_of_a_real_scanner_is_put_in_order():
    folder = Path(pydicom.__file__).parent / "data" / "test_files" / "dicomdirtests"
    files = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
    groups = group_series(files)
    assert sorted(position for group in groups for position in group) == list(range(len(files)))
    longest = max(groups, key=len)
    assert len(longest) > 3
    numbers = [float(pydicom.dcmread(io.BytesIO(files[position])).InstanceNumber) for position in longest]
    assert numbers in (sorted(numbers), sorted(numbers, reverse=True))
