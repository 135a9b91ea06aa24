"""What `mermed analyse --csv` does: a folder or an archive in, a table out, with progress in between."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mermed_core.errors import UnsupportedFormatError
from mermed_core.files import write_bytes
from mermed_core.progress_bar import progress_bar
from mermed_core.records import RESEARCH_ONLY

if TYPE_CHECKING:
    from mermed_core.inference.batch import BatchRow, File
    from mermed_core.inference.predictor import Predictor


def files_in(path: Path) -> "list[File]":
    """Returns the files of a folder or an archive.

    Raises:
        ImageError: there are none, or an archive cannot be unpacked.
    """
    from mermed_core.inference.batch import files_of

    if not path.exists():
        raise UnsupportedFormatError(f"There is no file or folder '{path}'. Check its name.")
    files = files_of(path)
    if not files:
        raise UnsupportedFormatError(f"There are no files in '{path}'.")
    return files


def named(study: Sequence[bytes]) -> "list[File]":
    """Returns the images of a study with numbers for names; those of a slide as one."""
    from mermed_core.inference.batch import join_slide_files

    return join_slide_files([(f"{number}.dcm", data) for number, data in enumerate(study, 1)])


def analyse_into(out: Path, predictor: "Predictor", files: "Sequence[File]") -> None:
    """Analyses files and writes the table, of what is done where it is stopped.

    Raises:
        KeyboardInterrupt: it was stopped; the table of what was done is written.
    """
    from mermed_core.inference.batch import analyse_files, table_of
    from mermed_core.reports.spreadsheet import to_csv

    rows: list[BatchRow] = []  # what came before an interruption stays in it
    try:
        with progress_bar("analysing", "file", total=len(files)) as bar:
            for row in analyse_files(predictor, files):
                rows.append(row)
                bar.update(row.done == 1)
    finally:
        write_bytes(out, to_csv(table_of(rows)).encode())
        done, counts = sum(row.done == 1 for row in rows), Counter(row.answer for row in rows)
        said = ", ".join(f"{count} {answer}" for answer, count in counts.most_common())
        print(f"{done} of {len(files)} files in {out}: {said}\n{RESEARCH_ONLY}")
