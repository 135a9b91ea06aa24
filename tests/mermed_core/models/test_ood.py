import re

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mermed_core.errors import ModelError
from mermed_core.models.ood import (
    ACCEPTANCE,
    MARGIN,
    NUMBERS,
    SETTINGS,
    fit_detector,
    load_detector,
    save_detector,
)

DIM = 100


def known(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns unit vectors of two classes that vary in four of a hundred directions, and their classes."""
    generator = np.random.default_rng(seed)
    member = generator.integers(0, 2, count)
    centre = np.where(member[:, None] == 0, np.eye(DIM)[0], np.eye(DIM)[1])
    vectors = centre + 0.2 * generator.normal(size=(count, DIM)) * (np.arange(DIM) < 4)
    vectors += 0.01 * generator.normal(size=(count, DIM))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), member.astype(str)


@pytest.fixture(scope="module")
def detector():
    (train, classes), (held_out, modalities) = known(400, 0), known(300, 1)
    return fit_detector(train, classes, classes, held_out, modalities)


def test_known_images_are_accepted(detector):
    accepted = (detector.scores(known(2000, 2)[0]) <= detector.threshold).mean()
    assert accepted > ACCEPTANCE - 0.01


def test_without_its_margin_it_accepts_the_share_that_it_states(detector):
    accepted = (detector.scores(known(2000, 2)[0]) <= detector.threshold / MARGIN).mean()
    assert accepted == pytest.approx(ACCEPTANCE, abs=0.03)


def test_what_lies_in_other_directions_is_rejected(detector):
    strange = np.random.default_rng(3).normal(size=(200, DIM)).astype(np.float32)
    strange /= np.linalg.norm(strange, axis=1, keepdims=True)
    assert (detector.scores(strange) <= detector.threshold).mean() < 0.05


def test_the_scores_are_the_distance_worked_out_the_plain_way(detector):
    vectors = known(20, 4)[0]
    centred = vectors - detector.mean
    inside = centred @ detector.basis.T
    outside = ((centred - inside @ detector.basis) ** 2).sum(1)
    distances = []
    for centre, owner in zip(detector.centres, detector.owners, strict=True):
        distances.append((((inside - centre) @ detector.whitening[owner]) ** 2).sum(1))
    expected = np.min(distances, axis=0) / len(detector.basis) + outside / detector.residual
    np.testing.assert_allclose(detector.scores(vectors), expected, rtol=1e-3)


def test_the_spread_is_half_of_the_own_modality_and_half_of_all():
    (train, classes), (held_out, _) = known(400, 0), known(100, 1)
    wide = np.where(classes == "1", "oct", "ct")
    detector = fit_detector(train, classes, wide, held_out, np.full(100, "ct"))
    inside = (train - detector.mean) @ detector.basis.T
    parts = [inside[classes == name] - inside[classes == name].mean(0) for name in "01"]
    pooled = np.cov(np.concatenate(parts).T, bias=True)
    pooled += 0.01 * np.trace(pooled) / len(pooled) * np.eye(len(pooled))
    for whitening, part in zip(detector.whitening, parts, strict=True):
        expected = (np.cov(part.T, bias=True) + pooled) / 2
        np.testing.assert_allclose(np.linalg.inv(whitening @ whitening.T), expected, rtol=0.02, atol=1e-6)


def test_a_class_that_two_modalities_share_has_a_centre_in_each():
    (train, classes), (held_out, _) = known(400, 0), known(100, 1)
    detector = fit_detector(train, np.full(400, "none"), classes, held_out, np.full(100, "ct"))
    assert detector.owners.tolist() == [0, 1]
    assert np.linalg.norm(detector.centres[0] - detector.centres[1]) > 1


def test_an_image_that_varies_as_only_another_modality_does_is_farther_off():
    generator = np.random.default_rng(0)
    vectors = np.concatenate([np.tile(np.eye(DIM)[0], (300, 1)), np.tile(np.eye(DIM)[1], (300, 1))])
    vectors += 0.01 * generator.normal(size=vectors.shape)
    vectors[:300, 2] += 0.3 * generator.normal(size=300)
    vectors[300:, 3] += 0.3 * generator.normal(size=300)
    modalities = np.repeat(["ct", "oct"], 300)
    own = fit_detector(vectors, modalities, modalities, vectors, modalities)
    shared = fit_detector(vectors, modalities, np.full(600, "ct"), vectors, modalities)
    strange = (np.eye(DIM)[0] + 0.6 * np.eye(DIM)[3])[None]
    assert own.scores(strange) / own.threshold > 1.2 * shared.scores(strange) / shared.threshold


def test_it_says_why_in_three_degrees(detector):
    vectors = known(2000, 2)[0]
    scores = detector.scores(vectors)
    inner, doubtful = detector.threshold / MARGIN, detector.threshold
    near = vectors[scores.argmin()]
    border = vectors[np.flatnonzero((scores > inner) & (scores <= doubtful))[0]]
    assert "as close" in detector.judge(near, "ct")[1]
    assert detector.judge(border, "ct")[0]
    assert "with caution" in detector.judge(border, "ct")[1]
    accepted, words = detector.judge(np.eye(DIM, dtype=np.float32)[50], "oct")
    assert not accepted
    assert "nearest kind is OCT" in words
    assert "No findings are given" in words


def test_every_modality_counts_alike_in_the_threshold():
    (train, classes), (held_out, _) = known(400, 0), known(100, 1)
    far = np.eye(DIM, dtype=np.float32)[-1:]
    both = np.concatenate([held_out, far])
    rare = fit_detector(train, classes, classes, both, np.array(["common"] * 100 + ["rare"]))
    pooled = fit_detector(train, classes, classes, both, np.array(["one"] * 101))
    assert rare.threshold > 1.5 * pooled.threshold


def test_a_detector_comes_back_as_it_was(detector, tmp_path):
    save_detector(tmp_path, detector)
    vectors = known(20, 5)[0]
    loaded = load_detector(tmp_path, DIM)
    np.testing.assert_allclose(loaded.scores(vectors), detector.scores(vectors), rtol=1e-5)
    assert loaded.threshold == detector.threshold


def test_a_detector_under_the_names_of_the_first_models_is_read(detector, tmp_path):
    save_detector(tmp_path, detector)
    (tmp_path / SETTINGS).rename(tmp_path / "gate.json")
    (tmp_path / NUMBERS).rename(tmp_path / "gate.safetensors")
    assert load_detector(tmp_path, DIM).threshold == detector.threshold


def test_a_missing_or_wrong_detector_is_a_sentence(detector, tmp_path):
    with pytest.raises(ModelError, match=r"mermed fit"):
        load_detector(tmp_path, DIM)
    save_detector(tmp_path, detector)
    with pytest.raises(ModelError, match="length 7"):
        load_detector(tmp_path, 7)


@pytest.mark.parametrize("file", [SETTINGS, NUMBERS])
def test_a_damaged_detector_is_a_sentence(detector, tmp_path, file):
    save_detector(tmp_path, detector)
    (tmp_path / file).write_bytes(b"{}")
    with pytest.raises(ModelError, match="damaged"):
        load_detector(tmp_path, DIM)


def test_it_says_what_share_of_known_images_is_farther_off(detector):
    vectors = known(2000, 2)[0]
    for vector in vectors[detector.scores(vectors) < detector.threshold / MARGIN][:20]:
        farther = (detector.quantiles > detector.scores(vector[None])[0]).mean()
        stated = re.search(r"closer than (\d+)%", detector.judge(vector, "ct")[1])
        assert stated
        assert int(stated[1]) == pytest.approx(100 * farther, abs=1)


def test_the_subspace_is_orthonormal_and_the_classes_are_white_in_it():
    (train, classes), (held_out, modalities) = known(400, 0), known(300, 1)
    detector = fit_detector(train, classes, np.full(400, "ct"), held_out, modalities)
    np.testing.assert_allclose(detector.basis @ detector.basis.T, np.eye(len(detector.basis)), atol=1e-4)
    inside = (train - detector.mean) @ detector.basis.T
    for name, centre in zip(np.unique(classes), detector.centres, strict=True):
        np.testing.assert_allclose(inside[classes == name].mean(0), centre, atol=1e-3)
    spread = np.cov(((inside - detector.centres[classes.astype(int)]) @ detector.whitening[0]).T, bias=True)
    assert 0.3 < np.diag(spread).min() <= np.diag(spread).max() < 1.01
    assert np.linalg.eigvalsh(spread).max() < 1.01


def test_a_detector_of_an_earlier_version_is_to_be_fitted_again(detector, tmp_path):
    save_detector(tmp_path, detector)
    arrays = load_file(tmp_path / NUMBERS)
    del arrays["owners"]
    save_file(arrays, tmp_path / NUMBERS)
    with pytest.raises(ModelError, match=r"earlier version.*mermed fit"):
        load_detector(tmp_path, DIM)
