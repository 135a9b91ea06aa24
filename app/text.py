"""Names and phrases for people; everything that enters the page's HTML as text passes through here."""

from html import escape
from typing import Any

from mermed_core.modalities import MODALITIES

Metrics = dict[str, dict[str, Any]]
LIKELY = 0.9
LEANING = 0.6
RESEARCH_ONLY = "Research use only. Not a medical device; not for diagnosis."


def text(value: object) -> str:
    """Returns a value as text that is safe inside HTML, also inside quotes."""
    return escape(str(value), quote=True)


def spoken(name: str) -> str:
    """Returns a machine's name as people would write it: first letter large, no underscores."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def modality_name(key: str) -> str:
    """Returns the name of a modality for people."""
    return MODALITIES[key].name


def percent(share: float) -> str:
    """Returns a share as a percentage that never claims certainty: at most >99 %, at least <1 %."""
    if share > 0.99:
        return ">99 %"
    return "<1 %" if share < 0.01 else f"{100 * share:.0f} %"


def class_name(metrics: Metrics, task: str, label: str) -> str:
    """Returns the name of a class for people: the one that the model states for it, else its label."""
    return spoken(metrics.get(task, {}).get("names", {}).get(label, label))


def verdict(names: list[str], probabilities: list[float]) -> str:
    """Says in words what the classes of one single-label set amount to, most probable first."""
    if probabilities[0] >= LIKELY:
        return f"Likely: {names[0]}"
    if probabilities[0] >= LEANING or len(names) == 1:
        return f"Leans to: {names[0]}"
    return f"Not sure: {names[0]} or {names[1]}"
