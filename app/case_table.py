"""Cases as a table for people and for spreadsheets."""

from collections.abc import Sequence

import pandas as pd

from mermed_core.collections.collection import Collection
from mermed_core.records import Case

from .text import modality_name

# A spreadsheet runs a cell that starts like this as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def frame(collection: Collection, cases: Sequence[Case]) -> pd.DataFrame:
    """Returns one row per case, with its place on the map."""
    places = [collection.coordinates[collection.position(case.case_id)] for case in cases]
    return pd.DataFrame(
        {
            "case": [case.case_id for case in cases],
            "modality": [modality_name(case.modality) for case in cases],
            "label": [case.label for case in cases],
            "source": [case.source for case in cases],
            "group": [case.group for case in cases],
            "split": [case.split for case in cases],
            "x": [round(float(x), 3) for x, _ in places],
            "y": [round(float(y), 3) for _, y in places],
        }
    )


def to_csv(cases: pd.DataFrame) -> str:
    """Returns the table as CSV in which no text can act as a formula."""
    safe = cases.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = [_harmless(str(value)) for value in safe[name]]
    return safe.to_csv(index=False)


def _harmless(value: str) -> str:
    return f"'{value}" if value.startswith(_FORMULA) else value
