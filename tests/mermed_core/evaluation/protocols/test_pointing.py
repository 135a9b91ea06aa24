"""The pointing game with methods whose score is known."""

import functools

import numpy as np
import pytest
from skimage.morphology import dilation, disk

from mermed_core.data.phantoms import FINDINGS, NORMAL, draw_phantom, phantom_manifest
from mermed_core.evaluation.protocols.pointing import cam_methods, hits_by_method, pointing_game
from mermed_core.models.heads import Head

pytestmark = pytest.mark.usefixtures("few_penalties")

SEED = 2
COUNT = 2
FITTED_ON = 16


@functools.cache
def masks():
    """Returns the mask of every phantom of the game, by its pixels."""
    phantoms = [
        draw_phantom(modality, label, seed=SEED * 1_000_003 + 500_000 + number)
        for modality, labels in FINDINGS.items()
        for label in labels
        for number in range(COUNT)
    ]
    return {phantom.pixels.tobytes(): phantom.mask for phantom in phantoms}


def mask_of(pixels):
    return masks()[pixels.tobytes()]


def within(pixels, distance):
    """Returns what is at most so many pixels from the finding."""
    return np.asarray(dilation(mask_of(pixels), disk(distance)), bool)


def oracle(pixels, modality, head, label):
    return mask_of(pixels).astype(float)


def just_beside(pixels, modality, head, label):
    ring = within(pixels, 4) & ~within(pixels, 1)
    return ring.astype(float)


def far_away(pixels, modality, head, label):
    return (~within(pixels, 6)).astype(float)


def oracle_at_half_the_size(pixels, modality, head, label):
    mask = mask_of(pixels)
    return mask.reshape(80, 2, 80, 2).mean(axis=(1, 3))


@pytest.fixture(scope="module")
def calls():
    """What the methods were asked, in order: pixels, modality, head and label."""
    return []


@pytest.fixture(scope="module")
def table(embedder, calls):
    def flat(*call):
        calls.append(call)
        return np.zeros((4, 4))

    methods = {
        "oracle": oracle,
        "coarse": oracle_at_half_the_size,
        "beside": just_beside,
        "far": far_away,
        "flat": flat,
    }
    return pointing_game(embedder, methods, count_per_finding=COUNT, fitted_on=FITTED_ON, seed=SEED)


def test_the_shares_are_those_of_methods_that_know_or_avoid_the_finding(table):
    means = table.groupby("method")[["in_finding", "near_finding"]].mean()
    assert means.loc["oracle"].tolist() == [1, 1]
    assert means.loc["coarse"].tolist() == [1, 1]
    assert means.loc["beside"].tolist() == [0, 1]
    assert means.loc["far"].tolist() == [0, 0]
    assert means.loc["flat"].tolist() == [0, 0]


def test_methods_are_listed_with_the_best_first(table):
    shares = hits_by_method(table)
    assert set(list(shares)[:2]) == {"oracle", "coarse"}
    assert shares == {"oracle": 1, "coarse": 1, "beside": 0, "far": 0, "flat": 0}


def test_every_method_points_at_every_finding(table):
    rows = [(modality, finding) for modality, findings in FINDINGS.items() for finding in findings]
    for _, part in table.groupby("method"):
        assert list(zip(part["modality"], part["finding"], strict=True)) == rows
        assert (part["images"] == COUNT).all()
    areas = [
        draw_phantom("ct", FINDINGS["ct"][0], seed=SEED * 1_000_003 + 500_000 + n).mask.mean()
        for n in range(COUNT)
    ]
    assert table["area"][0] == pytest.approx(np.mean(areas))


def test_nothing_is_pointed_at_that_the_heads_were_fitted_on(table, calls):
    shown = [pixels.tobytes() for pixels, *_ in calls]
    fitted = phantom_manifest(FITTED_ON, SEED)
    known = {fitted.read_image(row).pixels.tobytes() for row in range(len(fitted))}
    assert len(set(shown)) == len(shown) == 8 * COUNT
    assert not known & set(shown)


def test_the_head_is_one_that_tells_the_finding_from_normal(table, calls):
    for _, modality, head, label in calls:
        assert set(head.classes) == {NORMAL, *FINDINGS[modality]}
        assert head.modality == modality
        assert label != NORMAL


def test_every_map_is_finite_and_leaves_the_encoder_as_it_was(embedder):
    methods = cam_methods(embedder)
    head = Head(
        "lung",
        "ct",
        "multiclass",
        ("a",),
        np.ones((1, embedder.backbone.dim), np.float32),
        np.zeros(1),
        1.0,
        1,
    )
    maps = [method(draw_phantom("ct", seed=6).pixels, "ct", head, "a") for method in methods.values()]
    assert len(maps) >= 6
    for heat in maps:
        assert heat.shape == (embedder.config.preprocessing.image_size,) * 2
        assert np.isfinite(heat).all()
    assert not any(module._forward_hooks for module in embedder.backbone.modules())
    assert all(parameter.grad is None for parameter in embedder.backbone.parameters())
