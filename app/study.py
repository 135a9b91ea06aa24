"""What a visitor opened: pictures in memory for the visit, and what of them is looked at."""

import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from mermed_core.errors import (
    DamagedImageError,
    ImageError,
    ImageTooLargeError,
    SlideLabelError,
    UnsupportedFormatError,
)
from mermed_core.imaging.archives import is_archive, too_large, too_many, unpack
from mermed_core.imaging.dicom_pixels_only import pixels_only
from mermed_core.imaging.dicom_slide import slide_copies
from mermed_core.imaging.frames import Box
from mermed_core.imaging.grey_values import Window
from mermed_core.imaging.kinds import HEAD_BYTES, image_kind
from mermed_core.imaging.reader import MedicalImage, count_frames, read_image, read_region
from mermed_core.imaging.series import group_series
from mermed_core.imaging.slides import on_level

from .texts import input_text
from .upload_limits import upload_limits

# Decoded pictures that one visit holds, so that none is decoded twice in a row.
_DECODED_BYTES = 96 * 2**20
_SMALLEST_REGION = 16


@dataclass(frozen=True)
class Picture:
    """One picture of a file: the file's bytes, without a header that names anybody, and the frame.

    Attributes:
        data: of the file.
        frame: which of its frames it is.
        copies: files of the same slide at smaller sizes, the largest first.
    """

    data: bytes = field(repr=False)
    frame: int
    copies: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, repr=False)
class Stack:
    """Pictures that are leafed through together: the frames of a file, or the images of a series.

    Attributes:
        name: what the visitor calls it.
        pictures: in their order.
        start: the one that is shown first.
    """

    name: str
    pictures: tuple[Picture, ...]
    start: int = 0


@dataclass(frozen=True)
class View:
    """What of a study is looked at.

    Attributes:
        stack: position of the stack.
        position: of the picture in the stack.
        window: that the visitor chose; None shows what the file wants.
        inverted: dark and bright are exchanged; None does what the file wants.
        region: the part of the picture that is analysed; None for all of it.
        covered: parts that are made black, such as text.
    """

    stack: int = 0
    position: int = 0
    window: Window | None = None
    inverted: bool | None = None
    region: Box | None = None
    covered: tuple[Box, ...] = ()

    def is_part_of(self, other: "View") -> bool:
        """Returns whether it is a region of the picture that another view shows, dark and bright as there."""
        same = (self.stack, self.position, self.inverted) == (other.stack, other.position, other.inverted)
        return same and self.region is not None


class Study:
    """Everything that a visitor opened at once; thread-safe, and gone with the visit.

    Attributes:
        visit: a name that nobody can guess, by which the visitor's page asks for pictures.
        stacks: what was opened.
        notes: sentences on what was left out.
        size: bytes that are held.
    """

    def __init__(self, stacks: Sequence[Stack], notes: tuple[str, ...] = ()) -> None:
        self.visit = secrets.token_urlsafe(32)
        self.stacks = tuple(stacks)
        self.notes = notes
        held = {id(data): data for s in stacks for p in s.pictures for data in (p.data, *p.copies)}
        self.size = sum(map(len, held.values()))
        self._decoded: OrderedDict[tuple[int, int], MedicalImage] = OrderedDict()
        self._lock = Lock()
        self._limits = upload_limits().file

    def read(self, stack: int, position: int) -> MedicalImage:
        """Returns a picture with its deep grey values; the last ones stay decoded.

        Raises:
            ImageError: there is no such picture, or it cannot be read.
        """
        with self._lock:
            found = self._decoded.get((stack, position))
            if found is not None:
                self._decoded.move_to_end((stack, position))
                return found
            picture = self._picture(stack, position)
            image = read_image(
                picture.data,
                frame=picture.frame,
                limits=self._limits,
                keep_grey=True,
                copies=picture.copies,
            )
            self._decoded[stack, position] = image
            while len(self._decoded) > 1 and sum(map(_bytes, self._decoded.values())) > _DECODED_BYTES:
                self._decoded.popitem(last=False)
            return image

    def seen(self, view: View) -> MedicalImage:
        """Returns a picture as a view shows it: through its window, with what is covered black, and cut.

        Of a picture that is too large to be read whole, a region is read at its full size.

        Raises:
            ImageError: there is no such picture, or it cannot be read; or the region is too small.
        """
        image = self.read(view.stack, view.position)
        held = Box(0, 0, *image.size)  # what the pixels show
        region = held if view.region is None else _within(view.region, image.size)
        if image.full is not None and view.region is not None:
            image, held = self._enlarged(view, image, region), region
        pixels, notes = _windowed(image, view)
        if image.full is not None:
            notes = (*notes, input_text.DRAW_A_REGION)
        if view.covered:
            pixels = _blackened(pixels, view.covered, held)
            notes = (*notes, input_text.covered(len(view.covered)))
        if view.region is not None:
            pixels = pixels if held == region else np.ascontiguousarray(region.cut(pixels))
            notes = (input_text.region(region.width, region.height), *notes)
        return replace(image, pixels=pixels, notes=notes, grey=None)

    def place(self, view: View) -> tuple[int, int] | None:
        """Returns which picture of a series a view shows, from 1, and of how many; None of one file."""
        count = len(self.stacks[view.stack].pictures)
        alone = count in (1, self.read(view.stack, view.position).frames)
        return None if alone else (view.position + 1, count)

    def _enlarged(self, view: View, image: MedicalImage, region: Box) -> MedicalImage:
        """Returns a region of a picture of which only a smaller copy was read."""
        picture = self._picture(view.stack, view.position)
        values, said = read_region(
            picture.data, region, frame=picture.frame, limits=self._limits, copies=picture.copies
        )
        whole = image.full.notes if image.full else ()
        notes = (*said, *(each for each in image.notes if each not in whole))
        grey = image.grey.with_values(values) if image.grey is not None else None
        pixels = values if grey is None else grey.shown(None, grey.inverted)
        return replace(image, pixels=pixels, notes=notes, grey=grey, full=None)

    def _picture(self, stack: int, position: int) -> Picture:
        if 0 <= stack < len(self.stacks) and 0 <= position < len(self.stacks[stack].pictures):
            return self.stacks[stack].pictures[position]
        raise ImageError(input_text.NO_SUCH_PICTURE)


_OPENED: WeakValueDictionary[str, Study] = WeakValueDictionary()


def opened_study(visit: str) -> Study | None:
    """Returns the study of a visit that still lasts."""
    return _OPENED.get(visit)


def open_study(files: Sequence[tuple[str, bytes]]) -> Study:
    """Returns the study that files make: archives are unpacked, series put in order, headers dropped.

    Args:
        files: name and bytes of each.

    Raises:
        ImageError: none of them can be read, or they are too many or too large.
    """
    several = len(files) > 1 or is_archive(files[0][1])
    unpacked, closed = _unpacked(files)
    if closed and len(files) == 1:
        raise closed[0]
    found, failed = _readable(unpacked)
    failed += closed
    if not found:
        alone = failed and (not several or all(isinstance(each, SlideLabelError) for each in failed))
        raise failed[0] if alone else ImageError(input_text.NOTHING_READABLE)
    groups = group_series([data for _, data, _ in found])
    kept = [(name, _without_header(data), frames) for name, data, frames in found]
    labels = sum(isinstance(each, SlideLabelError) for each in failed)
    others = len(failed) - labels
    notes = (*([input_text.left_out(others)] if others else []), *([input_text.LABELS] if labels else []))
    study = Study([_stack([kept[position] for position in group]) for group in groups], notes)
    if sum(each.size for each in list(_OPENED.values())) + study.size > upload_limits().visits:
        raise ImageTooLargeError(input_text.TOO_BUSY)
    _OPENED[study.visit] = study
    return study


def view_of(asked: Any) -> View:
    """Returns the view that the page asks for.

    Args:
        asked: a dictionary with the names of `View`; a window as centre, width and function, a box as top,
            left, height and width.

    Raises:
        ImageError: it is none.
    """
    try:
        window = asked.get("window")
        region = asked.get("region")
        inverted = asked.get("inverted")
        view = View(
            int(asked["stack"]),
            int(asked["position"]),
            None if window is None else _window(window),
            None if inverted is None else bool(inverted),
            None if region is None else _box(region),
            tuple(_box(each) for each in asked.get("covered") or ())[:64],
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ImageError(input_text.NO_SUCH_PICTURE) from error
    return view


def _window(asked: dict[str, Any]) -> Window:
    centre, width, function = float(asked["centre"]), float(asked["width"]), str(asked["function"])
    if not (np.isfinite(centre) and np.isfinite(width) and width > 0):
        raise ValueError("no window")
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise ValueError("no function")
    return Window(centre, max(width, 1.0) if function == "LINEAR" else width, function)


def _box(asked: dict[str, Any]) -> Box:
    return Box(*(int(asked[side]) for side in ("top", "left", "height", "width")))


def _within(box: Box, shape: tuple[int, ...]) -> Box:
    """Returns the part of a box that lies in a picture; raises ImageError where too little is left."""
    top, left = max(0, box.top), max(0, box.left)
    bottom, right = min(shape[0], box.top + box.height), min(shape[1], box.left + box.width)
    if min(bottom - top, right - left) < min(_SMALLEST_REGION, *shape[:2]):
        raise ImageError(input_text.REGION_TOO_SMALL)
    return Box(top, left, bottom - top, right - left)


def _windowed(image: MedicalImage, view: View) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns pixels as the visitor wants grey values shown, and the notes on them."""
    grey, asked = image.grey, view.inverted
    if grey is not None and (view.window is not None or asked not in (None, grey.inverted)):
        inverted = grey.inverted if asked is None else asked
        notes = tuple(note for note in image.notes if note not in grey.notes)
        return grey.shown(view.window, inverted), (input_text.chosen_window(view.window, inverted), *notes)
    if grey is None and asked:
        return 255 - image.pixels, (input_text.INVERTED, *image.notes)
    return image.pixels, image.notes


def _blackened(pixels: np.ndarray, boxes: Sequence[Box], held: Box) -> np.ndarray:
    """Returns pixels with boxes of the picture black; they show the part of it that is held."""
    pixels = pixels.copy()
    for box in boxes:
        top, left = max(box.top, held.top), max(box.left, held.left)
        bottom = min(box.top + box.height, held.top + held.height)
        right = min(box.left + box.width, held.left + held.width)
        if bottom > top and right > left:
            inside = Box(top - held.top, left - held.left, bottom - top, right - left)
            on_level(inside, (held.height, held.width), (pixels.shape[0], pixels.shape[1])).cut(pixels)[:] = 0
    return pixels


def _unpacked(files: Sequence[tuple[str, bytes]]) -> tuple[list[tuple[str, bytes]], list[ImageError]]:
    """Returns the files, those of archives among them, and why other archives cannot be opened."""
    found: list[tuple[str, bytes]] = []
    closed: list[ImageError] = []
    limits = upload_limits().archive
    for name, data in files:
        try:
            found += unpack(data, limits) if is_archive(data) else [(name, data)]
        except (DamagedImageError, UnsupportedFormatError) as error:
            closed.append(error)
        if len(found) > limits.max_files:
            raise too_many(limits)
        if sum(len(each) for _, each in found) > limits.max_bytes:
            raise too_large(limits)
    return found, closed


def _readable(files: Sequence[tuple[str, bytes]]) -> tuple[list[tuple[str, bytes, int]], list[ImageError]]:
    """Returns name, bytes and frames of each file that is an image, and why the others are not."""
    found, failed = [], []
    for name, data in files:
        try:
            found.append((PurePath(name).name, data, count_frames(data, limits=upload_limits().file)))
        except ImageError as error:
            failed.append(error)
    return found, failed


def _without_header(data: bytes) -> bytes:
    return pixels_only(data, upload_limits().file) if image_kind(data[:HEAD_BYTES]) == "DICOM" else data


def _stack(files: Sequence[tuple[str, bytes, int]]) -> Stack:
    name, *others = (name for name, _, _ in files)
    if sizes := slide_copies([data for _, data, _ in files]):
        data, *copies = (files[position][1] for position in sizes)
        return Stack(name, (Picture(data, 0, tuple(copies)),))
    pictures = tuple(Picture(data, frame) for _, data, frames in files for frame in range(frames))
    # The middle of a series shows more than its end.
    return Stack(name, pictures, len(pictures) // 2 if others else 0)


def _bytes(image: MedicalImage) -> int:
    return image.pixels.nbytes + (0 if image.grey is None else image.grey.codes.nbytes)
