"""Every sentence that a visitor reads about many files at once. Templates reach this module as `batch`."""

TAB = "Batch"
HOW = (
    "Many files, or ZIP archives of them, become a table: what each one is, its first finding and its "
    "nearest known case. The first frame of a file is analysed. Nothing of it is stored."
)
DROP = "Drop files or ZIP archives"
STOP, DOWNLOAD = "Stop and keep what is done", "Download the table (CSV)"
HERE = "One line for each file appears here."
COLUMNS = (
    ("", ""),
    ("name", "File"),
    ("modality", "Modality"),
    ("answer", "Known to the model"),
    ("finding", "First finding"),
    ("probability", "Probability"),
    ("similarity", "Nearest case"),
    ("notes", "Notes"),
)
ANSWERS = {
    "familiar": "Yes",
    "unlike": "Only the modality",
    "unknown": "No",
    "refused": "Could not be read",
}
STOPPED = "Stopped."
NOT_ELSEWHERE = "not shown to hold elsewhere"
FILE_NAME = "analyses.csv"


def progress(done: int, total: int, rate: float, left: float | None) -> str:
    """Says how far a batch has come, how fast, and how long it will take."""
    if done >= total:
        return f"{total} files done."
    if left is None:
        return f"0 of {total} files."
    minutes, seconds = divmod(round(left), 60)
    remaining = f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    return f"{done} of {total} files, {rate:.1f} a second, about {remaining} left."


def sort_by(column: str) -> str:
    """Says what pressing the head of a column does."""
    return f"Sort by {column.lower()}"
