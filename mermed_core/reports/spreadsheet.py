"""Tables as CSV that a spreadsheet can open without running anything in them."""

import pandas as pd

# A spreadsheet runs a cell that starts like this as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(table: pd.DataFrame) -> str:
    """Returns a table as CSV in which no text can act as a formula."""
    safe = table.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = [_harmless(str(value)) for value in safe[name]]
    return safe.to_csv(index=False)


def _harmless(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value
