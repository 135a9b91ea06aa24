"""The DICOM elements that describe a picture, and no others: nothing of the patient can leave this file.

Only the elements listed here are read at all, so that nothing else can reach a log, a warning or a note.
"""

import io
import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from mermed_core.errors import DamagedImageError, ImageTooLargeError, SlideLabelError
from mermed_core.imaging.dicom_without_picture import without_picture
from mermed_core.imaging.kinds import HEAD_BYTES, image_kind
from mermed_core.imaging.limits import Limits, check_frame, check_size

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_COLOURS = ("Red", "Green", "Blue")
MATRIX = ("TotalPixelMatrixRows", "TotalPixelMatrixColumns", "DimensionOrganizationType")
"""What says that the frames of a file are the tiles of one picture."""
_KEYWORDS = [
    *PIXELS,
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("Modality", "BodyPartExamined"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration"),
    *MATRIX,
    *("PhotometricInterpretation", "PresentationLUTShape", "BurnedInAnnotation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *("PixelAspectRatio", "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *("ICCProfile", "OpticalPathSequence"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in _COLOURS),
    *(f"{colour}PaletteColorLookupTableData" for colour in _COLOURS),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in _COLOURS),
]
_OVERLAY_ROWS = [0x60000010 + 0x20000 * number for number in range(16)]
PICTURE_TAGS = [
    int(tag) for keyword in _KEYWORDS if (tag := tag_for_keyword(keyword)) is not None
] + _OVERLAY_ROWS
GLASS = ("ImageType", "SpecimenLabelInImage", "Modality")
"""What says that a file shows the glass of a slide instead of what lies on it."""
_OBJECT_TAGS = [
    int(tag) for keyword in (*GLASS, "SOPClassUID") if (tag := tag_for_keyword(keyword)) is not None
]
_LABEL = (
    "This is the label of a slide, or an overview of its glass: it may name the patient and is not read. "
    "Choose an image of the tissue."
)
_CUT_OFF = "The DICOM file ends before its picture. Export or send it again."


def parse_dicom(data: bytes, limits: Limits) -> pydicom.FileDataset:
    """Returns the elements of a file that describe its picture; the transfer syntax is always stated.

    Raises:
        SlideLabelError: it shows the label of a slide.
        ImageTooLargeError: it unpacks to more than can be read.
        DamagedImageError: it ends within its picture.
    """
    _check_deflated(io.BytesIO(data), limits)
    dataset = pydicom.dcmread(io.BytesIO(data), force=True, specific_tags=PICTURE_TAGS + _OBJECT_TAGS)
    if shows_glass(dataset):
        raise SlideLabelError(_LABEL)
    # Of a file that ends within a compressed picture pydicom returns nothing at all.
    if not dataset and stated(data, ("Rows",)):
        raise DamagedImageError(_CUT_OFF)
    if "TransferSyntaxUID" not in dataset.file_meta:  # pydicom went by the look of the first element
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def count_dicom_frames(file: BinaryIO, limits: Limits) -> int:
    """Returns how many frames an open DICOM file holds, from its header alone.

    Raises:
        ImageError: no picture, more than can be read, or damaged.
    """
    _check_deflated(file, limits)
    file.seek(0)
    tags: list[str] = ["Rows", "Columns", "NumberOfFrames", "SOPClassUID", *MATRIX, *GLASS]
    dataset = pydicom.dcmread(file, force=True, stop_before_pixels=True, specific_tags=tags)
    if shows_glass(dataset):
        raise SlideLabelError(_LABEL)
    if not (number(dataset, "Rows") and number(dataset, "Columns")):
        raise without_picture(dataset)
    return _frames(dataset)


def stated(source: bytes | Path, keywords: Iterable[str]) -> Dataset | None:
    """Returns some elements of a DICOM file; None for another file, or a header that is damaged."""
    tags: list[str] = list(keywords)
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            if image_kind(file.read(HEAD_BYTES)) != "DICOM":
                return None
            file.seek(0)
            return pydicom.dcmread(file, force=True, stop_before_pixels=True, specific_tags=tags)
    except Exception:  # the reader of the picture says what is wrong
        return None


def check_header(dataset: pydicom.FileDataset, frame: int, limits: Limits) -> int:
    """Returns the number of frames; the header must describe a picture within the limits."""
    height, width = number(dataset, "Rows"), number(dataset, "Columns")
    held = any(dataset.get(name) for name in PIXELS)
    if not height or not width:
        if held:
            raise DamagedImageError("The DICOM file does not say how large its picture is. Export it again.")
        raise without_picture(dataset)
    if not held:
        raise DamagedImageError(_CUT_OFF)
    frames = _frames(dataset)
    check_frame(frame, frames, limits)
    check_size(int(width), int(height), limits)
    return frames


def shows_glass(dataset: Dataset) -> bool:
    """Tells whether a picture of a slide is of its label or of the whole glass, label included.

    Source: DICOM PS3.3, C.8.12.4.1.1 (value 3 of the image type) and C.8.12.4 (specimen label in image).
    """
    if text(dataset, "Modality") not in ("SM", ""):
        return False
    kind = text(dataset, "ImageType")
    labelled = text(dataset, "SpecimenLabelInImage") == "YES"
    return "LABEL" in kind or "OVERVIEW" in kind or (labelled and "VOLUME" not in kind)


def number(dataset: Dataset, keyword: str, position: int = 0) -> float | None:
    """Returns one value of an element as a number, None where it states none that can be read."""
    try:
        value = dataset.get(keyword)
        if isinstance(value, MultiValue):
            value = value[position]
        elif position:
            return None
        found = float(value)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def text(dataset: Dataset, keyword: str) -> str:
    """Returns an element in capitals without blanks around it, empty where it is missing."""
    try:
        return str(dataset.get(keyword) or "").strip(" \0").upper()
    except ValueError:
        return ""


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Returns the items of a sequence, none where it is missing or no sequence."""
    value = dataset.get(keyword)
    return list(value) if isinstance(value, Sequence) else []


def has_overlay(dataset: Dataset) -> bool:
    """Tells whether lines or text lie over the picture, in a plane of their own or in its unused bits."""
    return any(tag in dataset for tag in _OVERLAY_ROWS)


def functional_group(dataset: Dataset, frame: int, macro: str) -> Dataset | None:
    """Returns a macro of an enhanced multi-frame object for one frame, or what all frames share."""
    per_frame = items(dataset, "PerFrameFunctionalGroupsSequence")
    for group in [*per_frame[frame : frame + 1], *items(dataset, "SharedFunctionalGroupsSequence")]:
        found = items(group, macro)
        if found:
            return found[0]
    return None


@dataclass(frozen=True)
class TileGrid:
    """A picture whose tiles are the frames of a file, row by row, as microscopes of slides write it.

    Source: DICOM PS3.3, C.7.6.17.3 (TILED_FULL).

    Attributes:
        height: of the picture in pixels; the tiles at its end may reach beyond it.
        width: of the picture in pixels.
        tile_height: in pixels.
        tile_width: in pixels.
    """

    height: int
    width: int
    tile_height: int
    tile_width: int

    @property
    def down(self) -> int:
        """How many tiles lie below each other."""
        return -(-self.height // self.tile_height)

    @property
    def across(self) -> int:
        """How many tiles lie beside each other."""
        return -(-self.width // self.tile_width)


def tile_grid(dataset: Dataset) -> TileGrid | None:
    """Returns how the frames of a file make one picture, None where each is one of its own."""
    stated = [int(number(dataset, keyword) or 0) for keyword in (*MATRIX[:2], "Rows", "Columns")]
    if min(stated) < 1:
        return None
    grid = TileGrid(*stated)
    tiles, frames = grid.down * grid.across, stored_frames(dataset)
    organised = text(dataset, "DimensionOrganizationType")
    # Further focal planes and optical paths follow the tiles of the first.
    full = frames >= tiles if organised == "TILED_FULL" else not organised and frames == tiles > 1
    return grid if full else None


def stored_frames(dataset: Dataset) -> int:
    """Returns how many frames the file holds, whatever they are."""
    return max(1, int(number(dataset, "NumberOfFrames") or 1))


def _frames(dataset: Dataset) -> int:
    return 1 if tile_grid(dataset) else stored_frames(dataset)


def _check_deflated(file: BinaryIO, limits: Limits) -> None:
    """Inflates a deflated data set in bounded memory before pydicom would inflate it whole."""
    read_preamble(file, force=True)
    meta = read_dataset(
        file, is_implicit_VR=False, is_little_endian=True, stop_when=lambda tag, vr, length: tag.group != 2
    )
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        inflater.decompress(file.read(), limits.max_bytes)
        if inflater.unconsumed_tail:
            raise ImageTooLargeError(
                "The DICOM file unpacks to more than can be read. Export a single image."
            )
