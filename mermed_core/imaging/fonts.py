"""The typeface of text in pictures and reports: DejaVu Sans, which has Latin, Greek and Cyrillic letters."""

from functools import cache
from pathlib import Path


@cache
def font_file(*, bold: bool = False) -> Path:
    """Returns the TrueType file, which comes with Matplotlib."""
    from matplotlib import get_data_path  # slow to import, so only where text is drawn

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return Path(get_data_path()) / "fonts" / "ttf" / name
