import re

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mermed_core.errors import ModelError
from mermed_core.models.ood import ACCEPTANCE, MARGIN, NUMBERS, SETTINGS, fit_gate, load_gate, save_gate

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
def gate():
    (train, classes), (held_out, modalities) = known(400, 0), known(300, 1)
    return fit_gate(train, classes, classes, held_out, modalities)


def test_it_lets_known_images_pass(gate):
    accepted = (gate.scores(known(2000, 2)[0]) <= gate.threshold).mean()
    assert accepted > ACCEPTANCE - 0.01


def test_without_its_margin_it_lets_pass_what_it_promises(gate):
    accepted = (gate.scores(known(2000, 2)[0]) <= gate.threshold / MARGIN).mean()
    assert accepted == pytest.approx(ACCEPTANCE, abs=0.03)


def test_it_stops_what_lies_in_other_directions(gate):
    strange = np.random.default_rng(3).normal(size=(200, DIM)).astype(np.float32)
    strange /= np.linalg.norm(strange, axis=1, keepdims=True)
    assert (gate.scores(strange) <= gate.threshold).mean() < 0.05


def test_the_scores_are_the_distance_worked_out_the_plain_way(gate):
    vectors = known(20, 4)[0]
    centred = vectors - gate.mean
    inside = centred @ gate.basis.T
    outside = ((centred - inside @ gate.basis) ** 2).sum(1)
    distances = []
    for centre, owner in zip(gate.centres, gate.owners, strict=True):
        distances.append((((inside - centre) @ gate.whitening[owner]) ** 2).sum(1))
    expected = np.min(distances, axis=0) / len(gate.basis) + outside / gate.residual
    np.testing.assert_allclose(gate.scores(vectors), expected, rtol=1e-3)


def test_the_spread_is_half_of_the_own_modality_and_half_of_all():
    (train, classes), (held_out, _) = known(400, 0), known(100, 1)
    wide = np.where(classes == "1", "oct", "ct")
    gate = fit_gate(train, classes, wide, held_out, np.full(100, "ct"))
    inside = (train - gate.mean) @ gate.basis.T
    parts = [inside[classes == name] - inside[classes == name].mean(0) for name in "01"]
    pooled = np.cov(np.concatenate(parts).T, bias=True)
    pooled += 0.01 * np.trace(pooled) / len(pooled) * np.eye(len(pooled))
    for whitening, part in zip(gate.whitening, parts, strict=True):
        expected = (np.cov(part.T, bias=True) + pooled) / 2
        np.testing.assert_allclose(np.linalg.inv(whitening @ whitening.T), expected, rtol=0.02, atol=1e-6)


def test_a_class_that_two_modalities_share_has_a_centre_in_each():
    (train, classes), (held_out, _) = known(400, 0), known(100, 1)
    gate = fit_gate(train, np.full(400, "none"), classes, held_out, np.full(100, "ct"))
    assert gate.owners.tolist() == [0, 1]
    assert np.linalg.norm(gate.centres[0] - gate.centres[1]) > 1


def test_an_image_that_varies_as_only_another_modality_does_is_farther_off():
    generator = np.random.default_rng(0)
    vectors = np.concatenate([np.tile(np.eye(DIM)[0], (300, 1)), np.tile(np.eye(DIM)[1], (300, 1))])
    vectors += 0.01 * generator.normal(size=vectors.shape)
    vectors[:300, 2] += 0.3 * generator.normal(size=300)
    vectors[300:, 3] += 0.3 * generator.normal(size=300)
    modalities = np.repeat(["ct", "oct"], 300)
    own = fit_gate(vectors, modalities, modalities, vectors, modalities)
    shared = fit_gate(vectors, modalities, np.full(600, "ct"), vectors, modalities)
    strange = (np.eye(DIM)[0] + 0.6 * np.eye(DIM)[3])[None]
    assert own.scores(strange) / own.threshold > 1.2 * shared.scores(strange) / shared.threshold


def test_it_says_why_in_three_degrees(gate):
    vectors = known(2000, 2)[0]
    scores = gate.scores(vectors)
    inner, doubtful = gate.threshold / MARGIN, gate.threshold
    near = vectors[scores.argmin()]
    border = vectors[np.flatnonzero((scores > inner) & (scores <= doubtful))[0]]
    assert "as near" in gate.judge(near, "ct")[1]
    assert gate.judge(border, "ct")[0]
    assert "with doubt" in gate.judge(border, "ct")[1]
    accepted, words = gate.judge(np.eye(DIM, dtype=np.float32)[50], "oct")
    assert not accepted
    assert "OCT is the nearest kind" in words
    assert "No finding is named" in words


def test_every_modality_counts_alike_in_the_threshold():
    (train, classes), (held_out, _) = known(400, 0), known(100, 1)
    far = np.eye(DIM, dtype=np.float32)[-1:]
    both = np.concatenate([held_out, far])
    rare = fit_gate(train, classes, classes, both, np.array(["common"] * 100 + ["rare"]))
    pooled = fit_gate(train, classes, classes, both, np.array(["one"] * 101))
    assert rare.threshold > 1.5 * pooled.threshold


def test_a_gate_comes_back_as_it_was(gate, tmp_path):
    save_gate(tmp_path, gate)
    vectors = known(20, 5)[0]
    loaded = load_gate(tmp_path, DIM)
    np.testing.assert_allclose(loaded.scores(vectors), gate.scores(vectors), rtol=1e-5)
    assert loaded.threshold == gate.threshold


def test_a_missing_or_wrong_gate_is_a_sentence(gate, tmp_path):
    with pytest.raises(ModelError, match=r"train\.fit_heads"):
        load_gate(tmp_path, DIM)
    save_gate(tmp_path, gate)
    with pytest.raises(ModelError, match="length 7"):
        load_gate(tmp_path, 7)


@pytest.mark.parametrize("file", [SETTINGS, NUMBERS])
def test_a_damaged_gate_is_a_sentence(gate, tmp_path, file):
    save_gate(tmp_path, gate)
    (tmp_path / file).write_bytes(b"{}")
    with pytest.raises(ModelError, match="damaged"):
        load_gate(tmp_path, DIM)


def test_it_says_what_share_of_known_images_is_farther_off(gate):
    vectors = known(2000, 2)[0]
    for vector in vectors[gate.scores(vectors) < gate.threshold / MARGIN][:20]:
        farther = (gate.quantiles > gate.scores(vector[None])[0]).mean()
        said = re.search(r"nearer than (\d+) %", gate.judge(vector, "ct")[1])
        assert said
        assert int(said[1]) == pytest.approx(100 * farther, abs=1)


def test_the_subspace_is_orthonormal_and_the_classes_are_white_in_it():
    (train, classes), (held_out, modalities) = known(400, 0), known(300, 1)
    gate = fit_gate(train, classes, np.full(400, "ct"), held_out, modalities)
    np.testing.assert_allclose(gate.basis @ gate.basis.T, np.eye(len(gate.basis)), atol=1e-4)
    inside = (train - gate.mean) @ gate.basis.T
    for name, centre in zip(np.unique(classes), gate.centres, strict=True):
        np.testing.assert_allclose(inside[classes == name].mean(0), centre, atol=1e-3)
    spread = np.cov(((inside - gate.centres[classes.astype(int)]) @ gate.whitening[0]).T, bias=True)
    assert 0.3 < np.diag(spread).min() <= np.diag(spread).max() < 1.01
    assert np.linalg.eigvalsh(spread).max() < 1.01


def test_a_gate_of_an_earlier_version_is_to_be_fitted_again(gate, tmp_path):
    save_gate(tmp_path, gate)
    arrays = load_file(tmp_path / NUMBERS)
    del arrays["owners"]
    save_file(arrays, tmp_path / NUMBERS)
    with pytest.raises(ModelError, match=r"earlier version.*train\.fit_heads"):
        load_gate(tmp_path, DIM)
