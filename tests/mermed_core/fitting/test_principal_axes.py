"""Weights worked out by hand, and axes as a full decomposition of the weighted vectors gives them."""

import numpy as np
import pytest

from mermed_core.fitting.principal_axes import balanced_weights, fit_retrieval_space, principal_axes


def test_every_modality_counts_alike_and_its_sources_by_the_root_of_their_number():
    modalities = np.array(["ct"] * 10 + ["oct"] * 5)
    sources = np.array(["big"] * 9 + ["small"] * 1 + ["only"] * 5)
    weights = balanced_weights(modalities, sources)
    # CT and OCT weigh 7.5 each; of CT three quarters go to nine images and one quarter to a single one.
    expected = [7.5 * 3 / 4 / 9] * 9 + [7.5 / 4] + [7.5 / 5] * 5
    np.testing.assert_allclose(weights, expected)
    assert weights.mean() == pytest.approx(1)


def test_one_level_alone_counts_each_group_alike():
    np.testing.assert_allclose(balanced_weights(np.array(["a", "a", "a", "b"])), [2 / 3] * 3 + [2])
    np.testing.assert_allclose(balanced_weights(np.zeros(5, int)), np.ones(5))


def test_sources_of_one_name_in_two_modalities_are_two():
    modalities = np.array(["ct", "ct", "oct", "oct", "oct", "oct"])
    sources = np.array(["set"] * 6)
    np.testing.assert_allclose(balanced_weights(modalities, sources), [1.5] * 2 + [0.75] * 4)


def test_a_third_level_divides_what_the_second_left():
    levels = (["m"] * 6, ["a"] * 5 + ["b"], ["x"] * 4 + ["y", "x"])
    weights = balanced_weights(*(np.array(level) for level in levels))
    a, b = np.sqrt(5), 1
    of_a = 6 * a / (a + b)
    np.testing.assert_allclose(weights, [of_a * 2 / 3 / 4] * 4 + [of_a / 3, 6 * b / (a + b)])


@pytest.fixture
def made() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(60, 8)) * np.arange(8, 0, -1) + 3, random.uniform(0.1, 2, 60)


def test_axes_are_those_of_the_weighted_vectors(made):
    vectors, weights = made
    axes = principal_axes(vectors, weights, 4)
    mean = np.average(vectors, axis=0, weights=weights)
    covariance = np.cov(vectors.T, aweights=weights, bias=True)
    values, expected = np.linalg.eigh(covariance)
    np.testing.assert_allclose(axes.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(axes.deviations, np.sqrt(values[::-1][:4]), rtol=1e-4)
    np.testing.assert_allclose(np.abs(axes.basis @ expected[:, ::-1][:, :4]), np.eye(4), atol=1e-3)


def test_a_weight_is_worth_as_many_copies():
    vectors = np.random.default_rng(1).normal(size=(12, 5)) * [5, 4, 3, 2, 1]
    weights = np.arange(1, 13)
    weighed = principal_axes(vectors, weights, 3)
    copied = principal_axes(np.repeat(vectors, weights, axis=0), np.ones(weights.sum()), 3)
    np.testing.assert_allclose(weighed.deviations, copied.deviations, rtol=1e-4)
    np.testing.assert_allclose(np.abs(weighed.basis @ copied.basis.T), np.eye(3), atol=1e-3)


@pytest.mark.parametrize(("images", "rank"), [(3, 2), (1, 1), (50, 8)])
def test_there_are_no_more_axes_than_images_and_numbers_allow(made, images, rank):
    axes = principal_axes(made[0][:images], np.ones(images), 100)
    assert axes.basis.shape == (rank, 8)
    assert axes.deviations.min() > 0


def test_retrieval_vectors_are_shortened_along_the_long_axes(made):
    vectors, weights = made
    space = fit_retrieval_space(vectors, weights, 4)
    assert space.dim == 4
    axes = principal_axes(vectors, weights, 4)
    inside = (vectors - axes.mean) @ axes.basis.T
    shortened = inside / np.sqrt(axes.deviations / axes.deviations[0])
    expected = shortened / np.linalg.norm(shortened, axis=1, keepdims=True)
    np.testing.assert_allclose(space.project(vectors), expected, atol=3e-3)
    alike = fit_retrieval_space(vectors, rank=4)
    np.testing.assert_array_equal(
        alike.project(vectors), fit_retrieval_space(vectors, np.ones(60), 4).project(vectors)
    )
    assert alike.digest != space.digest
