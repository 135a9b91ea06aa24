"""Cases as a table for people and for spreadsheets."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mermed_core.collections.annotations import Annotations
from mermed_core.collections.collection import CASE_COLUMNS, CHECKSUM, FRAME, Collection
from mermed_core.data.validation import FILE
from mermed_core.reports.spreadsheet import to_csv

from ..texts.case_text import labels
from ..texts.text import modality_name

__all__ = ["frame", "to_csv"]

_PLACE = ("x", "y")
_WRITTEN = _TAGS, _NOTE = ("tags", "note")


def frame(
    collection: Collection, positions: Sequence[int] | np.ndarray, written: Annotations | None = None
) -> pd.DataFrame:
    """Returns one row for each case in these rows of the collection, with its place on the map.

    Every further column that the collection kept of its cases is in it.

    Args:
        collection: whose cases they are.
        positions: rows of the collection.
        written: tags, which get a bar between two, and notes; without them there are no columns of them.
    """
    records = collection.records.iloc[list(positions)]
    places = collection.coordinates[list(positions)].astype(float).round(3)
    table = pd.DataFrame(
        {
            "case": list(records["case_id"]),
            "modality": [modality_name(key) for key in records["modality"]],
            "label": [labels(collection, names) for names in records["labels"]],
            "source": list(records["source"]),
            "group": list(records["group"]),
            "split": list(records["split"]),
            "file": list(records[FILE]) if FILE in records else "",
        }
    )
    own = (*CASE_COLUMNS, FILE, FRAME, CHECKSUM)
    further = [name for name in records if name not in (*own, *table, *_PLACE, *_WRITTEN)]
    for name in further:
        numbers = pd.api.types.is_numeric_dtype(records[name])
        table[name] = list(records[name] if numbers else records[name].astype(object).fillna(""))
    table[list(_PLACE)] = places
    if written is not None:
        table[_TAGS] = ["|".join(written.tags_of(case)) for case in table["case"]]
        table[_NOTE] = [written.notes.get(case, "") for case in table["case"]]
    return table
