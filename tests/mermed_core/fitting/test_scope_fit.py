"""Scopes: how near a label set's own images lie, those of other hospitals where there are several."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mermed_core.fitting import scope_fit
from mermed_core.fitting.scope_fit import SourceVectors
from mermed_core.models.scopes import Scope

# Vectors are compared as they are.
DETECTOR: Any = SimpleNamespace(near=lambda vectors: vectors, whitening=np.eye(3))


def around(degrees: float, count: int, seed: int, spread: float = 4) -> np.ndarray:
    """Returns unit vectors in three dimensions around a direction in the plane of the first two."""
    random = np.random.default_rng(seed)
    angles = np.radians(degrees + random.normal(0, spread, count))
    vectors = np.column_stack([np.cos(angles), np.sin(angles), random.normal(0, 0.03, count)])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def nearest(vectors: np.ndarray, references: np.ndarray, count: int = 5) -> np.ndarray:
    return np.sort(vectors @ references.T, axis=1)[:, -count:].mean(1)


def fit_scope(region: str, *images: SourceVectors) -> Scope:
    """Fits a scope on training images, held-out images and, where they are given, others."""
    none = SourceVectors(np.empty((0, 3), np.float32), np.empty(0, str))
    return scope_fit.fit_scope("lung", region, DETECTOR, *images, *[none] * (3 - len(images)))


def limit(similar: np.ndarray) -> float:
    """Two in a hundred lie below, but never less than 0.1 below the median."""
    return float(min(np.quantile(similar, 0.02), np.median(similar) - 0.1))


def names(*counts: tuple[str, int]) -> np.ndarray:
    return np.concatenate([[name] * count for name, count in counts])


def test_the_limit_leaves_out_two_per_cent_of_held_out_images():
    train, held_out = around(0, 60, 0), around(0, 200, 1, spread=25)
    scope = fit_scope(
        "chest", SourceVectors(train, names(("a", 60))), SourceVectors(held_out, names(("a", 200)))
    )
    similar = nearest(held_out, train)
    assert (scope.task, scope.region) == ("lung", "chest")
    assert scope.nearness.value == pytest.approx(limit(similar), abs=1e-3)
    assert scope.nearness.spread == pytest.approx((np.median(similar) - limit(similar)) / 4, abs=1e-3)
    relevance = np.array([scope.relevance(vector, {"chest": 1.0}) for vector in held_out])
    assert (relevance >= 0.5).mean() == pytest.approx(0.98, abs=0.005)
    assert scope.relevance(around(90, 1, 2)[0], {"chest": 1.0}) < 0.05


def test_with_several_sources_an_image_is_compared_with_the_others_alone():
    train = np.concatenate([around(0, 40, 0), around(40, 40, 1)])
    held_out = np.concatenate([around(0, 100, 2), around(40, 100, 3)])
    sources, held_out_sources = names(("a", 40), ("b", 40)), names(("a", 100), ("b", 100))
    scope = fit_scope("", SourceVectors(train, sources), SourceVectors(held_out, held_out_sources))
    across = np.concatenate([nearest(held_out[:100], train[40:]), nearest(held_out[100:], train[:40])])
    assert scope.nearness.value == pytest.approx(limit(across), abs=2e-3)
    # Compared with its own hospital's images as well it would be far higher.
    assert scope.nearness.value < np.quantile(nearest(held_out, train), 0.02) - 0.1


def test_a_source_without_held_out_images_is_only_compared_with():
    train = np.concatenate([around(0, 40, 0), around(40, 40, 1)])
    held_out = around(0, 100, 2)
    sources = names(("a", 40), ("b", 40))
    scope = fit_scope("", SourceVectors(train, sources), SourceVectors(held_out, names(("a", 100))))
    assert scope.nearness.value == pytest.approx(limit(nearest(held_out, train[40:])), abs=2e-3)


def test_without_held_out_images_the_training_images_stand_in():
    train = around(0, 40, 0)
    scope = fit_scope("", SourceVectors(train, names(("a", 40))))
    assert scope.nearness.value == pytest.approx(limit(nearest(train, train)), abs=1e-3)


def test_references_are_shared_among_the_sources_and_halved(monkeypatch):
    monkeypatch.setattr(scope_fit, "REFERENCES", 10)
    train = around(0, 60, 0)
    sources = names(("a", 3), ("b", 57))
    scope = fit_scope("", SourceVectors(train, sources))
    expected = train[[0, 1, 2, 3, 4, 5, 6, 7]]
    np.testing.assert_array_equal(scope.references, expected.astype(np.float16).astype(np.float32))


def test_images_that_are_all_the_same_still_give_a_limit():
    train = np.repeat(around(0, 1, 0), 20, axis=0)
    scope = fit_scope("", SourceVectors(train, names(("a", 20))), SourceVectors(train, names(("a", 20))))
    assert scope.nearness.spread == pytest.approx(0.025)
    assert scope.relevance(train[0], {}) == pytest.approx(1 / (1 + np.exp(-4)), abs=0.01)


def test_most_of_its_own_images_lead_over_images_without_a_label_and_those_do_not():
    train, held_out = around(0, 60, 0), around(0, 200, 1)
    other, foreign = around(12, 60, 2), around(12, 200, 3)
    scope = fit_scope(
        "",
        SourceVectors(train, names(("a", 60))),
        SourceVectors(held_out, names(("a", 200))),
        SourceVectors(other, names(("b", 60))),
    )
    leads = nearest(held_out, train) - nearest(held_out, other)
    value = min(0.0, np.quantile(leads, 0.02))
    assert scope.lead is not None
    assert scope.lead.value == pytest.approx(value, abs=1e-3)
    assert scope.lead.spread == pytest.approx(max(np.median(leads) - value, 0.02) / 4, abs=1e-3)
    own = np.mean([scope.relevance(vector, {}) >= 0.5 for vector in held_out])
    without = np.mean([scope.relevance(vector, {}) >= 0.5 for vector in foreign])
    assert own > 0.9
    assert without < 0.15
    alone = fit_scope("", SourceVectors(train, names(("a", 60))), SourceVectors(held_out, names(("a", 200))))
    assert alone.lead is None
    # Near as they are, nothing else would keep them out.
    assert np.mean([alone.relevance(vector, {}) >= 0.5 for vector in foreign]) > 0.9
