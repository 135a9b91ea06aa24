"""What the pages share: the predictor, loaded from where the environment says."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mermed_core.errors import CollectionError
from mermed_core.inference.predictor import MedicalImage, Predictor

ASSETS = Path(__file__).resolve().parent.parent / "assets"
MODEL = "MERMED_MODEL"
COLLECTION = "MERMED_COLLECTION"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Services:
    """What every page needs.

    Attributes:
        predictor: the model, with a collection where one could be loaded.
        missing_collection: why no collection is loaded, "" where one is.
    """

    predictor: Predictor
    missing_collection: str = ""


def load_services(environment: Mapping[str, str] = os.environ) -> Services:
    """Loads the model of MERMED_MODEL and the collection of MERMED_COLLECTION, by default the bundled ones.

    Without a collection the page still classifies; it says what is missing.

    Raises:
        ModelError: there is no usable model.
    """
    model = Path(environment.get(MODEL) or ASSETS / "model")
    collection = Path(environment.get(COLLECTION) or ASSETS / "collection")
    try:
        services = Services(Predictor.load(model, collection))
    except CollectionError as error:
        logger.warning("no collection: %s", error)
        services = Services(Predictor.load(model), str(error))
    _warm_up(services.predictor)
    logger.info("model %s on %s", services.predictor.model_name, services.predictor.device)
    return services


def _warm_up(predictor: Predictor) -> None:
    """Runs everything once, so that the first visitor does not wait for lazy set-up."""
    image = MedicalImage(np.zeros((64, 64, 3), np.uint8), 1, 0, "PNG", ())
    predictor.analyse(image)
    if predictor.tasks:
        predictor.explain(image, task=predictor.tasks[0].task, label=predictor.tasks[0].classes[0])
