"""How much a visitor may open: the size of a file that the host allows, and what follows from it."""

from dataclasses import dataclass

from mermed_core.imaging.archives import ArchiveLimits, archive_limits
from mermed_core.imaging.limits import Limits
from mermed_core.settings import Settings

_VISITS = 3 * 2**30  # bytes that all visits together may hold where files are small
_LARGE_FILES = 3  # as many of the largest that the host allows may be held at least


@dataclass(frozen=True)
class UploadLimits:
    """What may be opened.

    Attributes:
        megabytes: of one file that is sent.
    """

    megabytes: int

    @property
    def upload(self) -> str:
        """The size of one file as Gradio wants it."""
        return f"{self.megabytes}mb"

    @property
    def bytes(self) -> int:
        """The size of one file."""
        return self.megabytes * 2**20

    @property
    def file(self) -> Limits:
        """Limits on one file, of an archive too."""
        return Limits(max_bytes=self.bytes)

    @property
    def archive(self) -> ArchiveLimits:
        """Limits on what is opened at once, unpacked."""
        return archive_limits(self.file)

    @property
    def visits(self) -> int:
        """Bytes that all visits together may hold."""
        return max(_VISITS, _LARGE_FILES * self.bytes)


def upload_limits() -> UploadLimits:
    """Returns what the host allows, by the environment."""
    return UploadLimits(Settings.from_environment().upload_mb)
