"""Many files at once: one row for each frame, whether it could be read or not, and all of them as a table."""

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mermed_core.data.file_tree import walk_files
from mermed_core.data.tree_files import TreeFile, archive_files
from mermed_core.data.zip_members import is_zip
from mermed_core.errors import ImageError, ImageTooLargeError
from mermed_core.imaging.archives import archive_limits, is_archive, unpack
from mermed_core.imaging.checks import concerns
from mermed_core.imaging.limits import Limits
from mermed_core.imaging.overlay import fitted
from mermed_core.imaging.reader import MedicalImage
from mermed_core.imaging.series import join_slides
from mermed_core.inference.predictor import Predictor
from mermed_core.records import Analysis

REFUSED = "refused"
MOST_FRAMES = 100
"""Frames of one file that are analysed."""
_SIDE = 96  # of the small picture of a row
_ARCHIVE_BYTES = 4  # tell an archive
_NEIGHBOURS = 1

Source = bytes | Path
File = tuple[str, Source | tuple[Source, ...] | TreeFile]
"""A file's name for people, and its bytes or where they are: of a slide at several sizes all of them."""


@dataclass(frozen=True, eq=False, repr=False)  # no log can hold it
class BatchRow:
    """What is said of one picture: of a file, or of one of its frames.

    Attributes:
        name: of the file.
        analysis: None where the picture was refused.
        problem: why it was refused, "" where it was not.
        frame: which of the file's pictures it is, from 0.
        frames: how many pictures the file has; of more than `MOST_FRAMES` only the first are analysed.
        picture: (height, width, 3) uint8, at most 96 px long; None where it was refused.
        concerns: what is wrong with the picture, see `imaging.checks`.
    """

    name: str
    analysis: Analysis | None
    problem: str = ""
    frame: int = 0
    frames: int = 1
    picture: np.ndarray | None = None
    concerns: tuple[str, ...] = ()

    @property
    def answer(self) -> str:
        """How well the model knows the image (familiar, unusual, unlike, unknown), or "refused"."""
        return str(self.analysis.familiarity) if self.analysis else REFUSED

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on how the picture was read, why it was not, and what of the file was left out."""
        said = self.analysis.notes if self.analysis else (self.problem,)
        if self.done == 1 and self.frames > MOST_FRAMES:
            said = (*said, f"Only the first {MOST_FRAMES} of the file's {self.frames} frames are analysed.")
        return said

    @property
    def done(self) -> float:
        """The share of the file that is analysed with this row, 1 with its last one."""
        return (self.frame + 1) / min(self.frames, MOST_FRAMES)


@dataclass
class Pace:
    """How far a batch has come, how fast, and how long it will take.

    Attributes:
        total: files in all.
        done: files so far, with a share for a file that is under way.
        began: when it began, in seconds of a clock that never goes back.
        stopping: whoever waits for it wants no more.
        refused: how many of the files so far.
    """

    total: int
    done: float = 0
    began: float = field(default_factory=time.monotonic)
    stopping: bool = False
    refused: int = 0

    def count(self, row: BatchRow) -> None:
        """Counts a row; those of one file come one after the other."""
        begun = math.ceil(self.done) - 1 if self.done % 1 else self.done
        self.done = begun + row.done
        self.refused += bool(row.problem)

    @property
    def rate(self) -> float:
        """Files a second so far, 0 before the first."""
        return self.done / max(time.monotonic() - self.began, 1e-6)

    @property
    def seconds_left(self) -> float | None:
        """Seconds that the rest will take at this rate, None before the first file that was not refused.

        Those that are refused are refused at once, which says nothing of the rest.
        """
        return (self.total - self.done) / self.rate if self.done > self.refused else None


def files_of(path: Path) -> list[File]:
    """Returns the files of a folder, at any depth, or of a ZIP archive; of another file, itself.

    Those that are one slide are one file here. Those in the archives of a folder stay there until they are
    read, each by itself; an archive that cannot be opened, or lies in another, is a file that is refused.

    Raises:
        ManifestError: a folder cannot be listed.
        ImageError: an archive is damaged, has a password or holds too much.
    """
    if path.is_dir():
        return _files_below(path)
    with path.open("rb") as file:
        archive = is_archive(file.read(_ARCHIVE_BYTES))
    return (
        join_slide_files(unpack(path.read_bytes(), archive_limits(Limits())))
        if archive
        else [(path.name, path)]
    )


def _files_below(folder: Path) -> list[File]:
    plain: list[tuple[str, Source]] = []
    packed: list[File] = []
    for name in walk_files(folder):
        try:
            files = archive_files(name, folder / name) if is_zip(folder / name) else None
        except ImageError:  # says why where it is read
            files = None
        if files is None:
            plain.append((name, folder / name))
        else:
            packed += [(file.name, file) for file in files]
    return [*join_slide_files(plain), *packed]


def join_slide_files(files: Sequence[tuple[str, Source]]) -> list[File]:
    """Returns files with those that are one DICOM slide at several sizes as one, named as the largest."""
    joined: list[File] = []
    for largest, *smaller in join_slides([source for _, source in files]):
        name, source = files[largest]
        joined.append((name, (source, *(files[each][1] for each in smaller)) if smaller else source))
    return joined


def analyse_files(predictor: Predictor, files: Iterable[File]) -> Iterator[BatchRow]:
    """Yields a row for each frame of each file as soon as it is analysed; a refused one stops nothing."""
    for name, source in files:
        frame, frames = 0, 1
        while frame < min(frames, MOST_FRAMES):
            row = _row(predictor, name, source, frame, frames)
            frame, frames = frame + 1, row.frames
            yield row


def _row(
    predictor: Predictor, name: str, source: Source | tuple[Source, ...] | TreeFile, frame: int, frames: int
) -> BatchRow:
    """Returns what is said of one frame; `frames` is how many the file has as far as is known."""
    try:
        found = source.source if isinstance(source, TreeFile) else source
        image = read_sizes(predictor, found if isinstance(found, tuple) else (found,), frame)
    except ImageError as error:
        return BatchRow(name, None, str(error), frame, frames)
    embedding = predictor.embed(image)
    return BatchRow(
        name,
        predictor.analyse(embedding, neighbours=_NEIGHBOURS),
        frame=frame,
        frames=image.frames,
        picture=fitted(image.pixels, _SIDE),
        concerns=concerns(image.pixels, embedding.chosen),
    )


def read_sizes(predictor: Predictor, sources: tuple[Source, ...], frame: int = 0) -> MedicalImage:
    """Reads a slide that is several files, without those of them that have too many bytes to be read.

    Args:
        predictor: reads.
        sources: the slide at several sizes, the largest first; one file that is no slide is read as it is.
        frame: which frame, from 0.

    Raises:
        ImageError: not even the smallest can be read.
    """
    try:
        return predictor.read(sources[0], frame, *sources[1:])
    except ImageTooLargeError:
        if len(sources) == 1:
            raise
        return read_sizes(predictor, sources[1:], frame)


def table_of(rows: Sequence[BatchRow]) -> pd.DataFrame:
    """Returns one line for each row: what it is, its first finding, its nearest case, how it was read."""
    table = pd.DataFrame([_line(row) for row in rows], columns=list(_line(BatchRow("", None))))
    return table.astype({"frame": "Int64", "frames": "Int64"})


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
        "concerns": " ".join(row.concerns),
        "frame": row.frame + 1 if analysis else None,
        "frames": row.frames if analysis else None,
        "notes": " ".join(row.notes),
        "model": analysis.model if analysis else "",
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
