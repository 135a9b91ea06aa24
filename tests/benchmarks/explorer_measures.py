"""The colourings by what neighbours say of a case: seconds for the first visitor, and for each colouring."""

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from explorer_open import write_collection
from explorer_vectors import make

from app.components.map_columns import MapColumns
from mermed_core.collections.quality.case_measures import measure_cases
from mermed_core.collections.quality.neighbourhood import Neighbourhood
from mermed_core.collections.store import load_collection

Result = TypeVar("Result")


def measure(cases: int) -> dict[str, float]:
    """Prints a table; returns seconds by what they were spent on, and MB of the whole process.

    Args:
        cases: of the collection.
    """
    with tempfile.TemporaryDirectory(prefix="explorer-") as place:
        write_collection(Path(place), make(cases))
        collection = load_collection(Path(place))
        figures: dict[str, float] = {}
        near, figures["measure_neighbours_s"] = _timed(lambda: Neighbourhood.of(collection))
        measures, figures["measure_votes_s"] = _timed(lambda: measure_cases(collection, near))
        columns = MapColumns(collection, measures=lambda: measures)
        for name in columns.measures.columns:
            figure = f"colour_{name.replace(' ', '_').replace(chr(39), '')}_s"
            _, figures[figure] = _timed(lambda name=name: columns.coloured(name))
    figures["measure_peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nMeasures of {cases:,} cases as colours of the map\n")
    for name, value in figures.items():
        print(f"{name:44}{value:10.2f}")
    return figures


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start
