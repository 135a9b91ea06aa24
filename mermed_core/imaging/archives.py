"""ZIP archives unpacked in memory or into a folder, within limits that a bomb cannot pass."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mermed_core.errors import DamagedImageError, ImageTooLargeError, UnsupportedFormatError
from mermed_core.imaging.limits import Limits

_MARKS = (b"PK\x03\x04", b"PK\x05\x06")
_HIDDEN = ("__MACOSX", ".")  # what systems add to an archive


@dataclass(frozen=True)
class ArchiveLimits:
    """What may be opened at once at most: files, and the bytes of all of them after they are unpacked."""

    max_files: int = 1000
    max_bytes: int = 384 * 2**20


ARCHIVE_LIMITS = ArchiveLimits()


def archive_limits(file: Limits) -> ArchiveLimits:
    """Returns what may be opened at once where a file may be so large: at least one such file."""
    return replace(ARCHIVE_LIMITS, max_bytes=max(ARCHIVE_LIMITS.max_bytes, file.max_bytes))


def is_archive(data: bytes) -> bool:
    """Returns whether a file is a ZIP archive, by its first bytes."""
    return data.startswith(_MARKS)


def unpack(data: bytes, limits: ArchiveLimits = ARCHIVE_LIMITS) -> list[tuple[str, bytes]]:
    """Returns the files of a ZIP archive in the order of their paths: last part of the path, and bytes.

    Paths lead nowhere: nothing is written. Archives within the archive stay packed. What an entry claims of
    its size is not believed: no more is unpacked than the limits allow.

    Raises:
        ImageTooLargeError: more files or bytes than the limits allow.
        UnsupportedFormatError: it has a password, or is packed in a rare way.
        DamagedImageError: cut off, or a checksum is wrong.
    """
    with _opened(data) as archive:
        return [(PurePosixPath(_path(entry)).name, each) for entry, each in _contents(archive, limits)]


def unpack_into(folder: Path, data: bytes, limits: ArchiveLimits = ARCHIVE_LIMITS) -> int:
    """Writes the files of a ZIP archive below an empty folder, as `unpack` reads them; returns how many.

    Nothing is written beside the folder: a file whose path leads upwards is left out, and a link becomes a
    plain file.

    Raises:
        ImageTooLargeError: more files or bytes than the limits allow.
        UnsupportedFormatError: it has a password, or is packed in a rare way.
        DamagedImageError: cut off, a checksum is wrong, or the names of its files cannot be written.
    """
    count = 0
    with _opened(data) as archive:
        for entry, content in _contents(archive, limits):
            parts = [part for part in PurePosixPath(_path(entry)).parts if part not in ("/", "..")]
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            count += 1
    return count


@contextmanager
def _opened(data: bytes) -> Iterator[zipfile.ZipFile]:
    """Opens an archive; what is wrong with it becomes a sentence."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield archive
    except (NotImplementedError, RuntimeError) as error:
        raise UnsupportedFormatError(
            "The ZIP archive has a password or is packed in a rare way. Unpack it and choose the images."
        ) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise DamagedImageError("The ZIP archive is damaged or cut off. Pack or send it again.") from error


def _contents(archive: zipfile.ZipFile, limits: ArchiveLimits) -> Iterator[tuple[zipfile.ZipInfo, bytes]]:
    """Yields the files of an archive with their bytes, in the order of their paths."""
    entries = sorted((each for each in archive.infolist() if _is_file(each)), key=_path)
    if len(entries) > limits.max_files:
        raise too_many(limits)
    left = limits.max_bytes
    for entry in entries:
        content = _content(archive, entry, left, limits)
        left -= len(content)
        yield entry, content


def too_many(limits: ArchiveLimits) -> ImageTooLargeError:
    """Returns the error for more files than can be opened at once."""
    return ImageTooLargeError(
        f"More than {limits.max_files} files are too many to open at once. Open a part of them."
    )


def too_large(limits: ArchiveLimits) -> ImageTooLargeError:
    """Returns the error for more bytes than can be opened at once."""
    return ImageTooLargeError(
        f"More than {limits.max_bytes / 2**20:.0f} MB are too much to open at once. Open a part of the files."
    )


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int, limits: ArchiveLimits) -> bytes:
    if entry.file_size > left:
        raise too_large(limits)
    with archive.open(entry) as file:
        content = file.read(left + 1)
    if len(content) > left:
        raise too_large(limits)
    return content


def _is_file(entry: zipfile.ZipInfo) -> bool:
    parts = PurePosixPath(_path(entry)).parts
    return not entry.is_dir() and bool(parts) and not any(part.startswith(_HIDDEN) for part in parts)


def _path(entry: zipfile.ZipInfo) -> str:
    return entry.filename.replace("\\", "/")
