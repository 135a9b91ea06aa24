"""What a visitor reads where a study is opened from one of the servers that the host names."""

from mermed_core.languages.say import speaks

say = speaks(__name__)

TITLE = "Open a study from a server"
SERVER = "Server"
STUDY = "Study"
STUDY_HINT = "StudyInstanceUID, accession number or patient identifier"
OPEN = "Open"
WHICH = "Which study?"
SEVERAL = "Several studies are meant. Choose one of them."
NO_SERVER = "There is no such server. Choose one of the list."


def study_hint(server: str) -> str:
    """Says what names a study of the only server."""
    return say("On {server}: {hint}", server=server, hint=say(STUDY_HINT))


def study(date: str, modalities: tuple[str, ...], images: int | None) -> str:
    """Says what tells one study of a patient from another.

    Args:
        date: as DICOM writes it (YYYYMMDD), "" where unknown.
        modalities: as DICOM abbreviates them.
        images: how many it has, None where unknown.
    """
    day = f"{date[:4]}-{date[4:6]}-{date[6:]}" if date else say("date unknown")
    count = "" if images is None else _count(images)
    return ", ".join(filter(None, (day, "/".join(modalities), count)))


def _count(images: int) -> str:
    return say("1 image") if images == 1 else say("{images} images", images=images)
