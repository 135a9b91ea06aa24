"""Whether a heat map means anything: what a head without knowledge would draw, and what its hot places do.

A map that stays the same when the head's weights are shuffled shows the image, not the class (Adebayo et al.
2018); a map whose hottest places can be blurred without the probability falling did not find what the answer
rests on.
"""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata

from mermed_core.imaging.overlay import fitted
from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.predictor import Predictor
from mermed_core.records import Embedding, Saliency
from mermed_core.reports.case import wording

_HOT = 0.1  # share of the image that counts as the hot part
_SHUFFLES = 2  # each costs a pass with gradients
_COMPARED = 32  # side of the maps that are correlated
_BLUR = 0.06  # standard deviation, a share of the image's longer side
_SOFT_SIDE = 256  # pixels of the longer side in which it is computed
_FLAT = 0.5  # share of the image above half the peak
_NEAR_PEAK = 0.75  # of the peak
_EDGE, _AT_EDGE = 0.06, 0.5  # width of the border, a share of each side; share of the places within it
_ALIKE = 0.7


@dataclass(frozen=True)
class MapCheck:
    """What two experiments say of a heat map.

    Attributes:
        shuffled: rank correlation, −1..1, of the map with those of the same head with its weights shuffled.
        before: probability of the class, 0..1.
        after: the same with the hottest tenth of the image blurred.
    """

    shuffled: float
    before: float
    after: float

    @property
    def like_shuffled(self) -> bool:
        """Whether a head that knows nothing draws nearly the same map."""
        return self.shuffled >= _ALIKE


def check_map(
    predictor: Predictor, image: MedicalImage, embedding: Embedding, saliency: Saliency
) -> MapCheck:
    """Tries a heat map; takes two passes with gradients and one without.

    Args:
        predictor: that drew the map.
        image: from `Predictor.read`.
        embedding: of the image.
        saliency: the map.
    """
    head = predictor.heads.get(saliency.task)
    column = head.classes.index(saliency.label)
    random, own = np.random.default_rng(0), _small(saliency.heat)
    correlations = []
    for _ in range(_SHUFFLES):
        weight = random.permutation(head.weight[column])
        heat, _ = predictor.support(image, embedding, weight, saliency.method)
        correlations.append(_rank_correlation(own, _small(heat)))
    blurred = replace(image, pixels=_without_hot(image.pixels, saliency.heat))
    tried = predictor.embed(blurred, modality=embedding.chosen, negative=embedding.negative)
    vectors = [embedding.vector, tried.vector]
    before, after = head.probabilities(np.stack(vectors))[:, column]
    return MapCheck(float(np.mean(correlations)), float(before), float(after))


def is_flat(heat: np.ndarray) -> bool:
    """Returns whether a map (height, width) in 0..1 is high over more than half of the image."""
    return float((heat >= 0.5 * heat.max()).mean()) > _FLAT


def is_at_edge(heat: np.ndarray) -> bool:
    """Returns whether most of the places near a map's peak (height, width) lie at the border of the image."""
    rows, columns = np.nonzero((heat >= _NEAR_PEAK * heat.max()) & (heat > 0))
    near = [
        (places < _EDGE * length) | (places >= (1 - _EDGE) * length)
        for places, length in zip((rows, columns), heat.shape, strict=True)
    ]
    return float((near[0] | near[1]).mean()) > _AT_EDGE if len(rows) else False


def map_warnings(heat: np.ndarray) -> tuple[str, ...]:
    """Returns what is wrong with a map (height, width) in 0..1, in sentences; none where nothing is."""
    checks = ((is_flat(heat), wording.FLAT_MAP), (is_at_edge(heat), wording.EDGE_MAP))
    return tuple(words for warned, words in checks if warned)


def _hot(heat: np.ndarray) -> np.ndarray:
    """Returns the mask of the hottest tenth, less where the map is cold almost everywhere."""
    return (heat >= np.quantile(heat, 1 - _HOT)) & (heat > 0)


def _without_hot(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Returns pixels (height, width, 3) with the hottest tenth blurred, without a seam.

    What is blurred holds nothing fine, so it is computed on a small copy.
    """
    small = fitted(pixels, _SOFT_SIDE)
    high, wide = small.shape[:2]
    sigma = max(1.0, _BLUR * max(high, wide))
    blurred = gaussian_filter(small.astype(np.float32), (sigma, sigma, 0), truncate=2.0)
    hot = Image.fromarray(_hot(heat).astype(np.float32)).resize((wide, high), Image.Resampling.BOX)
    share = gaussian_filter(np.asarray(hot), sigma / 4)
    soft, mask = (_as_large(each, pixels) for each in (blurred, 255 * share))
    return np.asarray(Image.composite(soft, Image.fromarray(pixels), mask))


def _as_large(values: np.ndarray, pixels: np.ndarray) -> Image.Image:
    """Returns values (height, width, …) in 0..255 enlarged to the size of pixels."""
    image = Image.fromarray(np.rint(values).astype(np.uint8))
    return image.resize((pixels.shape[1], pixels.shape[0]), Image.Resampling.BILINEAR)


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Returns Spearman's correlation of values (cells,); 0 where one of them does not vary."""
    ranks = [rankdata(values) for values in (one, other)]
    if min(values.std() for values in ranks) == 0:
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def _small(heat: np.ndarray) -> np.ndarray:
    image = Image.fromarray(np.ascontiguousarray(heat, np.float32))
    return np.asarray(image.resize((_COMPARED, _COMPARED), Image.Resampling.BOX)).ravel()
