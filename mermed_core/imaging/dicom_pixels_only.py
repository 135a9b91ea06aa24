"""A DICOM file without anything but its picture: what is kept of an upload names nobody."""

import io

import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence

from mermed_core.errors import DamagedImageError
from mermed_core.imaging.dicom_header import PICTURE_TAGS, parse_dicom
from mermed_core.imaging.limits import Limits

# What items of sequences are read for; everything else in them goes.
_INNER = (
    *("PixelMeasuresSequence", "PixelSpacing"),
    *("PixelValueTransformationSequence", "RescaleSlope", "RescaleIntercept"),
    *("FrameVOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("VOILUTSequence", "LUTDescriptor", "LUTData", "ICCProfile"),
)
_DAMAGED = "The DICOM file is damaged, cut off or of a rare variant. Export or send it again."


def pixels_only(data: bytes, limits: Limits | None = None) -> bytes:
    """Returns a DICOM file with the elements that its picture is read from, and no others, at any depth.

    Raises:
        ImageError: too large, or so damaged that it cannot be written again.
    """
    whole = parse_dicom(data, limits or Limits())
    kept = Dataset()
    for element in whole:
        if element.tag in PICTURE_TAGS:
            kept.add(element)
    for element in kept:
        if isinstance(element.value, Sequence):
            element.value = Sequence([_inner(item) for item in element.value])
    implicit, little = whole.original_encoding
    buffer = io.BytesIO()
    file = FileDataset(buffer, kept, preamble=bytes(128), file_meta=FileMetaDataset())
    file.file_meta.TransferSyntaxUID = whole.file_meta.TransferSyntaxUID
    file.set_original_encoding(implicit, little)
    try:
        pydicom.dcmwrite(buffer, file, implicit_vr=implicit, little_endian=little)
    except Exception as error:  # pydicom raises anything on elements that contradict each other
        raise DamagedImageError(_DAMAGED) from error
    return buffer.getvalue()


def _inner(item: Dataset) -> Dataset:
    kept = Dataset()
    for element in item:
        if element.keyword in _INNER:
            if isinstance(element.value, Sequence):
                element.value = Sequence([_inner(each) for each in element.value])
            kept.add(element)
    return kept
