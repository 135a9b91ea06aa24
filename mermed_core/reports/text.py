"""How numbers and names are written in reports."""

import math

MISSING = "–"
_STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))


def number(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Returns a number to three digits, with its interval where there is one."""
    if math.isnan(value):
        return MISSING
    return f"{value:.3f}" if math.isnan(low) else f"{value:.3f} ({low:.3f}–{high:.3f})"


def difference(value: float, low: float, high: float) -> str:
    """Returns a difference to three digits with its sign and its interval."""
    if math.isnan(value):
        return MISSING
    text = f"{value:+.3f}" if math.isnan(low) else f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
    return text.replace("-", "−")


def p_value(value: float) -> str:
    """Returns a p-value to three digits; it is never written as 0."""
    return MISSING if math.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def stars(value: float) -> str:
    """Returns a star for a p-value below 0.05, two below 0.01, three below 0.001."""
    return next((mark for limit, mark in _STARS if value < limit), "")


def humanise(name: str) -> str:
    """Returns a name such as "linear_probe" as people write it: "Linear probe"."""
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]
