"""Many files at once: one row for each, whether it could be read or not, and all of them as a table."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mermed_core.data.file_tree import walk_files
from mermed_core.errors import ImageError
from mermed_core.imaging.archives import is_archive, unpack
from mermed_core.imaging.overlay import fitted
from mermed_core.inference.predictor import Predictor
from mermed_core.records import Analysis

REFUSED = "refused"
_SIDE = 96  # of the small picture of a row
_ARCHIVE_BYTES = 4  # tell an archive
_NEIGHBOURS = 1

File = tuple[str, bytes | Path]
"""A file's name for people, and its bytes or where they are."""


@dataclass(frozen=True, eq=False, repr=False)  # no log can hold it
class BatchRow:
    """What is said of one file.

    Attributes:
        name: of the file.
        analysis: None where the file was refused.
        problem: why it was refused, "" where it was not.
        frames: how many pictures the file has; the first is analysed.
        picture: (height, width, 3) uint8, at most 96 px long; None where the file was refused.
    """

    name: str
    analysis: Analysis | None
    problem: str = ""
    frames: int = 1
    picture: np.ndarray | None = None

    @property
    def answer(self) -> str:
        """How well the model knows the image (familiar, unlike, unknown), or "refused"."""
        return str(self.analysis.familiarity) if self.analysis else REFUSED


@dataclass
class Pace:
    """How far a batch has come, how fast, and how long it will take.

    Attributes:
        total: files in all.
        done: files so far.
        began: when it began, in seconds of a clock that never goes back.
    """

    total: int
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def rate(self) -> float:
        """Files a second so far, 0 before the first."""
        return self.done / max(time.monotonic() - self.began, 1e-6)

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the rest will take at this rate, None before the first file."""
        return (self.total - self.done) / self.rate if self.done else None


def files_of(path: Path) -> list[File]:
    """Returns the files of a folder, at any depth, or of a ZIP archive; of another file, itself.

    Raises:
        ManifestError: a folder cannot be listed.
        ImageError: an archive is damaged, has a password or holds too much.
    """
    if path.is_dir():
        return [(name, path / name) for name in walk_files(path)]
    with path.open("rb") as file:
        archive = is_archive(file.read(_ARCHIVE_BYTES))
    return list(unpack(path.read_bytes())) if archive else [(path.name, path)]


def analyse_files(predictor: Predictor, files: Iterable[File]) -> Iterator[BatchRow]:
    """Yields a row for each file as soon as it is analysed; a file that cannot be read stops nothing."""
    for name, source in files:
        try:
            image = predictor.read(source)
            analysis = predictor.analyse(image, neighbours=_NEIGHBOURS)
        except ImageError as error:
            yield BatchRow(name, None, str(error))
        else:
            yield BatchRow(name, analysis, "", image.frames, fitted(image.pixels, _SIDE))


def table_of(rows: Sequence[BatchRow]) -> pd.DataFrame:
    """Returns one line for each file: what it is, its first finding, its nearest case, how it was read."""
    table = pd.DataFrame([_line(row) for row in rows], columns=list(_line(BatchRow("", None))))
    return table.astype({"frames": "Int64"})


def _line(row: BatchRow) -> dict[str, Any]:
    analysis = row.analysis
    modality, share = next(iter(analysis.modality.items())) if analysis else ("", None)
    finding = analysis.findings[0] if analysis and analysis.findings else None
    nearest = analysis.neighbours[0] if analysis and analysis.neighbours else None
    return {
        "file": row.name,
        "answer": row.answer,
        "modality": modality,
        "modality_probability": _rounded(share),
        "region": analysis.region if analysis else "",
        "label_set": finding.task if finding else "",
        "finding": finding.label if finding else "",
        "probability": _rounded(finding.probability if finding else None),
        "holds_elsewhere": "" if finding is None else "yes" if finding.holds_elsewhere else "no",
        "caution": finding.caution if finding else "",
        "nearest_case": nearest.case.case_id if nearest else "",
        "nearest_label": nearest.case.label if nearest else "",
        "similarity": _rounded(nearest.similarity if nearest else None),
        "frames": row.frames if analysis else None,
        "notes": row.problem or (" ".join(analysis.notes) if analysis else ""),
        "model": analysis.model if analysis else "",
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
