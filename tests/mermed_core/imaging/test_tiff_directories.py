import io
import struct

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from mermed_core.errors import DamagedImageError, ImageError
from mermed_core.imaging.limits import Limits
from mermed_core.imaging.tiff_directories import count_pages


def written(values: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, values, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("big", [True, False], ids=["BigTIFF", "TIFF"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pages", [1, 3])
def test_pages_are_counted(big, order, pages):
    values = np.zeros((pages, 4, 5), np.uint16)
    data = written(values, bigtiff=big, byteorder=order, photometric="minisblack")
    assert count_pages(data, Limits()) == pages


def test_counting_stops_at_the_limit():
    data = written(np.zeros((9, 4, 5), np.uint8), photometric="minisblack")
    assert count_pages(data, Limits(max_frames=3)) == 4


def test_pages_that_lead_back_to_the_first_are_counted_once():
    data = bytearray(written(np.zeros((4, 5), np.uint8), byteorder="<", photometric="minisblack"))
    (first,) = struct.unpack_from("<L", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<L", data, first + 2 + 12 * entries, first)
    assert count_pages(bytes(data), Limits()) == 1


@pytest.mark.parametrize(
    "start",
    [
        b"II*\0" + struct.pack("<L", 1000),
        b"MM\0*" + struct.pack(">L", 1000),
        b"II+\0" + struct.pack("<HHQ", 8, 0, 1000),
        b"II+\0" + struct.pack("<HHQ", 8, 0, 2**63),
        b"MM\0+" + struct.pack(">HHQ", 8, 0, 2**64 - 1),
    ],
)
def test_a_directory_outside_the_file_is_damaged(start):
    with pytest.raises(DamagedImageError):
        count_pages(start + b"\0" * 8, Limits())


def test_values_that_together_outgrow_the_file_are_damaged():
    entry = struct.pack("<HHLL", 270, 2, 10_000, 8)
    with pytest.raises(DamagedImageError, match="overlap"):
        count_pages(b"II*\0" + struct.pack("<LH", 8, 1) + entry + b"\0" * 4, Limits())


@given(st.binary(max_size=200), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]))
def test_any_bytes_end_in_a_count_or_our_error(data, mark):
    try:
        assert count_pages(mark + data, Limits()) >= 0
    except ImageError:
        return


def directory(*entries: tuple[int, int, int, int], following: int = 0) -> bytes:
    packed = b"".join(struct.pack("<HHLL", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + packed + struct.pack("<L", following)


def test_nested_directories_count_against_the_file_and_not_as_pages():
    inner = directory((36867, 2, 2, 0))
    outer = directory((34665, 4, 1, 8 + 18))
    assert count_pages(b"II*\0" + struct.pack("<L", 8) + outer + inner, Limits()) == 1


@pytest.mark.timeout(20)
@pytest.mark.parametrize("tag", [330, 34665, 34853, 40965], ids=["copies", "EXIF", "GPS", "interoperability"])
def test_directories_that_hold_one_another_are_damaged(tag):
    entries = [(tag, 4, 1, 8)] * 50
    with pytest.raises(DamagedImageError, match="overlap"):
        count_pages(b"II*\0" + struct.pack("<L", 8) + directory(*entries), Limits())


@pytest.mark.timeout(20)
def test_copies_that_lead_back_to_their_page_are_damaged():
    start = 8 + 4 * 60
    data = b"II*\0" + struct.pack("<L", start) + struct.pack("<60L", *[start] * 60)
    with pytest.raises(DamagedImageError, match="overlap"):
        count_pages(data + directory((330, 4, 60, 8)), Limits())


def test_copies_lie_where_the_page_lists_them_and_none_is_a_page():
    data = b"II*\0" + struct.pack("<LLL", 16, 34, 0) + directory((330, 4, 2, 8)) + directory((256, 3, 1, 4))
    assert count_pages(data, Limits()) == 1
    with pytest.raises(DamagedImageError):
        count_pages(data[:-10], Limits())


def test_pages_that_share_their_entries_are_damaged():
    first = directory(*[(256, 3, 1, 1)] * 9, following=9)
    with pytest.raises(DamagedImageError):
        count_pages(b"II*\0" + struct.pack("<L", 8) + first, Limits())


SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}


@pytest.mark.parametrize("kind", SIZES)
def test_values_of_each_type_may_fill_the_file_and_no_more(kind):
    """The sizes are those of the TIFF 6.0 specification, its supplement 1 and BigTIFF."""
    fits = 800 // SIZES[kind]
    for number, whole in ((fits, True), (fits + 1, False)):
        data = (b"II*\0" + struct.pack("<L", 8) + directory((270, kind, number, 0))).ljust(800, b"\0")
        if whole:
            assert count_pages(data, Limits()) == 1
        else:
            with pytest.raises(DamagedImageError, match="overlap"):
                count_pages(data, Limits())


def test_a_last_directory_need_not_say_that_no_other_follows():
    data = b"II*\0" + struct.pack("<L", 8) + directory((256, 3, 1, 1))
    assert count_pages(data[:-4], Limits()) == 1
    with pytest.raises(DamagedImageError):
        count_pages(data[:-5], Limits())
