"""The first lines of every page: what this is, what it is not, and which collection is loaded."""

from collections.abc import Sequence
from dataclasses import dataclass

from mermed_core.languages.catalogue import languages

from ..services import Services
from ..texts import case_text, own_collection_text
from .templates import render


@dataclass(frozen=True)
class LanguageLink:
    """A link to the same page in another language.

    Attributes:
        code: of the language.
        name: what it calls itself.
        address: of the page, relative to the one that the link is on.
    """

    code: str
    name: str
    address: str


def language_links(language: str, served: Sequence[str]) -> list[LanguageLink]:
    """Returns the links to the other languages from the page in one.

    Args:
        language: code of the page's.
        served: codes of all; the first is at the first address, the others below it.
    """
    up = "" if language in served[:1] else "../"
    return [
        LanguageLink(code, languages()[code].name, f"{up}{code}/" if place else up)
        for place, code in enumerate(served)
        if code != language
    ]


def header(services: Services, links: Sequence[LanguageLink] = ()) -> str:
    """Returns the title, the way to other languages, the research notice and the collection's banner."""
    collection = services.predictor.explored
    return render(
        "header.html",
        links=links,
        collection=collection,
        missing=services.missing_collection,
        missing_beside=services.missing_beside,
        own=services.own,
        words=own_collection_text,
        cases="" if collection is None else case_text.cases_in(collection),
    )


def changed_banner() -> str:
    """Returns what stands below the header where the collection has changed since the page was opened."""
    return render("changed_banner.html")
