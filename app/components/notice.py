"""What to tell the visitor above the results: what went wrong, or what to know about the file."""

from mermed_core.imaging.reader import MedicalImage

from .templates import render


def problem(message: str) -> str:
    """Returns a notice that something was refused and what to do."""
    return render("notice.html", problem=message)


def file_notes(image: MedicalImage) -> str:
    """Returns what the reader did with a file; "" where it did nothing worth saying."""
    return render("notice.html", problem="", kind=image.kind, notes=image.notes).strip()
