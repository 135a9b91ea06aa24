"""What a label set is about: near enough to its images, and of its part of the body."""

import json

import numpy as np
import pytest

from mermed_core.errors import ModelError
from mermed_core.models.scopes import NUMBERS, SCOPES, Limit, Scope, load_scopes, save_scopes, similarity


def towards(degrees: float) -> np.ndarray:
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32)


NOBODY = np.empty((0, 2), np.float32)


def scope(region: str = "", task: str = "lung", others: np.ndarray = NOBODY) -> Scope:
    lead = Limit(-0.1, 0.05) if len(others) else None
    return Scope(task, region, np.stack([towards(0)] * 5 + [towards(180)]), Limit(0.5, 0.1), others, lead)


def test_at_the_limit_an_image_is_as_likely_within_as_not():
    assert scope().relevance(towards(60), {}) == pytest.approx(0.5, abs=1e-5)  # cos 60° is the limit
    nearer, farther = scope().relevance(towards(53.1301), {}), scope().relevance(towards(90), {})
    assert nearer == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-4)  # 0.6: one spread above it
    assert farther == pytest.approx(1 / (1 + np.exp(5)), abs=1e-4)


def test_the_five_nearest_images_count():
    references = np.stack([towards(degrees) for degrees in range(0, 80, 10)])
    expected = [
        np.cos(np.radians([0, 10, 20, 30, 40])).mean(),
        np.cos(np.radians([0, 10, 10, 20, 20])).mean(),
    ]
    np.testing.assert_allclose(
        similarity(np.stack([towards(0), towards(20)]), references), expected, atol=1e-6
    )
    few = similarity(towards(0)[None], references[:2])
    assert few[0] == pytest.approx((1 + np.cos(np.radians(10))) / 2)


def test_an_image_that_is_nearer_to_others_is_without():
    near = towards(0)
    alone = scope().relevance(near, {})
    # Others at 90°: a lead of 1 over them, 22 spreads beyond the limit of −0.1.
    assert scope(others=towards(90)[None]).relevance(near, {}) == pytest.approx(alone, abs=1e-6)
    # Others in the same place: a lead of 0, two spreads beyond it.
    assert scope(others=near[None]).relevance(near, {}) == pytest.approx(alone / (1 + np.exp(-2)), abs=1e-5)
    away = towards(30)
    lead = np.cos(np.radians(30)) - 1
    expected = scope().relevance(away, {}) / (1 + np.exp(-(lead + 0.1) / 0.05))
    assert scope(others=away[None]).relevance(away, {}) == pytest.approx(expected, abs=1e-5)


def test_an_image_of_another_part_of_the_body_is_without():
    chest, near = scope("chest"), towards(0)
    alone = scope().relevance(near, {})
    assert chest.relevance(near, {"chest": 0.25, "head": 0.75}) == pytest.approx(alone / 4)
    assert chest.relevance(near, {"head": 1.0}) == 0


def test_scopes_come_back_as_they_were(tmp_path):
    before = (scope("chest"), scope(task="liver", others=np.stack([towards(90), towards(80)])))
    save_scopes(tmp_path, before)
    after = load_scopes(tmp_path, 2)
    for left, right in zip(before, after, strict=True):
        for name in ("task", "region", "nearness", "lead"):
            assert getattr(left, name) == getattr(right, name)
        for name in ("references", "others"):
            assert getattr(right, name).dtype == np.float32
            np.testing.assert_allclose(getattr(left, name), getattr(right, name), atol=1e-3)


def test_scopes_of_an_older_model_know_no_others(tmp_path):
    save_scopes(tmp_path, (scope(),))
    assert set(json.loads((tmp_path / SCOPES).read_text())[0]) == {"task", "region", "limit", "spread"}
    (after,) = load_scopes(tmp_path, 2)
    assert after.lead is None
    assert after.others.shape == (0, 2)


def test_others_that_are_missing_are_damage(tmp_path):
    save_scopes(tmp_path, (scope(),))
    (entry,) = json.loads((tmp_path / SCOPES).read_text())
    (tmp_path / SCOPES).write_text(json.dumps([entry | {"lead": 0.0, "lead_spread": 0.1}]))
    with pytest.raises(ModelError, match="damaged"):
        load_scopes(tmp_path, 2)


def test_a_model_without_label_sets_has_no_scopes(tmp_path):
    save_scopes(tmp_path, ())
    assert load_scopes(tmp_path, 2) == ()


def test_missing_scopes_say_how_to_fit_them(tmp_path):
    with pytest.raises(ModelError, match="mermed fit"):
        load_scopes(tmp_path, 2)


@pytest.mark.parametrize("content", [b"", b"{", b"3", b'[{"task": "lung"}]', b'["lung"]'])
def test_damaged_scopes_are_a_sentence(tmp_path, content):
    save_scopes(tmp_path, (scope(),))
    (tmp_path / SCOPES).write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        load_scopes(tmp_path, 2)


def test_scopes_without_their_images_are_damaged(tmp_path):
    save_scopes(tmp_path, (scope(),))
    entries = json.loads((tmp_path / SCOPES).read_text())
    (tmp_path / SCOPES).write_text(json.dumps([*entries, entries[0] | {"task": "liver"}]))
    with pytest.raises(ModelError, match="damaged"):
        load_scopes(tmp_path, 2)
    (tmp_path / NUMBERS).write_bytes(b"nothing")
    with pytest.raises(ModelError, match="damaged"):
        load_scopes(tmp_path, 2)


def test_scopes_of_another_detector_are_refused(tmp_path):
    save_scopes(tmp_path, (scope(),))
    with pytest.raises(ModelError, match=r"'lung'.*does not fit"):
        load_scopes(tmp_path, 3)
