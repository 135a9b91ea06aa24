"""What answers, from which collection, and what becomes of a visitor's images."""

from .. import text
from ..services import Services
from .templates import render


def about_card(services: Services) -> str:
    """Returns the model, the collection and the promise about privacy."""
    predictor = services.predictor
    collection = predictor.collection
    return render(
        "about.html",
        model=text.running_on(predictor.model_name, predictor.device),
        collection=collection,
        missing=services.missing_collection,
        cases="" if collection is None else text.cases_in(len(collection), synthetic=collection.synthetic),
    )
