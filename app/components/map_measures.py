"""What the neighbours of the cases say, as columns of the map: made in the background when first wanted."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
import pandas as pd

from mermed_core.collections.collection import LABEL, Collection
from mermed_core.collections.quality.case_measures import (
    AGREEMENT,
    CONFIDENCE,
    ERROR,
    OUTLIER,
    PREDICTION,
    CaseMeasures,
)

from ..texts import case_text, measure_text

_OF_LABELS = (PREDICTION, ERROR, CONFIDENCE, AGREEMENT)
_RIGHT, _WRONG = "#56B4E9", "#D55E00"  # Okabe and Ito's blue and red, which the colour-blind tell apart


class MapMeasures:
    """The measures of a collection's cases. Thread-safe.

    Args:
        collection: whose map it is.
        found: returns the measures, None before they are there; None where there will never be any.
    """

    def __init__(self, collection: Collection, found: Callable[[], CaseMeasures | None] | None) -> None:
        self._collection = collection
        self._found = found

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """What the map can be coloured by; a prediction only where there are labels to tell apart."""
        if self._found is None or len(self._collection) < 2:
            return ()
        several = len(self._collection.columns[LABEL].values) > 1
        names = (*(_OF_LABELS if several else ()), OUTLIER)
        return tuple(str(name) for name in names if name not in self._collection.cases)

    def ready(self) -> bool:
        """Returns whether the measures are there; who asks waits for them."""
        return self._found is not None and self._found() is not None

    def numbers(self, name: str) -> pd.Series | None:
        """Returns a column (cases,) of numbers, None for one of names."""
        made = self._made()
        values = {
            CONFIDENCE: made.confidence,
            AGREEMENT: made.agreement,
            OUTLIER: made.outlier,
        }
        return pd.Series(values[name]) if name in values else None

    def named(self, name: str) -> tuple[np.ndarray, list[str]]:
        """Returns which name each case has in a column (cases,), −1 for none, and the names."""
        made, numbers = self._made(), self.numbers(name)
        if numbers is not None:
            codes, values = pd.factorize(numbers)
            return codes, [f"{value:.2f}" for value in values]
        if name == PREDICTION:
            return made.prediction, [case_text.labels(self._collection, labels) for labels in made.names]
        return made.error, [measure_text.RIGHT, measure_text.WRONG]

    @staticmethod
    def error_colours() -> dict[str, str]:
        """Returns the colours of right and wrong predictions by their names."""
        return {measure_text.RIGHT: _RIGHT, measure_text.WRONG: _WRONG}

    def _made(self) -> CaseMeasures:
        made = None if self._found is None else self._found()
        if made is None:
            raise RuntimeError("the measures are asked for before they are there")
        return made
