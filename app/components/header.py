"""The first lines of every page: what this is, what it is not, and which collection is loaded."""

from .. import text
from ..services import Services
from .templates import render


def header(services: Services) -> str:
    """Returns the title, the research notice and the collection's banner."""
    collection = services.predictor.collection
    return render(
        "header.html",
        collection=collection,
        missing=services.missing_collection,
        cases="" if collection is None else text.cases_in(len(collection), synthetic=collection.synthetic),
    )
