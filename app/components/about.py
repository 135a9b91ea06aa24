"""What answers, from which collection, and what becomes of a visitor's images."""

from ..services import Services
from ..texts import case_text, own_collection_text, text
from .templates import render


def about_card(services: Services) -> str:
    """Returns the model, the collection and the promise about privacy."""
    predictor = services.predictor
    collection = predictor.explored
    return render(
        "about.html",
        model=text.running_on(predictor.model_name, predictor.device),
        collection=collection,
        missing=services.missing_collection,
        bringing=services.bringing,
        words=own_collection_text,
        cases="" if collection is None else case_text.cases_in(collection),
    )
