"""Heads of one's own: uploads and cases of the collection as examples, and what such a head says."""

import hashlib
from collections.abc import Iterable

from mermed_core.fitting.few_shot import Example, fit_few_shot
from mermed_core.inference.predictor import Predictor
from mermed_core.models.few_shot_head import FewShotAnswer, FewShotHead, from_zip
from mermed_core.records import Embedding

__all__ = ["Example", "FewShotAnswer", "FewShotHead", "example_of", "fit", "load"]


def example_of(predictor: Predictor, query: Embedding | str, label: str, group: str = "") -> Example:
    """Returns an image as one to learn from.

    Args:
        predictor: made the embedding, and has the collection.
        query: an image's embedding, or the id of a case.
        label: what it shows.
        group: its patient, where that is known. A case has the one of its source; otherwise every image is a
            patient of its own, and the same image twice is one.

    Raises:
        CollectionError: there is no such case.
    """
    vector = predictor.retrieval_vector(query)
    if not group and isinstance(query, str) and predictor.collection is not None:
        case = predictor.collection.case(query)
        group = f"{case.source}/{case.group}"
    return Example(label.strip(), vector, group or hashlib.sha256(vector.tobytes()).hexdigest()[:16])


def fit(predictor: Predictor, examples: Iterable[Example]) -> FewShotHead:
    """Fits a head on examples; raises FewShotError where they are too few."""
    return fit_few_shot(list(examples), predictor.fingerprint)


def load(predictor: Predictor, data: bytes) -> FewShotHead:
    """Reads the file of a head; raises FewShotError where it is none, or another model's."""
    return from_zip(data, predictor.fingerprint)
