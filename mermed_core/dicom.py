"""DICOM files to RGB pixels: every transfer syntax that pydicom's plug-ins decode, windowed as the file says.

Nothing of the header leaves this file but the pixels and sentences about them.
"""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian

from mermed_core.errors import DamagedImageError, ImageTooLargeError, NoPixelsError
from mermed_core.pixels import Limits, check_frame, check_size, scale_to_bytes, stretch_to_bytes

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
# Group length, specific character set or image type; or the group length of a file without preamble.
_FIRST_ELEMENTS = tuple(struct.pack("<HH", *tag) for tag in ((8, 0), (8, 5), (8, 8), (2, 0)))
_META_LENGTH = struct.Struct("<HH2sHI")  # element (0002,0000): group, element, "UL", 4, length of the rest


def is_dicom(data: bytes) -> bool:
    """Tells whether a file is DICOM: by its mark, or without one by its first element."""
    return data[128:132] == b"DICM" or data[:4] in _FIRST_ELEMENTS


def read_dicom(data: bytes, frame: int, limits: Limits) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """Returns one frame as pixels (height, width, 3) uint8, the number of frames, and notes for the person.

    Raises:
        ImageError: no pixels, too large, no such frame, or damaged.
    """
    _check_deflated(data, limits)
    dataset = pydicom.dcmread(io.BytesIO(data), force=True)
    if not any(name in dataset for name in _PIXELS):
        raise NoPixelsError(
            "This DICOM file holds no picture (it is a report or a plan, say). Choose an image of the series."
        )
    frames = int(dataset.get("NumberOfFrames") or 1)
    check_frame(frame, frames, limits)
    check_size(int(dataset.Columns), int(dataset.Rows), limits)
    values = pixel_array(dataset, index=frame)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
    if values.ndim == 3:
        pixels, notes = _colour_to_bytes(values), ()
    else:
        grey, note = _windowed(values, dataset, frame)
        pixels, notes = np.repeat(grey[:, :, None], 3, axis=2), (note,)
    if frames > 1:
        notes = (*notes, f"Frame {frame + 1} of {frames} is shown.")
    if str(dataset.get("BurnedInAnnotation", "")).upper() == "YES":
        notes = (*notes, "The file says that text is burned into the picture: it may name the patient.")
    return pixels, frames, notes


def _check_deflated(data: bytes, limits: Limits) -> None:
    """Inflates a deflated data set in bounded memory before pydicom would inflate it whole."""
    if DeflatedExplicitVRLittleEndian.encode() not in data[:2048] or data[128:132] != b"DICM":
        return
    group, element, _, _, length = _META_LENGTH.unpack_from(data, 132)
    if (group, element) != (2, 0):
        raise DamagedImageError("The DICOM file's header is damaged. Export it again.")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflater.decompress(data[144 + length :], limits.max_bytes)
    if inflater.unconsumed_tail:
        raise ImageTooLargeError("The DICOM file unpacks to more than can be read. Export a single image.")


def _colour_to_bytes(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    # Palettes and deep colour have 16 bits a channel, all of which count.
    return (
        scale_to_bytes(values, 0, float(np.iinfo(values.dtype).max))
        if values.dtype.kind == "u"
        else (scale_to_bytes(values, float(values.min()), float(values.max())))
    )


def _windowed(values: np.ndarray, dataset: Dataset, frame: int) -> tuple[np.ndarray, str]:
    """Returns grey values (height, width) uint8 through rescale and window, with how it was done in words."""
    rescaled = _rescaled(values, dataset, frame)
    window = _window(dataset, frame)
    if window is not None:
        grey = _apply_window(rescaled, *window)
        note = f"Shown through the file's own window (centre {window[0]:g}, width {window[1]:g})."
    elif dataset.get("VOILUTSequence"):
        table = np.asarray(dataset.VOILUTSequence[0].LUTData, dtype=np.int64)
        first = int(dataset.VOILUTSequence[0].LUTDescriptor[1])
        positions = np.clip(np.rint(rescaled).astype(np.int64) - first, 0, len(table) - 1)
        grey = scale_to_bytes(table[positions], 0, float(table.max()))
        note = "Shown through the file's own table of grey values."
    else:
        padding = dataset.get("PixelPaddingValue")
        visible = np.where(values == padding, np.nan, rescaled) if padding is not None else rescaled
        grey = stretch_to_bytes(visible)
        note = (
            "The file states no window; grey values were stretched from the darkest to the brightest 0.5 %."
        )
    inverse = (
        dataset.PhotometricInterpretation == "MONOCHROME1" or dataset.get("PresentationLUTShape") == "INVERSE"
    )
    return (255 - grey if inverse else grey), note


def _rescaled(values: np.ndarray, dataset: Dataset, frame: int) -> np.ndarray:
    macro = _functional_group(dataset, frame, "PixelValueTransformationSequence")
    if macro is not None:
        return values.astype(np.float64) * float(macro.RescaleSlope) + float(macro.RescaleIntercept)
    return np.asarray(apply_modality_lut(values, dataset), dtype=np.float64)


def _window(dataset: Dataset, frame: int) -> tuple[float, float, str] | None:
    """Returns centre, width and function of the first window that can be applied."""
    holder = _functional_group(dataset, frame, "FrameVOILUTSequence") or dataset
    centre, width = _first(holder.get("WindowCenter")), _first(holder.get("WindowWidth"))
    function = str(holder.get("VOILUTFunction") or "LINEAR")
    if centre is None or width is None or width < (1 if function == "LINEAR" else 1e-9):
        return None
    return centre, width, function


def _apply_window(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """Applies a window as DICOM PS3.3 C.11.2.1.2 defines it; returns uint8."""
    if function == "SIGMOID":
        return scale_to_bytes(1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700))), 0, 1)
    if function == "LINEAR_EXACT":
        return scale_to_bytes(values, centre - width / 2, centre + width / 2)
    low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    return scale_to_bytes(values, low, high) if width > 1 else np.where(values > low, 255, 0).astype(np.uint8)


def _functional_group(dataset: Dataset, frame: int, name: str) -> Dataset | None:
    """Returns a macro of an enhanced multi-frame object for one frame, or what all frames share."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for group in [*per_frame[frame : frame + 1], *shared]:
        if group.get(name):
            return group[name].value[0]
    return None


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, (list, tuple, MultiValue)):
        return float(value[0]) if len(value) else None
    return float(value)
