"""A grid of cases with their thumbnails and labels; each is a button that sends its case back."""

from collections.abc import Callable, Iterable
from typing import Any

from mermed_core.collections.collection import Collection
from mermed_core.inference.refinement import Marks
from mermed_core.modalities import MODALITIES
from mermed_core.records import Case, Neighbour

from ..texts import case_text, spoken_text, text
from .drawing import drawing
from .html_parts import fresh_number
from .pictures import jpeg_uri
from .templates import render


def neighbour_grid(
    collection: Collection,
    neighbours: Iterable[Neighbour],
    sentence: str = "",
    marks: Marks | None = None,
    hint: Callable[[str], str] = case_text.find_similar,
) -> str:
    """Returns the cases with their similarity, most similar first, below a sentence on how near they are.

    Args:
        collection: whose cases they are.
        neighbours: the cases.
        sentence: instead of the one on how near they are.
        marks: which of them were called good; None where cases cannot be marked.
        hint: says what pressing the case of an id does.
    """
    hits = list(neighbours)
    if not hits:
        return _grid([], sentence=text.NO_MATCH, said=text.NO_MATCH)
    best, usual = max(hit.similarity for hit in hits), collection.usual_similarity
    if not sentence and best < usual:
        sentence = case_text.none_near(best, usual)
    cards = [
        _card(collection, hit.case, text.decimal(hit.similarity), marks) | {"hint": hint(hit.case.case_id)}
        for hit in hits
    ]
    said = "" if marks is None else spoken_text.found_cases(len(cards), cards[0]["label"])
    return _grid(cards, sentence=sentence, said=said)


def heading(sentence: str) -> str:
    """Returns a heading above cases."""
    return render("heading.html", heading=sentence)


def small(sentence: str) -> str:
    """Returns a sentence in small print, "" for none."""
    return _grid([], more=sentence)


def nothing(sentence: str) -> str:
    """Returns the sentence that stands where cases would be."""
    return _grid([], sentence=sentence)


def _grid(cards: list[dict[str, Any]], *, sentence: str = "", more: str = "", said: str = "") -> str:
    return render("cases.html", cards=cards, sentence=sentence, more=more, said=said, number=fresh_number())


def _card(collection: Collection, case: Case, similarity: str, marks: Marks | None = None) -> dict[str, Any]:
    good = marks is not None and case.case_id in marks.good
    return {
        "mark": None if marks is None else "good" if good else "",
        "mark_hint": case_text.mark(case.case_id),
        "good": case_text.GOOD,
        "bad": case_text.BAD,
        "case_id": case.case_id,
        "hint": case_text.find_similar(case.case_id),
        "similarity": similarity,
        "label": case_text.labels(collection, case.labels),
        "colour": MODALITIES[case.modality].colour,
        "modality": case_text.modality_said(case.modality, case.modality_told),
        **shown(collection, case),
    }


def shown(collection: Collection, case: Case) -> dict[str, Any]:
    """Returns what templates show of a case: its picture, or a drawing and where the picture can be had."""
    facts = collection.source(case.source)
    title = case_text.source_title(facts)
    picture = collection.thumbnail(case.case_id)
    if picture is not None:
        return {"picture": jpeg_uri(picture), "source": title, "drawing": "", "home": "", "origin": ()}
    return {
        "picture": "",
        "source": title,
        "drawing": drawing(case.modality),
        "origin": tuple(filter(None, (case.file, case_text.licence(facts.licence)))),
        "home": facts.home,
        "picture_at": case_text.PICTURE_AT,
        "site": case_text.site(facts.home),
        "home_hint": case_text.home_of(title),
    }
