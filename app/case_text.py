"""Every sentence that a visitor reads about a case and about the collection that it is of.

What this returns is plain text; the templates escape it.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from mermed_core.collections.collection import LABEL, Collection
from mermed_core.records import Case

from .text import UNLABELLED, humanise, modality_name

PICTURE_AT = "Picture at"


def labels(collection: Collection, names: Iterable[str] | None) -> str:
    """Returns the labels of a case."""
    known, given = collection.label_names, names if names is not None else ()
    return ", ".join(humanise(known.get(name, name)) for name in given) or UNLABELLED


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


def licence(stated: str) -> str:
    """Returns the licence of a data set, "" where none is stated."""
    return "licence unknown" if stated == "unknown" else stated


def site(home: str) -> str:
    """Returns the name of the site that a data set's home page is on."""
    return (urlsplit(home).hostname or home).removeprefix("www.")


def home_of(title: str) -> str:
    """Says where a link to a data set leads."""
    return f"The home page of {title}, in a new tab"


def find_similar(case_id: str) -> str:
    """Says what pressing a case does."""
    return f"{case_id}: find similar cases"


def none_near(best: float, usual: float) -> str:
    """Says that the nearest cases are not near."""
    return (
        f"No close match: the highest similarity is {best:.2f}, whereas nearly every case in this collection "
        f"has another at {usual:.2f} or above."
    )


def shown_of(shown: int, count: int) -> str:
    """Says that only some of the cases are shown."""
    return f"{shown} of the {count:,}, evenly spread; the table lists them all."


def selected(count: int) -> str:
    """Says how many cases were selected on the map."""
    return f"{count:,} {'case' if count == 1 else 'cases'} selected"


def cases_in(collection: Collection) -> str:
    """Returns the size of a collection, whether its cases are of patients, and whether it has pictures."""
    kind = "computer-drawn cases, none of them of a patient" if collection.synthetic else "known cases"
    return f"{len(collection):,} {kind}{'' if collection.has_pictures else ', without their pictures'}"
