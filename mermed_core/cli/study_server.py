"""What `mermed analyse --dicomweb` does: a study of a server that the settings name, into memory."""

from mermed_core.data.dicomweb import FoundStudy, dicomweb_servers
from mermed_core.errors import SettingsError, StudyServerError
from mermed_core.imaging.dicom_slide import slide_copies
from mermed_core.imaging.series import group_series
from mermed_core.settings import Settings


def fetched_study(name: str, asked: str) -> list[bytes]:
    """Returns the images of a study, series by series and each in its order.

    Args:
        name: of the server, as MERMED_DICOMWEB has it.
        asked: what means the study, see `DicomwebServer.find`.

    Raises:
        SettingsError: there is no server of this name.
        StudyServerError: there is no such study, there are several, or the server does not answer.
    """
    servers = dicomweb_servers(Settings.from_environment())
    if name not in servers:
        known = ", ".join(servers) or "none"
        raise SettingsError(f"MERMED_DICOMWEB names no server '{name}'; it has {known}.")
    study, *others = servers[name].find(asked)
    if others:
        told = "; ".join(map(_told, (study, *others)))
        raise StudyServerError(f"Several studies are meant; name one: {told}.")
    files = servers[name].fetch(study)
    return [files[position] for group in group_series(files) for position in group]


def first_view(files: list[bytes]) -> tuple[list[bytes], tuple[int, int] | None]:
    """Returns the middle image of the first series, more telling than its end; a slide at all its sizes.

    With it comes which slice of the series it is, from 1, and of how many; None where there are no slices.
    """
    first = [files[position] for position in group_series(files)[0]]
    slide = [first[position] for position in slide_copies(first)]
    middle = len(first) // 2
    place = None if slide or len(first) == 1 else (middle + 1, len(first))
    return slide or [first[middle]], place


def _told(study: FoundStudy) -> str:
    about = ", ".join(filter(None, (study.date, " ".join(study.modalities))))
    return f"{study.study} ({about})" if about else study.study
