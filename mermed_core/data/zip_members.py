"""Images in ZIP archives, read one by one where they lie: nothing is unpacked to a disk."""

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from mermed_core.errors import DamagedImageError, ImageTooLargeError, UnsupportedFormatError
from mermed_core.imaging.archives import is_archive
from mermed_core.imaging.limits import Limits

ZIP_SUFFIX = ".zip"
_MARK_BYTES = 4
_HIDDEN = ("__MACOSX", ".")  # what systems add to an archive
_ENCRYPTED = 1  # bit of an entry's flags
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def is_zip(path: Path) -> bool:
    """Returns whether a file is a ZIP archive by its name and its content.

    By the content alone Word documents and NumPy's .npz files would be archives of images too.
    """
    if path.suffix.lower() != ZIP_SUFFIX:
        return False
    try:
        with path.open("rb") as file:
            return is_archive(file.read(_MARK_BYTES))
    except OSError:
        return False


def member_names(path: Path) -> dict[str, str]:
    """Returns the files of an archive: a path with "/" that leads nowhere else → the name in the archive.

    In the order of the paths; what systems hide is not among them.

    Raises:
        UnsupportedFormatError: it has a password, or is packed in a rare way.
        DamagedImageError: cut off, not to be opened, or parts of it overlap, as those of a bomb do.
    """
    with _plain_errors():
        entries = [entry for entry in _opened(*_state(path)).infolist() if not entry.is_dir()]
    if any(entry.flag_bits & _ENCRYPTED for entry in entries):
        raise UnsupportedFormatError("The ZIP archive has a password. Unpack it first.")
    if any(entry.compress_type not in _PACKINGS for entry in entries):
        raise UnsupportedFormatError("The ZIP archive is packed in a rare way. Unpack it first.")
    begins = sorted((entry.header_offset, entry.compress_size) for entry in entries)
    if any(begin + size > following for (begin, size), (following, _) in pairwise(begins)):
        raise DamagedImageError("Parts of the ZIP archive overlap. Pack it again.")
    named = {_plain(entry.filename): entry.filename for entry in entries}
    return {name: named[name] for name in sorted(named) if name}


def read_member(path: Path, member: str, limits: Limits | None = None) -> bytes:
    """Returns the bytes of a file in an archive.

    Args:
        path: of the archive.
        member: as the archive calls it.
        limits: on the bytes of one file, by default the host's; what the archive claims is not believed.

    Raises:
        ImageTooLargeError: it has more bytes than an image may have.
        UnsupportedFormatError: it has a password, or is packed in a rare way.
        DamagedImageError: it is not there, damaged or cut off.
    """
    most = (limits or Limits()).max_bytes
    with open_member(path, member) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ImageTooLargeError(
            f"An image in the ZIP archive '{path.name}' has more than {most // 2**20} MB, the most that are "
            "read. Save a smaller version or a single frame."
        )
    return data


@contextmanager
def open_member(path: Path, member: str) -> Iterator[BinaryIO]:
    """Opens a file in an archive; raises as `read_member` does, also while it is read."""
    with _plain_errors(), _opened(*_state(path)).open(member) as file:
        yield cast("BinaryIO", file)


def _state(path: Path) -> tuple[str, int, int, int]:
    state = path.stat()
    return str(path), os.getpid(), state.st_ino, state.st_mtime_ns


@lru_cache(maxsize=16)
def _opened(path: str, process: int, file: int, written: int) -> zipfile.ZipFile:
    """Opens an archive for the images to come: once in each process, anew if another took its place."""
    return zipfile.ZipFile(path)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Turns what a broken archive raises into an error of ours."""
    try:
        yield
    except (NotImplementedError, RuntimeError) as error:
        raise UnsupportedFormatError(
            "The ZIP archive has a password or is packed in a rare way. Unpack it first."
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError) as error:
        raise DamagedImageError("The ZIP archive is damaged, cut off or not there. Pack it again.") from error


def _plain(name: str) -> str:
    """Returns the path of an entry without what leads elsewhere; "" for what systems hide."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..")]
    return "" if any(part.startswith(_HIDDEN) for part in parts) else "/".join(parts)
