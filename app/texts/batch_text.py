"""Every sentence that a visitor reads about many files at once. Templates reach this module as `batch`."""

from mermed_core.languages.say import speaks, spoken

from . import text

say = speaks(__name__)

TAB = "Batch"
HOW = (
    "Many files, or ZIP archives of them, become a table: what each one is, its first finding and its "
    "nearest known case, frame by frame. Nothing of it is stored."
)
DROP = "Drop files or ZIP archives"
STOP, DOWNLOAD = "Stop and keep what is done", "Download the table (CSV)"
HERE = "One line for each picture appears here."
COLUMNS = (
    ("", ""),
    ("name", "File"),
    ("modality", "Modality"),
    ("answer", "Known to the model"),
    ("finding", "First finding"),
    ("probability", "Probability"),
    ("similarity", "Nearest case"),
    ("concerns", "Picture"),
    ("notes", "Notes"),
)
ANSWERS = {
    "familiar": "Yes",
    "unusual": "Yes, but unusual",
    "unlike": "Only the modality",
    "unknown": "No",
    "refused": "Could not be read",
}
GOOD_PICTURE = "Good"
CONCERNS = {
    "too_small": "too small",
    "nearly_empty": "nearly empty",
    "too_dark": "very dark",
    "blurred": "blurred",
    "enlarged": "enlarged",
    "of_a_screen": "photograph of a screen",
    "fundus_cut": "edge cut off",
}
STOPPED = "Stopped."
NOT_ELSEWHERE = "not shown to hold elsewhere"
FILE_NAME = "analyses.csv"


def progress(done: int, total: int, rate: float, left: float | None) -> str:
    """Says how far a batch has come, how fast, and how long it will take where that is known."""
    if done >= total:
        return say("{total} files done.", total=total)
    if left is None:
        return say("{done} of {total} files.", done=done, total=total)
    return say(
        "{done} of {total} files, {rate:.1f} a second, about {remaining} left.",
        done=done,
        total=total,
        rate=rate,
        remaining=text.time_left(left),
    )


def frame(name: str, number: int, count: int) -> str:
    """Names one of the frames of a file, counted from 1."""
    return say("{name}, frame {number} of {count}", name=name, number=number, count=count)


def sort_by(column: str) -> str:
    """Says what pressing the head of a column does."""
    return say("Sort by {column}", column=column if spoken().nouns_are_capital else column.lower())
