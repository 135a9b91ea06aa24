"""What only the report on one image says: its headings, and what it is."""

from mermed_core.languages.say import name_of, speaks
from mermed_core.records import RESEARCH_ONLY

__all__ = ["RESEARCH_ONLY"]

say = speaks(__name__)

TITLE = "Report on one image"
SEEN, FINDINGS = "What the model sees", "Findings"
NO_FINDINGS = "No findings are given for this image."
NO_HEAT_MAP = "There is no heat map, since no findings are given."
LESS, MORE = "less", "more"
CASE_COLUMNS = ("", "Similarity", "Label", "Modality", "Source", "Case")
NO_COLLECTION = "No collection of known cases was loaded."


def left_out(count: int) -> str:
    """Says how many classes of a label set are not shown."""
    if count == 1:
        return say("One less probable class is left out here.")
    return say("{count} less probable classes are left out here.", count=count)


def nearest_cases(collection: str) -> str:
    """Heads the nearest cases; without a collection "" is its name."""
    return (
        say("Nearest known cases in “{name}”", name=name_of(collection))
        if collection
        else say("Nearest known cases")
    )


def image_caption(kind: str, width: int, height: int, frame: int, frames: int) -> str:
    """Says what kind of file an image is of, how large it is in pixels, and which frame of how many."""
    said = say("{kind}, {width} × {height} pixels", kind=kind, width=width, height=height)
    return said + say(", frame {frame} of {frames}", frame=frame, frames=frames) if frames > 1 else said


def place_in_series(number: int, count: int) -> str:
    """Says, after what an image is, which slice of a series it is."""
    return say(", slice {number} of {count}", number=number, count=count)


def origin(program: str, model: str, collection: str) -> str:
    """Says which program and model answered, and whose cases it compared with, "" for none."""
    said = say("{program}, model {model}", program=program, model=model)
    return said + say("; cases of “{name}”", name=name_of(collection)) if collection else said


def unchecked(by: str) -> str:
    """Says that nobody has checked what a program answered."""
    return say("{origin}. Not checked by a person.", origin=by)
