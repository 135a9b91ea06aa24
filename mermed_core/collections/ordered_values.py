"""Values of a column that have an order: numbers, or dates."""

import numpy as np
import pandas as pd

_READ = 1000  # different values of a column that are read to see what they are
_NAME_OF_DIGITS = r"^\s*[+-]?0\d"


def ordered_values(known: pd.Series) -> pd.Series | None:
    """Returns values, none of them missing, as numbers or as dates; None where they are neither."""
    if not pd.api.types.is_datetime64_any_dtype(known):
        numbers = pd.to_numeric(known, errors="coerce")
        if numbers.notna().all():
            return numbers
    dates = pd.to_datetime(known, errors="coerce", format="ISO8601", utc=True)
    return dates if dates.notna().all() else None


def are_ordered(values: pd.Series) -> bool:
    """Returns whether values look like numbers or dates, by the first of those that differ."""
    return ordered_values(_some(values)) is not None


def days(values: pd.Series) -> pd.Series | None:
    """Returns dates (ISO 8601) as days since 1970, NaN where there is none; None where they are no dates."""
    some = ordered_values(_some(values))
    if some is None or not len(some) or not pd.api.types.is_datetime64_any_dtype(some):
        return None
    dates = pd.to_datetime(values.replace("", None), errors="coerce", format="ISO8601", utc=True)
    if dates.isna().sum() > values.isna().sum() + (values.astype(str) == "").sum():
        return None
    return (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1)


def numbers(values: pd.Series) -> pd.Series | None:
    """Returns numbers, also those that are texts, NaN where there is none; None of other values.

    A CSV file holds nothing but texts. "007" is no number but a name: its zeros would be lost.
    """
    if pd.api.types.is_bool_dtype(values):
        return None
    if pd.api.types.is_numeric_dtype(values):
        return values
    some = _some(values).astype(str)
    if not len(some) or some.str.match(_NAME_OF_DIGITS).any() or ordered_values(some) is None:
        return None
    texts = values.astype("string")
    stated = (texts.fillna("") != "").to_numpy(bool)
    found = pd.to_numeric(texts, errors="coerce").to_numpy(float, na_value=np.nan)
    return pd.Series(found, values.index) if (np.isfinite(found) == stated).all() else None


def _some(values: pd.Series) -> pd.Series:
    different = pd.Series(values.dropna().unique())
    return different[different.astype(str) != ""][:_READ]
