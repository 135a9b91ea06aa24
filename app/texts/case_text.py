"""Every sentence that a visitor reads about a case and about the collection that it is of.

What this returns is plain text; the templates escape it.
"""

from urllib.parse import urlsplit

from mermed_core.collections.collection import LABEL, Collection
from mermed_core.collections.told import ToldCounts
from mermed_core.data.validation import BY_FILE, BY_MODEL, KIND, KNOWN, TOLD_BY, UNKNOWN, UNUSUAL
from mermed_core.languages.say import speaks
from mermed_core.records import Case
from mermed_core.reports.case.neighbour_wording import labels, licence, modality_said, none_near, source_title

from .text import modality_name

__all__ = ["labels", "licence", "modality_said", "none_near", "source_title"]

say = speaks(__name__)

PICTURE_AT = "Picture at"
GOOD, BAD = "More like it", "Less like it"
MARK_CASES = "Mark cases as more or less like what you look for, then search again."
SEARCH_WITH_PART = "Search with a part of this picture"
SHOW_MAP = "Show where the model looks"
MAP_NO_PICTURE = "There is no heat map, as the picture of this case is not here."
MAP_NO_FINDING = "There is no heat map, as the model finds nothing that it knows in this picture."
SEARCH_AGAIN, CLEAR_MARKS = "Search again with these marks", "Clear the marks"
TOLD = {BY_MODEL: "the model", BY_FILE: "its file, folder or table"}
KINDS = {KNOWN: "a known kind", UNUSUAL: "an unusual image", UNKNOWN: "none of the seven kinds"}
REFINED = "Ordered by your marks. The numbers are still similarities to what you search with."


def value_name(collection: Collection, column: str, value: object) -> str:
    """Returns a value in a column of a collection's records for people."""
    if column == "modality":
        return modality_name(str(value))
    if column == LABEL:
        return labels(collection, [str(value)])
    if column in (TOLD_BY, KIND):
        return (say.constant(TOLD) | say.constant(KINDS)).get(str(value), str(value))
    return source_title(collection.source(str(value))) if column == "source" else str(value)


def case_origin(collection: Collection, case: Case) -> str:
    """Returns what is known of a case."""
    return say(
        "{labels}: {modality}, {title}, case {case_id}",
        labels=labels(collection, case.labels),
        modality=modality_said(case.modality, case.modality_told),
        title=source_title(collection.source(case.source)),
        case_id=case.case_id,
    )


def caption(collection: Collection, case: Case) -> str:
    """Returns what a case is, in a few words."""
    return f"{labels(collection, case.labels)} ({modality_said(case.modality, case.modality_told)})"


def site(home: str) -> str:
    """Returns the name of the site that a data set's home page is on."""
    return (urlsplit(home).hostname or home).removeprefix("www.")


def home_of(title: str) -> str:
    """Says where a link to a data set leads."""
    return say("The home page of {title}, in a new tab", title=title)


def map_of_small_picture(side: int) -> str:
    """Says what the heat map of a case was drawn from where that is less than the model can use."""
    return say("The picture that it was drawn from is {side} px long.", side=side)


def mark(case_id: str) -> str:
    """Says what the two buttons below a case are for."""
    return say("Is {case_id} what you look for?", case_id=case_id)


def marked(good: int, bad: int) -> str:
    """Says how many cases were marked."""
    return say("Marked: {good} like what you look for, {bad} not.", good=good, bad=bad)


def find_similar(case_id: str) -> str:
    """Says what pressing a case does."""
    return say("{case_id}: find similar cases", case_id=case_id)


def cases_in(collection: Collection) -> str:
    """Returns the size of a collection, whether its cases are of patients, and whether it has pictures."""
    count = len(collection)
    if collection.synthetic:
        said = say("{count:,} computer-drawn cases, none of them of a patient", count=count)
    else:
        said = say("{count:,} known cases", count=count)
    said = said if collection.has_pictures else said + say(", without their pictures")
    counts = ToldCounts.of(collection.cases)
    if not counts.told:
        return said
    return said + say(
        "; nothing states the modality of {told:,} of them, so the model tells it, and takes {unknown:,} of "
        "these for none of the seven kinds",
        told=counts.told,
        unknown=counts.unknown,
    )
