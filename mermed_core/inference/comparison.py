"""Why a case is similar: where either image speaks for the likeness, and which regions match."""

from dataclasses import dataclass

import numpy as np

from mermed_core.errors import CollectionError
from mermed_core.imaging.reader import MedicalImage, read_image
from mermed_core.inference.predictor import Predictor
from mermed_core.records import Case, Embedding

_MATCHES = 3
_APART = 0.18  # of the side: nearer matches would show the same region twice
_WARM = 0.25  # of the peak: a region that is colder has no part in the likeness


@dataclass(frozen=True)
class Match:
    """Two regions that look alike to the encoder, by their middles.

    Attributes:
        image: column and row in the image, 0..1 of its sides.
        case: the same in the case's picture.
        similarity: cosine of what the encoder sees there, −1..1.
    """

    image: tuple[float, float]
    case: tuple[float, float]
    similarity: float


@dataclass(frozen=True, repr=False)  # no log can hold it
class Comparison:
    """An image beside a case.

    Attributes:
        case: of the collection.
        similarity: cosine, −1..1.
        heat: (height, width) in 0..1, where the image speaks for the likeness.
        picture: (rows, columns, 3) uint8 of the case, None where the collection has none.
        case_heat: (rows, columns), where the case does; None without a picture.
        matches: the most alike warm regions; empty without a picture.
    """

    case: Case
    similarity: float
    heat: np.ndarray
    picture: np.ndarray | None = None
    case_heat: np.ndarray | None = None
    matches: tuple[Match, ...] = ()


def compare(predictor: Predictor, image: MedicalImage, embedding: Embedding, case_id: str) -> Comparison:
    """Compares an image with a case; two passes with gradients and three without where there is a picture.

    Args:
        predictor: with a collection.
        image: from `Predictor.read`.
        embedding: of the image.
        case_id: of the case.

    Raises:
        CollectionError: there is no collection, or no such case.
    """
    vector = predictor.retrieval_vector(case_id)
    collection = predictor.collection
    if collection is None:
        raise CollectionError(f"There is no collection that has a case '{case_id}'.")
    case, similarity = collection.case(case_id), float(vector @ embedding.retrieval)
    heat, _ = predictor.support(image, embedding, predictor.direction(vector))
    thumbnail = collection.thumbnail(case_id)
    if thumbnail is None:
        return Comparison(case, similarity, heat)
    picture = read_image(thumbnail)
    other = predictor.embed(picture, modality=case.modality)
    case_heat, _ = predictor.support(picture, other, predictor.direction(embedding.retrieval))
    matches = _matches(
        _Regions(predictor, image, embedding, heat), _Regions(predictor, picture, other, case_heat)
    )
    return Comparison(case, similarity, heat, picture.pixels, case_heat, matches)


class _Regions:
    """The warm cells of an image's feature map: unit vectors, heat, and where they lie."""

    def __init__(
        self, predictor: Predictor, image: MedicalImage, embedding: Embedding, heat: np.ndarray
    ) -> None:
        features, middles = predictor.regions(image, embedding)
        height, width = heat.shape
        columns = np.minimum((middles[:, 0] * width).astype(int), width - 1)
        rows = np.minimum((middles[:, 1] * height).astype(int), height - 1)
        self.heat = heat[rows, columns]
        warm = self.heat >= _WARM * self.heat.max(initial=0.0)
        features = features - features.mean(axis=0)
        norms = np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        self.vectors, self.middles, self.heat = (features / norms)[warm], middles[warm], self.heat[warm]


def _matches(one: _Regions, other: _Regions) -> tuple[Match, ...]:
    """Returns pairs of regions that are each other's most alike, the hottest and most alike first."""
    alike = one.vectors @ other.vectors.T
    if not alike.size:
        return ()
    best, back = alike.argmax(axis=1), alike.argmax(axis=0)
    rows = np.flatnonzero(back[best] == np.arange(len(best)))
    scores = alike[rows, best[rows]] * np.sqrt(one.heat[rows] * other.heat[best[rows]])
    found: list[Match] = []
    for row in rows[np.argsort(-scores, kind="stable")]:
        here, there = one.middles[row], other.middles[best[row]]
        if len(found) < _MATCHES and all(
            np.hypot(*(here - match.image)) > _APART and np.hypot(*(there - match.case)) > _APART
            for match in found
        ):
            places = ((float(here[0]), float(here[1])), (float(there[0]), float(there[1])))
            found.append(Match(*places, float(alike[row, best[row]])))
    return tuple(found)
