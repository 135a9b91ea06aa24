"""One sentence to the visitor above the results: what went wrong, or what to know about the file."""

from mermed_core.inference.predictor import MedicalImage

from ..text import text


def problem(message: str) -> str:
    """Returns a notice that something was refused and what to do."""
    return f'<p class="mm-notice mm-error" role="alert">{text(message)}</p>'


def file_notes(image: MedicalImage) -> str:
    """Returns what the reader did with a file; "" where it did nothing worth saying."""
    if not image.notes:
        return ""
    notes = " ".join(image.notes)
    return f'<p class="mm-notice" role="status">{text(image.kind)}: {text(notes)}</p>'
