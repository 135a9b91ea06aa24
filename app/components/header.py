"""The first lines of every page: what this is, what it is not, and which collection is loaded."""

from ..services import Services
from ..texts import case_text
from .templates import render


def header(services: Services) -> str:
    """Returns the title, the research notice and the collection's banner."""
    collection = services.predictor.explored
    return render(
        "header.html",
        collection=collection,
        missing=services.missing_collection,
        cases="" if collection is None else case_text.cases_in(collection),
    )
