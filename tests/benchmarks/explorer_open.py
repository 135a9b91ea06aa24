"""The opening section of bench_explorer.py: a collection on disk is opened in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from explorer_vectors import Made, make

from mermed_core.collections.case_columns import CaseColumns, FilterColumns
from mermed_core.collections.collection import Description, filter_masks
from mermed_core.collections.folder import FolderWriter
from mermed_core.collections.map_file import MapData
from mermed_core.collections.segment import SEGMENT_ROWS
from mermed_core.collections.stated import FORMAT, Stated, StatedSegment, next_state
from mermed_core.collections.store import load_collection
from mermed_core.search.quantised import Part, QuantisedVectors, StoredVectors
from mermed_core.search.stored import open_engine

_THUMBNAIL = 1000  # bytes
_ASKED = "--open"  # of this file: open a collection and print the figures


def measure(cases: int) -> dict[str, float]:
    """Writes a collection, opens it in a fresh process, prints the table and returns the figures.

    Args:
        cases: of the collection.
    """
    with tempfile.TemporaryDirectory(prefix="explorer-") as place:
        folder = Path(place)
        start = time.process_time()
        write_collection(folder, make(cases))
        taken = time.process_time() - start
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"\n{cases:,} cases on disk: {size / 1e6:.0f} MB, written in {taken:.0f} CPU s")
        command = [sys.executable, __file__, _ASKED, place]
        paths = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | paths)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print("| " + " | ".join(figures) + " |\n" + "|---" * len(figures) + "|")
    print("| " + " | ".join(f"{value:.2f}" for value in figures.values()) + " |")
    return figures


def write_collection(folder: Path, made: Made) -> None:
    """Writes what `mermed collect` does of images, with a map of random places.

    Args:
        folder: that is there and empty.
        made: the cases.
    """
    writer, parts, segments = FolderWriter(folder), [], []
    generator = np.random.default_rng(0)
    for first in range(0, len(made.vectors), SEGMENT_ROWS):
        rows = slice(first, min(first + SEGMENT_ROWS, len(made.vectors)))
        vectors = QuantisedVectors.encode(made.vectors[rows])
        records = _records(made.records.iloc[rows], first)
        segments.append(writer.segment(records, vectors, _thumbnails(generator, len(records))))
        parts.append(Part(vectors))
    stored = StoredVectors(parts, made.vectors.shape[1])
    columns = FilterColumns(CaseColumns.of(made.records.assign(case_id="")))
    state = next_state("", *(segment.name for segment in segments))
    open_engine(stored, folder, state, filter_masks(columns), on_gpu=False)
    places = generator.normal(size=(len(stored), 2)).astype(np.float32)
    writer.commit(_stated(segments, stored, state, writer.map(MapData.computed(places))))


def _stated(segments: list[StatedSegment], vectors: StoredVectors, state: str, drawn: object) -> Stated:
    description = Description("Made", "", True, "none")
    return Stated.model_validate(
        {
            "format": FORMAT,
            "name": description.name,
            "text": description.text,
            "synthetic": description.synthetic,
            "fingerprint": description.fingerprint,
            "sources": {},
            "cases": len(vectors),
            "dim": vectors.shape[1],
            "state": state,
            "segments": tuple(segments),
            "map": drawn,
        }
    )


def _records(made: pd.DataFrame, first: int) -> pa.Table:
    numbers = range(first, first + len(made))
    labels = [list(names) for names in made["labels"]]
    columns = {
        "case_id": [f"{source}/{number:08d}" for source, number in zip(made["source"], numbers, strict=True)],
        "modality": made["modality"].tolist(),
        "labels": pa.array(labels, pa.list_(pa.string())),
        "source": made["source"].tolist(),
        "group": [f"patient-{number // 3}" for number in numbers],
        "split": ["train"] * len(made),
        "file": [f"{number:08d}.png" for number in numbers],
        "frame": pa.array(np.zeros(len(made), np.int32)),
        "checksum": [f"{number:016x}" for number in numbers],
    }
    return pa.table(columns)


def _thumbnails(generator: np.random.Generator, count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield generator.bytes(_THUMBNAIL)


def _open(folder: Path) -> dict[str, float]:
    """Opens a collection and asks it what a page does first; seconds, and MB of the whole process."""
    figures = {"base_mb": _peak()}
    start = time.perf_counter()
    collection = load_collection(folder)
    figures["open_s"], figures["open_mb"] = time.perf_counter() - start, _peak()
    case, middle = collection.cases_at([len(collection) // 2])[0], len(collection) // 2
    for name, ask in {
        "first_case_s": lambda: collection.case(case.case_id),
        "first_search_s": lambda: collection.nearest(collection.vectors[middle], 12, without=case),
        "second_search_s": lambda: collection.nearest(collection.vectors[middle + 1], 12, without=case),
        "picture_s": lambda: collection.thumbnail(case.case_id),
        "table_s": lambda: collection.records,
    }.items():
        start = time.perf_counter()
        ask()
        figures[name] = time.perf_counter() - start
    return {**figures, "all_asked_mb": _peak()}


def _peak() -> float:
    """Returns the most memory in MB that this process has had; what started it counts for nothing."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


if __name__ == "__main__" and sys.argv[1:2] == [_ASKED]:
    print(json.dumps(_open(Path(sys.argv[2]))))
