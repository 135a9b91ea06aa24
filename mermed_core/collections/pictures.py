"""Pictures of cases from outside a collection: found by name, proved by checksum, read when shown."""

import hashlib
import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from PIL import Image

from mermed_core.collections.case_columns import FRAME
from mermed_core.data.manifest import Manifest
from mermed_core.data.sources.opener import open_manifest
from mermed_core.data.sources.parquet_files import parquet_files
from mermed_core.data.sources.parquet_images import ParquetImages
from mermed_core.data.validation import FILE, ZIP_MEMBER
from mermed_core.errors import ImageError, ManifestError
from mermed_core.files import checksum
from mermed_core.imaging.overlay import fitted
from mermed_core.imaging.reader import read_image
from mermed_core.imaging.thumbnails import make_thumbnail
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.progress_bar import progress_bar

logger = logging.getLogger(__name__)

CHECKSUM_DIGITS = 16
_HELD = 512  # thumbnails, some 5 kB each
_WHOLE_SIDE = 2048  # px; the encoder sees far less
_MOST_OF_A_NAME = 256  # images of one file name that a case is compared with before it counts as not there


def picture_checksum(encoded: bytes | Path) -> str:
    """Returns the first 16 hexadecimal digits of the SHA-256 of an image's encoded bytes, or of its file.

    Raises:
        OSError: the file cannot be read.
    """
    digest = checksum(encoded) if isinstance(encoded, Path) else hashlib.sha256(encoded).hexdigest()
    return digest[:CHECKSUM_DIGITS]


def image_checksums(manifest: Manifest) -> list[str]:
    """Returns the checksum of the encoded image of each row, see `picture_checksum`."""
    of_file = lru_cache(maxsize=1)(picture_checksum)  # a file of many frames is read once
    sources = (manifest.image_source(row) for row in range(len(manifest)))
    return [of_file(source) if isinstance(source, Path) else picture_checksum(source) for source in sources]


def image_contents(manifest: Manifest) -> list[tuple[str, int]]:
    """Returns checksum and frame of each image, by which it is known whatever it is called."""
    frames = manifest.frame[FRAME] if FRAME in manifest.frame else [0] * len(manifest)
    return [(checksum, int(frame)) for checksum, frame in zip(image_checksums(manifest), frames, strict=True)]


def small_pictures(manifest: Manifest, made: Sequence[bytes]) -> Iterator[bytes]:
    """Yields the small picture of each image: those that were made while it was embedded, else made now."""
    if made or not len(manifest):
        yield from made
        return
    # What is embedded already is kept for the next start as vectors alone, without pictures.
    with progress_bar("making small pictures (images are read again)", "picture", total=len(manifest)) as bar:
        for row in range(len(manifest)):
            yield make_thumbnail(manifest.read_image(row).pixels)
            bar.update()


@dataclass(frozen=True)
class Wanted:
    """The picture of a case.

    Attributes:
        case_id: of the case.
        file: what the image's own file was called, "" where that is not known.
        frame: which frame of the file the case is, from 0.
        checksum: of the encoded image, as `picture_checksum` gives it.
    """

    case_id: str
    file: str
    frame: int
    checksum: str


class Pictures:
    """Where the pictures of cases can be had, place by place; a picture comes from the first that has it.

    An image is found by its case id, or by the name of its file, and belongs to the case only if it has the
    case's checksum: another edition of a data set has other images under the same names. Names are read now,
    an image when it is shown. Thread-safe.

    Args:
        places: folders of images, parquet files or folders of them, folders of shards.

    Raises:
        ManifestError: a place is not there, or holds no image.
    """

    def __init__(self, places: Sequence[Path]) -> None:
        self._places = [_Place(place) for place in places]
        self._thumbnail = lru_cache(maxsize=_HELD)(self._make)

    def thumbnail(self, wanted: Wanted) -> bytes | None:
        """Returns a case's picture as JPEG bytes, at most `THUMBNAIL_SIDE` px long, None without."""
        try:
            return self._thumbnail(wanted)
        except _MissingError:  # an error, so that it is looked for again: a disk may come back
            return None

    def whole(self, wanted: Wanted) -> bytes | None:
        """Returns a case's picture as PNG bytes, at most 2048 px long, None without."""
        pixels = self._pixels(wanted)
        if pixels is None:
            return None
        buffer = io.BytesIO()
        Image.fromarray(fitted(pixels, _WHOLE_SIDE)).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def _make(self, wanted: Wanted) -> bytes:
        pixels = self._pixels(wanted)
        if pixels is None:
            raise _MissingError
        return make_thumbnail(pixels)

    def _pixels(self, wanted: Wanted) -> np.ndarray | None:
        for place in self._places:
            if (encoded := place.find(wanted)) is not None:
                try:
                    return read_image(encoded, frame=wanted.frame).pixels
                except ImageError as error:
                    logger.warning("the picture of %s in %s is not shown: %s", wanted.case_id, place, error)
        return None


class _MissingError(Exception):
    """No place has the picture."""


class _Images(Protocol):
    """Images with names; each is read when it is asked for."""

    names: pd.DataFrame

    def encoded(self, row: int) -> bytes | Path: ...


class _ListedImages:
    """The images that a manifest lists; those in shards have no files of their own."""

    def __init__(self, manifest: Manifest) -> None:
        in_shards = "offset" in manifest.frame
        frame = manifest.frame
        members = frame[ZIP_MEMBER] if ZIP_MEMBER in frame else [""] * len(frame)
        files = [
            "" if in_shards else Path(member or path or "").name
            for path, member in zip(frame["path"], members, strict=True)
        ]
        self.names = pd.DataFrame({"case_id": manifest.frame["case_id"], FILE: files})
        self.encoded = manifest.image_source


class _Place:
    """A folder or table with the images that it holds, by case id and by the name of the file."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._images = _open(place)
        self._by_case: dict[str, int] = {}
        self._by_file: dict[str, list[int]] = {}
        names = self._images.names
        for row, (case_id, file) in enumerate(zip(names["case_id"], names[FILE], strict=True)):
            self._by_case.setdefault(case_id, row)
            if file:
                self._by_file.setdefault(_last(file), []).append(row)
        self._checksums: dict[int, str] = {}
        self._warned = False
        logger.info("pictures: %d images in %s", len(names), place)

    def __str__(self) -> str:
        return str(self._place)

    def find(self, wanted: Wanted) -> bytes | Path | None:
        """Returns the encoded image that has the wanted name and checksum, None where it is not here."""
        candidates = self._candidates(wanted)
        for row in candidates:
            if self._checksums.get(row, wanted.checksum) != wanted.checksum:
                continue
            try:
                encoded = self._images.encoded(row)
                self._checksums[row] = picture_checksum(encoded)
            except (ImageError, OSError) as error:
                logger.warning("the picture of %s in %s cannot be read: %s", wanted.case_id, self, error)
                continue
            if self._checksums[row] == wanted.checksum:
                return encoded
        if candidates and not self._warned:
            self._warned = True
            logger.warning(
                "%s holds an image of the name of %s, but not the one that the collection was made from, so "
                "it is not shown; further ones are not reported",
                self,
                wanted.case_id,
            )
        return None

    def _candidates(self, wanted: Wanted) -> list[int]:
        # A table has one row for all frames of an image, whose cases have the frame behind their id.
        rows = [self._by_case.get(name) for name in (wanted.case_id, wanted.case_id.rpartition("/")[0])]
        named = self._by_file.get(_last(wanted.file), [])[:_MOST_OF_A_NAME]
        return list(dict.fromkeys(row for row in (*rows, *named) if row is not None))


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _open(place: Path) -> _Images:
    if not place.exists():
        raise ManifestError(f"there is no file or folder {place}.")
    shards = place.is_dir() and any(place.glob("*.tar"))
    if not shards and (place.suffix.lower() == ".parquet" or (place.is_dir() and parquet_files(place))):
        return ParquetImages(place)
    # The modality of a picture does not matter here, but a folder of plain images does not say it.
    return _ListedImages(open_manifest(f"shards:{place}" if shards else place, modality=MODALITY_KEYS[0]))
