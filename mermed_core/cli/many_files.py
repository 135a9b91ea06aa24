"""What `mermed analyse --csv` does: a folder or an archive in, a table out, with progress in between."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from mermed_core.errors import UnsupportedFormatError
from mermed_core.files import write_bytes
from mermed_core.records import RESEARCH_ONLY

if TYPE_CHECKING:
    from mermed_core.inference.batch import BatchRow
    from mermed_core.inference.predictor import Predictor


def analyse_into(out: Path, predictor: "Predictor", path: Path) -> None:
    """Analyses all files of a folder or an archive and writes the table, of what is done where it is stopped.

    Raises:
        ImageError: there is nothing to analyse, or an archive cannot be unpacked.
        KeyboardInterrupt: it was stopped; the table of what was done is written.
    """
    from mermed_core.inference.batch import analyse_files, files_of, table_of
    from mermed_core.reports.spreadsheet import to_csv

    if not path.exists():
        raise UnsupportedFormatError(f"There is no file or folder '{path}'. Check its name.")
    files = files_of(path)
    if not files:
        raise UnsupportedFormatError(f"There are no files in '{path}'.")
    rows: list[BatchRow] = []  # what came before an interruption stays in it
    try:
        rows.extend(tqdm(analyse_files(predictor, files), total=len(files), unit="file"))
    finally:
        write_bytes(out, to_csv(table_of(rows)).encode())
        counts = Counter(row.answer for row in rows)
        said = ", ".join(f"{count} {answer}" for answer, count in counts.most_common())
        print(f"{len(rows)} of {len(files)} files in {out}: {said}\n{RESEARCH_ONLY}")
