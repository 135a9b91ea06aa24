"""Every sentence that a visitor reads about a case and about the collection that it is of.

What this returns is plain text; the templates escape it.
"""

from urllib.parse import urlsplit

from mermed_core.collections.collection import LABEL, Collection
from mermed_core.records import Case
from mermed_core.reports.case.wording import labels, licence, none_near

from .text import modality_name

__all__ = ["labels", "licence", "none_near"]

PICTURE_AT = "Picture at"
GOOD, BAD = "More like it", "Less like it"
SEARCH_AGAIN, CLEAR_MARKS = "Search again with these marks", "Clear the marks"
REFINED = "Ordered by your marks. The numbers are still similarities to what you search with."


def value_name(collection: Collection, column: str, value: object) -> str:
    """Returns a value in a column of a collection's records for people."""
    if column == "modality":
        return modality_name(str(value))
    if column == LABEL:
        return labels(collection, [str(value)])
    return collection.source(str(value)).title if column == "source" else str(value)


def case_origin(collection: Collection, case: Case) -> str:
    """Returns what is known of a case."""
    title = collection.source(case.source).title
    return f"{labels(collection, case.labels)}: {modality_name(case.modality)}, {title}, case {case.case_id}"


def caption(collection: Collection, case: Case) -> str:
    """Returns what a case is, in a few words."""
    return f"{labels(collection, case.labels)} ({modality_name(case.modality)})"


def site(home: str) -> str:
    """Returns the name of the site that a data set's home page is on."""
    return (urlsplit(home).hostname or home).removeprefix("www.")


def home_of(title: str) -> str:
    """Says where a link to a data set leads."""
    return f"The home page of {title}, in a new tab"


def mark(case_id: str) -> str:
    """Says what the two buttons below a case are for."""
    return f"Is {case_id} what you look for?"


def marked(good: int, bad: int) -> str:
    """Says how many cases were marked."""
    return f"Marked: {good} like what you look for, {bad} not."


def find_similar(case_id: str) -> str:
    """Says what pressing a case does."""
    return f"{case_id}: find similar cases"


def cases_in(collection: Collection) -> str:
    """Returns the size of a collection, whether its cases are of patients, and whether it has pictures."""
    kind = "computer-drawn cases, none of them of a patient" if collection.synthetic else "known cases"
    return f"{len(collection):,} {kind}{'' if collection.has_pictures else ', without their pictures'}"
