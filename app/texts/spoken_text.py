"""What screen readers say where the page shows no such words: names of parts, and what has just happened."""

from collections.abc import Sequence

from mermed_core.languages.say import speaks

say = speaks(__name__)

# What Gradio says in English on every page, and what is said instead.
GRADIO = {
    "Capture from camera": "Capture from camera",
    "Paste from clipboard": "Paste from clipboard",
    "Click to Access Webcam": "Click to Access Webcam",
    "grant webcam access": "Allow the camera",
    "capture photo": "capture photo",
    "select input source": "Choose a camera",
}
PART_NAMES = {"reset": "{}: back to the default", "remove": "Remove {}", "remove_all": "{}: remove all"}


def modality(name: str, how: str) -> str:
    """Says which modality an image is of, and how sure that is or who said so."""
    return say("Modality: {name}, {how}.", name=name, how=how)


def findings(sets: Sequence[tuple[str, str]]) -> str:
    """Says what was found, from the titles of label sets and what each amounts to."""
    if not sets:
        return say("Findings: none is likely or possible.")
    found = "; ".join(f"{title}: {verdict}" for title, verdict in sets)
    return say("Findings: {found}.", found=found)


def heat_map(name: str) -> str:
    """Says that the heat map of a class is drawn."""
    return say("The heat map for {name} is drawn.", name=name)


def found_cases(count: int, nearest: str) -> str:
    """Says how many cases a search found, and the label of the nearest."""
    if count == 1:
        return say("One similar case: {nearest}.", nearest=nearest)
    return say("{count} similar cases; the nearest: {nearest}.", count=count, nearest=nearest)


def answered(label: str, percent: str) -> str:
    """Says what a visitor's classifier says about the image that is open."""
    return say("Your classifier says: {label}, {percent}.", label=label, percent=percent)
