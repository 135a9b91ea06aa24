import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr

from mermed_core.data.phantoms import FINDINGS, draw_phantom
from mermed_core.errors import ModelError
from mermed_core.inference.map_check import (
    MapCheck,
    _hot,
    _rank_correlation,
    _without_hot,
    check_map,
    is_at_edge,
    is_flat,
    map_warnings,
)
from mermed_core.inference.predictor import MedicalImage
from mermed_core.models.cam import METHODS
from mermed_core.reports.case.wording import EDGE_MAP, FLAT_MAP


def spot(row: int, column: int, sigma: float) -> np.ndarray:
    rows, columns = np.indices((80, 100))
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2)).astype(np.float32)


def test_a_map_is_tried_and_its_class_asked_again_without_the_hot_part(predictor):
    image = MedicalImage(draw_phantom("oct", FINDINGS["oct"][0], size=96, seed=3).pixels, 1, 0, "PNG", ())
    embedding = predictor.embed(image, modality="oct")
    head = predictor.heads.get("phantom_oct")
    saliency = predictor.explain(image, task=head.task, label=head.classes[0], embedding=embedding)
    check = check_map(predictor, image, embedding, saliency)
    assert check.before == pytest.approx(head.probabilities(embedding.vector[None])[0, 0])
    assert 0 <= check.after <= 1
    assert check.after != check.before
    assert -1 <= check.shuffled < 1
    assert check == check_map(predictor, image, embedding, saliency)


def test_every_method_can_be_asked_for_and_no_other(predictor):
    image = MedicalImage(draw_phantom("oct", FINDINGS["oct"][0], size=96, seed=3).pixels, 1, 0, "PNG", ())
    head = predictor.heads.get("phantom_oct")
    for method in METHODS:
        saliency = predictor.explain(image, task=head.task, label=head.classes[0], method=method)
        assert saliency.method == method
    with pytest.raises(ModelError, match="no heat map 'magic'"):
        predictor.explain(image, task=head.task, label=head.classes[0], method="magic")


def test_the_correlation_is_scipys():
    one, other = np.random.default_rng(0).normal(size=(2, 50)).round(1)
    assert _rank_correlation(one, other) == pytest.approx(spearmanr(one, other)[0])
    assert _rank_correlation(one, np.zeros(50)) == 0
    assert MapCheck(0.8, 0.5, 0.5).like_shuffled


def test_flat_maps_and_maps_at_the_border_are_told_from_others():
    assert is_flat(np.ones((80, 100)))
    assert is_flat(spot(40, 50, 200))
    assert not is_flat(spot(40, 50, 10))
    assert is_at_edge(spot(0, 50, 6))
    assert is_at_edge(spot(40, 99, 6))
    assert not is_at_edge(spot(40, 50, 10))
    assert not is_at_edge(np.zeros((80, 100)))
    assert map_warnings(spot(40, 50, 10)) == ()
    assert map_warnings(spot(0, 50, 6)) == (EDGE_MAP,)
    assert FLAT_MAP in map_warnings(np.ones((80, 100)))


def test_the_hot_part_is_blurred_as_it_would_be_at_full_size():
    pixels = draw_phantom("fundus", FINDINGS["fundus"][0], size=700, seed=3).pixels[:, :560]
    rows, columns = np.indices(pixels.shape[:2])
    heat = np.exp(-((rows - 300) ** 2 + (columns - 200) ** 2) / 9000).astype(np.float32)
    sigma = 0.06 * 700
    blurred = gaussian_filter(pixels.astype(np.float32), (sigma, sigma, 0), truncate=2.0)
    share = gaussian_filter(_hot(heat).astype(np.float32), sigma / 4)[..., None]
    difference = np.abs(_without_hot(pixels, heat) - (pixels * (1 - share) + blurred * share))
    assert difference.mean() < 0.3
    assert difference.max() < 8
    np.testing.assert_array_equal(_without_hot(pixels, heat)[600:], pixels[600:])
