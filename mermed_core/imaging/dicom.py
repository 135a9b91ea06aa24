"""DICOM files to RGB pixels: every transfer syntax that pydicom's plug-ins decode, windowed as the file says.

Only the elements that describe the picture are read at all, so that nothing of the patient can reach a log, a
warning or a note.
"""

import io
import math
import zlib
from typing import BinaryIO

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.filereader import read_dataset, read_preamble
from pydicom.multival import MultiValue
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import as_pixel_options
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from mermed_core.errors import (
    DamagedImageError,
    ImageTooLargeError,
    NoPixelsError,
    UnsupportedFormatError,
)
from mermed_core.imaging.dicom_modality import header_modality
from mermed_core.imaging.jpeg_headers import CUT_OFF, jpeg2000_size, jpeg_size
from mermed_core.imaging.limits import Limits, check_frame, check_size
from mermed_core.imaging.windowing import (
    look_up,
    scale_to_bytes,
    stretch_to_bytes,
    window_to_bytes,
)

NO_PICTURE = (
    "This DICOM file holds no picture (it is a report or a plan, say). Choose an image of the series."
)

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_KEYWORDS = [
    *_PIXELS,
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    *("Modality", "BodyPartExamined"),
    *("Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PlanarConfiguration"),
    *("PhotometricInterpretation", "PresentationLUTShape", "BurnedInAnnotation"),
    *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit"),
    *("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"),
    *("WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence"),
    *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in ("Red", "Green", "Blue")),
    *(f"{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in ("Red", "Green", "Blue")),
]


def count_dicom_frames(file: BinaryIO, limits: Limits) -> int:
    """Returns how many frames an open DICOM file holds, from its header alone.

    Raises:
        ImageError: no picture, more than can be read, or damaged.
    """
    check_deflated(file, limits)
    file.seek(0)
    tags: list[str] = ["Rows", "Columns", "NumberOfFrames"]
    dataset = pydicom.dcmread(file, force=True, stop_before_pixels=True, specific_tags=tags)
    if not (_number(dataset, "Rows") and _number(dataset, "Columns")):
        raise NoPixelsError(NO_PICTURE)
    return max(1, int(_number(dataset, "NumberOfFrames") or 1))


def read_dicom(
    data: bytes, frame: int, limits: Limits
) -> tuple[np.ndarray, int, tuple[str, ...], str | None]:
    """Returns pixels (height, width, 3) uint8 of a frame, how many frames, notes, and the header's modality.

    Raises:
        ImageError: no pixels, too large, no such frame, compressed in a way that is not read, or damaged.
    """
    dataset = _parse(data, limits)
    frames = _check_header(dataset, frame, limits)
    values = _decode(dataset, frame)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
    if values.ndim == 2:
        grey, note = _grey(values, dataset, frame)
        pixels, notes = np.repeat(grey[:, :, None], 3, axis=2), (note,)
    elif values.shape[2] == 3:
        pixels, notes = _colour(values, dataset), ()
    else:
        raise UnsupportedFormatError(
            "The DICOM file's colours are not red, green and blue. Export it as RGB."
        )
    if frames > 1:
        notes = (*notes, f"Frame {frame + 1} of {frames} is shown.")
    if str(dataset.get("BurnedInAnnotation") or "").strip().upper() == "YES":
        notes = (*notes, "The file says that text is burned into the picture: it may name the patient.")
    modality = header_modality(str(dataset.get("Modality") or ""), str(dataset.get("BodyPartExamined") or ""))
    return pixels, frames, notes, modality


def _parse(data: bytes, limits: Limits) -> pydicom.FileDataset:
    check_deflated(io.BytesIO(data), limits)
    dataset = pydicom.dcmread(io.BytesIO(data), force=True, specific_tags=list(_KEYWORDS))
    if "TransferSyntaxUID" not in dataset.file_meta:  # pydicom went by the look of the first element
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
    return dataset


def check_deflated(file: BinaryIO, limits: Limits) -> None:
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


def _check_header(dataset: Dataset, frame: int, limits: Limits) -> int:
    """Returns the number of frames; the header must describe a picture within the limits."""
    height, width = _number(dataset, "Rows"), _number(dataset, "Columns")
    held = any(dataset.get(name) for name in _PIXELS)
    if not height or not width:
        if held:
            raise DamagedImageError("The DICOM file does not say how large its picture is. Export it again.")
        raise NoPixelsError(NO_PICTURE)
    if not held:
        raise DamagedImageError("The DICOM file ends before its picture. Export or send it again.")
    frames = max(1, int(_number(dataset, "NumberOfFrames") or 1))
    check_frame(frame, frames, limits)
    check_size(int(width), int(height), limits)
    dataset.NumberOfFrames = frames  # what was not a number would stop the decoder
    return frames


def _decode(dataset: pydicom.FileDataset, frame: int) -> np.ndarray:
    """Returns the stored values of one frame, (height, width) or with samples last; YBR becomes RGB."""
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise UnsupportedFormatError(
            "The DICOM file is compressed in a way that is not read here (it is a film, say). "
            "Export its frames uncompressed or as JPEG 2000."
        ) from error
    options = as_pixel_options(dataset)
    if decoder.is_native:
        return decoder.as_array(dataset, index=frame, **options)[0]
    if syntax != RLELossless:
        _check_codestream(dataset, syntax, frame, options)
    for plugin in _plugins(syntax):
        if plugin not in decoder.available_plugins:
            continue
        try:
            return decoder.as_array(dataset, index=frame, decoding_plugin=plugin, **options)[0]
        except BaseException as error:
            # The RLE plug-in's panic on a broken stream is no Exception.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
    raise DamagedImageError(CUT_OFF)


def _plugins(syntax: UID) -> tuple[str, ...]:
    """Returns the decoders to try. GDCM is none of them: a lying header makes it read beyond its memory."""
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        return ("pillow", "pylibjpeg")  # Pillow's is the hardened one; the other knows 12 bits
    return ("pyjpegls", "pylibjpeg")


def _check_codestream(dataset: Dataset, syntax: UID, frame: int, options: dict) -> None:
    """Holds a compressed frame's own size against the header's, for decoders trust the one or the other."""
    stream = get_frame(
        dataset.PixelData,
        frame,
        number_of_frames=options["number_of_frames"],
        extended_offsets=options.get("extended_offsets"),
    )
    size = jpeg2000_size(stream) if syntax in JPEG2000TransferSyntaxes else jpeg_size(stream)
    if size != (dataset.Rows, dataset.Columns, dataset.SamplesPerPixel):
        raise DamagedImageError(
            "The DICOM file's header and its compressed picture disagree about the size. Export it again."
        )


def _colour(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    if values.dtype.kind != "u":
        return scale_to_bytes(values, float(values.min()), float(values.max()))
    palette = dataset.PhotometricInterpretation == "PALETTE COLOR"
    bits = values.dtype.itemsize * 8 if palette else int(dataset.BitsStored)
    return scale_to_bytes(values, 0, 2**bits - 1)


def _grey(values: np.ndarray, dataset: Dataset, frame: int) -> tuple[np.ndarray, str]:
    """Returns grey values (height, width) uint8 through rescale and window, with how it was done in words."""
    rescaled, padding = _rescaled(values, dataset, frame), _padding(values, dataset)
    grey, note = _windowed(rescaled, dataset, frame)
    if grey is None and values.dtype == np.uint8 and dataset.BitsStored == 8 and (rescaled == values).all():
        grey, note = values, f"{note} grey values are shown as they are stored."
    elif grey is None:
        grey = stretch_to_bytes(np.where(padding, np.nan, rescaled))
        note = f"{note} grey values were stretched from the darkest to the brightest 0.5 %."
    if dataset.PhotometricInterpretation == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE":
        grey = 255 - grey
    return np.where(padding, np.uint8(0), grey), note


def _rescaled(values: np.ndarray, dataset: Dataset, frame: int) -> np.ndarray:
    """Returns stored values in their unit (such as Hounsfield), float64."""
    macro = _functional_group(dataset, frame, "PixelValueTransformationSequence")
    if macro is None and dataset.get("ModalityLUTSequence"):
        return _look_up(values, dataset.ModalityLUTSequence[0], dataset).astype(np.float64)
    holder = macro or dataset
    # A slope of zero would leave nothing of the picture; it is written where none is meant.
    return values * (_number(holder, "RescaleSlope") or 1.0) + (_number(holder, "RescaleIntercept") or 0.0)


def _padding(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Returns where the header says that there is no image, as booleans of the shape of the values."""
    value, limit = _number(dataset, "PixelPaddingValue"), _number(dataset, "PixelPaddingRangeLimit")
    if value is None or values.dtype.kind == "f":
        return np.zeros(values.shape, bool)
    # Written unsigned for signed pixels often enough: the cast wraps.
    bounds = np.array([value, value if limit is None else limit]).astype(np.int64).astype(values.dtype)
    return (values >= bounds.min()) & (values <= bounds.max())


def _windowed(values: np.ndarray, dataset: Dataset, frame: int) -> tuple[np.ndarray | None, str]:
    """Returns grey values as the file wants them shown, or None and the first half of a note why not."""
    holder = _functional_group(dataset, frame, "FrameVOILUTSequence") or dataset
    centre, width = _number(holder, "WindowCenter"), _number(holder, "WindowWidth")
    function = str(holder.get("VOILUTFunction") or "LINEAR").strip().upper()
    if dataset.get("VOILUTSequence"):
        shown = _look_up(values, dataset.VOILUTSequence[0], dataset)
        # The bits that the table claims are often more than it uses, which would leave the picture dark.
        grey, note = (
            scale_to_bytes(shown, 0, float(shown.max())),
            "Shown through the file's own grey-scale table.",
        )
    elif centre is None or width is None or width < (1 if function == "LINEAR" else 1e-9):
        return None, "The file states no window;"
    else:
        grey = window_to_bytes(values, centre, width, function)
        note = f"Shown through the file's own window (centre {centre:g}, width {width:g})."
    if grey.min() == grey.max() and values.min() < values.max():
        return None, "Through the file's own window nothing is seen;"
    return grey, note


def _look_up(values: np.ndarray, item: Dataset, dataset: Dataset) -> np.ndarray:
    """Sends values through a LUT item; pydicom's own loses positions above 255 where entries have 8 bits."""
    count, first = int(item.LUTDescriptor[0]) or 2**16, int(item.LUTDescriptor[1])
    if first >= 2**15 and values.min() < 0:
        first -= 2**16  # meant signed: the rescaled values are
    entries = item.LUTData
    if isinstance(entries, bytes):
        order = "<" if dataset.original_encoding[1] else ">"
        entries = np.frombuffer(entries, np.uint8 if len(entries) < 2 * count else f"{order}u2")
    return look_up(values, first, np.asarray(entries)[:count])


def _functional_group(dataset: Dataset, frame: int, name: str) -> Dataset | None:
    """Returns a macro of an enhanced multi-frame object for one frame, or what all frames share."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for group in [*per_frame[frame : frame + 1], *shared]:
        if group.get(name):
            return group[name].value[0]
    return None


def _number(dataset: Dataset, keyword: str) -> float | None:
    """Returns an element's first value as a number, None where it states none that can be read."""
    try:
        value = dataset.get(keyword)
        number = float(value[0] if isinstance(value, MultiValue) else value)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
