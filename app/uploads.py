"""Uploaded files: read into memory, then gone from disk before anything else happens."""

import os
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from gradio import route_utils
from gradio.route_utils import GradioUploadFile

from mermed_core.errors import DamagedImageError, ImageError
from mermed_core.imaging.codecs import encode_png
from mermed_core.imaging.overlay import fitted
from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.predictor import Predictor
from mermed_core.records import Embedding

from .made import Made
from .private_folder import private_folder
from .study import Study, View, open_study
from .texts import input_text, text

FOLDER_VARIABLE = "GRADIO_TEMP_DIR"
# The longest side that a visitor's image keeps in memory; the encoder sees far less.
KEPT_SIDE = 1536
_SHOWN_SIDE = 900  # of the picture under a heat map
# An upload under way is an empty file too until its first bytes are flushed.
_STRAY_SECONDS = 600


@dataclass(frozen=True, eq=False, repr=False)  # no log can hold it; each one opened is a change for Gradio
class Query:
    """The image that a visitor asks about, kept in memory for the visit and embedded once for all pages.

    Attributes:
        image: what the model saw, shrunk to what is needed.
        embedding: of the image; every page answers from it.
        study: everything that was opened with it.
        view: what of the study the image is.
        made: what was made for the image already.
        name: that nobody can guess, by which the visitor's page asks for the picture.
    """

    image: MedicalImage
    embedding: Embedding
    study: Study
    view: View
    made: Made = field(default_factory=Made, init=False)
    name: str = field(default_factory=lambda: secrets.token_urlsafe(32), init=False)

    def __post_init__(self) -> None:
        _OPEN[self.name] = self

    def picture(self) -> bytes:
        """Returns what the model saw as a PNG for the page."""
        return self.made.once("picture", lambda: encode_png(fitted(self.image.pixels, _SHOWN_SIDE)))

    def at_view(self, predictor: Predictor, view: View, modality: str | None = None) -> "Query":
        """Returns what another view of the study shows; raises a kind of ImageError if it cannot be read."""
        negative = self.embedding.negative if view.is_part_of(self.view) else None
        return _seen(predictor, self.study, view, modality, negative)

    def at_frame(self, predictor: Predictor, frame: int, modality: str | None = None) -> "Query":
        """Returns another picture of the same stack, from 0; raises a kind of ImageError without it."""
        return self.at_view(predictor, View(self.view.stack, frame), modality)

    def read_as(self, predictor: Predictor, modality: str | None) -> "Query":
        """Returns the same image, embedded as one of another modality; None detects it."""
        return replace(self, embedding=predictor.embed(self.image, modality=modality, earlier=self.embedding))


_OPEN: WeakValueDictionary[str, Query] = WeakValueDictionary()


def open_query(name: str) -> Query | None:
    """Returns the image of a name, as long as its visit lasts."""
    return _OPEN.get(name)


def open_upload(predictor: Predictor, path: str, modality: str | None = None) -> Query:
    """Reads and embeds an uploaded file and removes it from disk, whether it can be read or not.

    Args:
        predictor: embeds.
        path: where the file lies.
        modality: key of the modality that the visitor set; None detects it.

    Raises:
        ImageError: one of its kinds, with a sentence for the page.
    """
    return open_fetched(predictor, [(Path(path).name, take(path))], modality)


def open_sent(predictor: Predictor, paths: Sequence[str], modality: str | None = None) -> Query:
    """Reads files that the page sent, embeds the first picture, and removes all of them from disk.

    Args:
        predictor: embeds.
        paths: what the page says of where they lie; only files in the upload folder are opened.
        modality: key of the modality that the visitor set; None detects it.

    Raises:
        ImageError: one of its kinds, with a sentence for the page.
    """
    if not paths or not all(_is_upload(Path(path)) for path in paths):
        raise DamagedImageError(text.UPLOAD_INCOMPLETE)
    return open_fetched(predictor, [(Path(path).name, take(path)) for path in paths], modality)


def open_fetched(
    predictor: Predictor, files: Sequence[tuple[str, bytes]], modality: str | None = None
) -> Query:
    """Embeds the first picture that can be read of files in memory; of DICOM files no header stays.

    Args:
        predictor: embeds.
        files: name and bytes of each.
        modality: key of the modality that the visitor set; None detects it.

    Raises:
        ImageError: none of them can be read; what is wrong with the first, as a sentence for the page.
    """
    study = open_study(files)
    wrong: list[ImageError] = []
    for number, stack in enumerate(study.stacks):
        try:
            query = _seen(predictor, study, View(number, stack.start), modality)
        except ImageError as error:
            wrong.append(error)
            continue
        if wrong:
            study.notes = (*study.notes, input_text.passed_over(len(wrong)))
        return query
    raise wrong[0]


def _seen(
    predictor: Predictor, study: Study, view: View, modality: str | None, negative: bool | None = None
) -> Query:
    image = shrunk(study.seen(view))
    return Query(image, predictor.embed(image, modality=modality, negative=negative), study, view)


def _is_upload(file: Path) -> bool:
    folder = os.environ.get(FOLDER_VARIABLE)
    return bool(folder) and file.resolve().is_relative_to(Path(str(folder)).resolve())


def take(path: str) -> bytes:
    """Returns the bytes of an uploaded file; the file and its folder are gone afterwards.

    A file outside the upload folder (an example) is only read.

    Raises:
        DamagedImageError: the file is not there any more.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DamagedImageError(text.UPLOAD_INCOMPLETE) from error
    if _is_upload(file):
        folder = Path(os.environ[FOLDER_VARIABLE])
        file.unlink(missing_ok=True)
        if file.parent != folder:
            shutil.rmtree(file.parent, ignore_errors=True)
        _sweep(folder)
    return data


def _sweep(folder: Path) -> None:
    """Removes the empty files that Gradio's file component leaves behind with every upload."""
    long_ago = time.time() - _STRAY_SECONDS
    for stray in folder.glob("tmp*"):
        try:
            state = stray.stat()
        except FileNotFoundError:  # gone since: uploads come and go at once
            continue
        if stray.is_file() and state.st_size == 0 and state.st_mtime < long_ago:
            stray.unlink(missing_ok=True)


def shrunk(image: MedicalImage, side: int = KEPT_SIDE) -> MedicalImage:
    """Returns the image with its longest side at most `side` px."""
    pixels = fitted(image.pixels, side)
    return image if pixels is image.pixels else replace(image, pixels=pixels)


class _SeparateUpload(GradioUploadFile):
    """An upload whose folder is named at random.

    Gradio names it by the file's content: of two visitors who send the same file at once, one would
    remove the other's, and anybody who has a file could find out whether somebody else sent it.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.sha.update(secrets.token_bytes(16))


def keep_uploads_apart() -> None:
    """Gives every upload a folder of its own.

    Gradio has no option for it, so this replaces a class that its documentation does not mention; a test
    uploads one file twice and fails if an upgrade no longer honours it.
    """
    route_utils.GradioUploadFile = _SeparateUpload


def use_private_folder(folder: Path | None = None) -> None:
    """Makes uploads pass through a folder of our own, in memory where there is room; removed at exit.

    Args:
        folder: one that the host chose instead; it stays.
    """
    if folder is not None:
        os.environ[FOLDER_VARIABLE] = str(folder)
        return
    os.environ[FOLDER_VARIABLE] = str(private_folder("mermed-uploads-"))
