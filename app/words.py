"""Names and phrases for people; everything that enters the page's HTML as text passes through here."""

from html import escape

from mermed_core.modalities import MODALITIES
from mermed_core.records import Finding

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


def verdict(findings: list[Finding]) -> str:
    """Says in words what the classes of one single-label set amount to, most probable first."""
    first = findings[0]
    if first.probability >= LIKELY:
        return f"Likely {spoken(first.label).lower()}"
    if first.probability >= LEANING or len(findings) == 1:
        return f"Leans to {spoken(first.label).lower()}"
    return f"Not sure: {spoken(first.label).lower()} or {spoken(findings[1].label).lower()}"
