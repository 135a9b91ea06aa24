"""The detector's fit: what is left out teaches nothing, and what is asked about it decides."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from mermed_core.fitting import detector_fit
from mermed_core.fitting.detector_fit import Answers, KnownVectors, UnknownVectors, fit_detector
from mermed_core.fitting.principal_axes import balanced_weights, principal_axes
from mermed_core.models.ood import unit
from mermed_core.records import SYNTHETIC_PREFIX

WIDTH = 24
# The direction of each modality and of each unknown kind, and what a source adds of its own.
MODALITIES = {"ct_a": "ct", "ct_b": "ct", "ct_c": "ct", "oct_a": "oct", "oct_b": "oct", "cxr_a": "cxr"}
DIRECTION = {"ct": 0, "oct": 1, "cxr": 2, "pets": 3, "food": 4, "cars": 5}


def drawn(direction: int, count: int, seed: int, own: int = 0, spread: float = 0.06) -> np.ndarray:
    random = np.random.default_rng(seed)
    vectors = np.eye(WIDTH)[direction] + 0.3 * np.eye(WIDTH)[own or direction]
    return unit(vectors + random.normal(0, spread, (count, WIDTH)))


def known(sources: dict[str, str], count: int = 40, seed: int = 0, copies: int = 0) -> KnownVectors:
    parts = []
    for number, (source, modality) in enumerate(sources.items()):
        total = count + copies
        parts.append(
            KnownVectors(
                drawn(DIRECTION[modality], total, 100 * seed + number, 8 + number),
                np.full(total, modality),
                np.full(total, source),
                np.array([f"{source}/{row % 2}" for row in range(total)]),
                np.arange(total) < count,
                np.array([f"{source} {row // 2}" for row in range(total)]),
            )
        )
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.joined(part)
    return whole.rows(np.random.default_rng(seed).permutation(len(whole.vectors)))


def unknown(*kinds: str, count: int = 20) -> UnknownVectors:
    vectors = [drawn(DIRECTION[kind], count, 50 + number) for number, kind in enumerate(kinds)]
    original = np.arange(count * len(kinds)) % 2 == 0
    if not kinds:
        return UnknownVectors(np.empty((0, WIDTH), np.float32), np.empty(0, str), original)
    return UnknownVectors(np.concatenate(vectors), np.repeat(kinds, count), original)


@pytest.fixture(scope="module")
def fitted():
    return fit_detector(
        known(MODALITIES, copies=10), unknown("pets", "food", "cars"), known(MODALITIES, seed=1)
    )


@pytest.fixture
def fits(monkeypatch):
    """The sources and kinds of every fit."""
    asked: list[tuple[set[str], set[str]]] = []
    fit = detector_fit._fit_parts

    def spy(known, unknown, classes=None):
        asked.append((set(known.sources), set(unknown.kinds)))
        return fit(known, unknown, classes)

    monkeypatch.setattr(detector_fit, "_fit_parts", spy)
    return asked


def test_known_images_pass_and_unknown_ones_do_not(fitted):
    fresh = known(MODALITIES, seed=2)
    logits = fitted.modality_head.logits(fresh.vectors)
    named = np.array(fitted.modality_head.classes)[logits.argmax(1)]
    assert (named == fresh.modalities).mean() > 0.98
    assert fitted.detector.passes(fresh.vectors, logits).mean() > 0.9
    for direction in (3, 6, 7):  # a kind that it saw and two that it did not
        strange = drawn(direction, 50, direction)
        passed = fitted.detector.passes(strange, fitted.modality_head.logits(strange))
        assert passed.mean() < 0.1


def test_a_source_or_kind_that_is_left_out_is_never_in_its_own_fit(fits):
    everything, kinds = set(MODALITIES), {"pets", "food"}
    fitted = fit_detector(known(MODALITIES), unknown("pets", "food"), known(MODALITIES, seed=1))
    left_out = [
        *((everything - {source}, kinds) for source in ("ct_a", "ct_b", "ct_c", "oct_a", "oct_b")),
        *((everything, kinds - {kind}) for kind in ("food", "pets")),
    ]
    assert fits == [(everything, kinds), *left_out]
    assert set(fitted.sources) == everything - {"cxr_a"}  # nothing would be left to know X-rays by
    assert set(fitted.kinds) == kinds
    assert set(fitted.scores) == set(fitted.thresholds) == set(fitted.sources) | kinds


def test_a_source_that_is_all_wrong_leaks_nothing_into_its_own_answers():
    """Were images of `odd` in the fit that is asked about them, they would be recognised as CT."""
    images = known(MODALITIES)
    odd = KnownVectors(
        drawn(1, 40, 9, own=20),  # where OCT lies
        np.full(40, "ct"),
        np.full(40, "odd"),
        np.full(40, "odd/0"),
        np.full(40, True),
        np.arange(40).astype(str),
    )
    fitted = fit_detector(images.joined(odd), unknown("pets", "food"), known(MODALITIES, seed=1))
    classes = np.array(fitted.modality_head.classes)
    assert (classes[fitted.sources["odd"].logits.argmax(1)] == "oct").all()
    assert (classes[fitted.modality_head.logits(odd.vectors).argmax(1)] == "ct").mean() > 0.9
    # Its own answers do not count in the limit that it is measured with either.
    assert fitted.thresholds["odd"] != fitted.detector.threshold[0]


def test_answers_are_those_of_a_fit_without_the_source(fitted):
    images, kinds = known(MODALITIES, copies=10), unknown("pets", "food", "cars")
    detector, head = detector_fit._fit_parts(
        images.rows(images.sources != "oct_a"), kinds, fitted.modality_head.classes
    )
    answers = fitted.sources["oct_a"]
    asked = images.rows((images.sources == "oct_a") & images.original)
    assert len(answers.logits) == 40  # changed copies are not asked about
    logits = head.logits(asked.vectors) / fitted.modality_head.temperature
    assert sorted(answers.groups) == sorted(asked.groups)
    np.testing.assert_allclose(np.sort(answers.logits, axis=0), np.sort(logits, axis=0), rtol=1e-4, atol=1e-4)
    witnesses = detector.witnesses(asked.vectors, logits)
    np.testing.assert_allclose(
        np.sort(answers.witnesses, axis=0), np.sort(witnesses, axis=0), rtol=1e-3, atol=1e-3
    )
    assert set(answers.modalities) == {"oct"}


def test_only_originals_of_a_kind_are_asked_about(fitted):
    assert {len(answers.witnesses) for answers in fitted.kinds.values()} == {10}
    answers = fitted.kinds["pets"]
    assert set(answers.modalities) == {""}
    assert len(set(answers.groups)) == 10


def test_no_more_images_of_a_source_are_asked_about_than_needed(monkeypatch):
    monkeypatch.setattr(detector_fit, "ASKED", 7)
    first, again, other = (
        fit_detector(
            known(MODALITIES), unknown("pets", "food"), known(MODALITIES, seed=1), seed=seed
        ).sources["ct_a"]
        for seed in (0, 0, 1)
    )
    assert len(first.logits) == 7
    np.testing.assert_array_equal(first.groups, again.groups)
    assert first.groups.tolist() != other.groups.tolist()


def test_where_no_source_can_be_left_out_held_out_images_take_the_place(fits):
    alone = {"ct_a": "ct", "oct_a": "oct"}
    held_out = known(alone, count=15, seed=1)
    fitted = fit_detector(known(alone), unknown("pets", "food"), held_out)
    assert [sources for sources, _ in fits] == [{"ct_a", "oct_a"}] * 3
    assert {name: len(answers.logits) for name, answers in fitted.sources.items()} == {
        "ct_a": 15,
        "oct_a": 15,
    }


def test_drawn_images_are_not_left_out(fits):
    drawings = {f"{SYNTHETIC_PREFIX}ct": "ct", "ct_a": "ct", "oct_a": "oct", "oct_b": "oct"}
    fitted = fit_detector(known(drawings), unknown("pets", "food"), known(drawings, seed=1))
    assert set(fitted.sources) == {"oct_a", "oct_b"}  # CT has a single real source
    assert all(f"{SYNTHETIC_PREFIX}ct" in sources for sources, _ in fits)


def test_without_unknown_images_everything_passes():
    fitted = fit_detector(known(MODALITIES), unknown(), known(MODALITIES, seed=1))
    strange = drawn(7, 20, 0)
    assert fitted.detector.passes(strange, fitted.modality_head.logits(strange)).all()
    assert fitted.kinds == {}


def test_the_only_kind_is_measured_with_the_limit_that_it_helped_to_choose():
    fitted = fit_detector(known(MODALITIES), unknown("pets"), known(MODALITIES, seed=1))
    assert fitted.thresholds["pets"] == fitted.detector.threshold[0]
    assert all(fitted.thresholds[name] != fitted.thresholds["pets"] for name in fitted.sources)


@pytest.mark.parametrize("sources", [{"ct_a": "ct"}, {"ct_a": "ct", "oct_a": "oct"}, MODALITIES])
def test_the_modality_head_is_a_regression_on_scaled_coordinates(sources):
    images = known(sources, copies=10)
    detector, head = detector_fit._fit_parts(images, unknown("pets", "food"))
    assert head.classes == tuple(sorted(set(sources.values())))
    assert head.training_images == 40 * len(sources)
    probabilities = head.probabilities(images.vectors)
    if len(head.classes) == 1:
        np.testing.assert_array_equal(probabilities, 1)
        return
    weights = balanced_weights(images.modalities, images.sources)
    axes = principal_axes(images.vectors[images.original], weights[images.original], detector_fit.RANK)
    coordinates = (images.vectors - axes.mean) @ axes.basis.T / detector.scale
    lengths = np.linalg.norm(coordinates[images.original], axis=1)
    assert np.sqrt(np.average(lengths**2, weights=weights[images.original])) == pytest.approx(4, rel=0.02)
    model = LogisticRegression(C=1.0, max_iter=400, tol=1e-3)
    model.fit(coordinates, images.modalities, sample_weight=weights)
    np.testing.assert_allclose(probabilities, model.predict_proba(coordinates), atol=0.01)


def test_a_modality_without_images_is_never_named():
    images = known({"ct_a": "ct", "oct_a": "oct"})
    _, head = detector_fit._fit_parts(images, unknown("pets"), ("ct", "cxr", "oct"))
    assert head.probabilities(images.vectors)[:, 1].max() < 1e-6
    assert (np.array(head.classes)[head.logits(images.vectors).argmax(1)] == images.modalities).all()
    alone = known({"oct_a": "oct"})
    _, head = detector_fit._fit_parts(alone, unknown("pets"), ("ct", "oct"))
    np.testing.assert_allclose(head.probabilities(alone.vectors)[:, 1], 1)


def test_known_and_unknown_images_are_weighed_against_each_other():
    images, kinds = known(MODALITIES), unknown("pets", "food")
    detector, _ = detector_fit._fit_parts(images, kinds)
    coordinates = [
        (vectors - detector.mean) @ detector.basis.T / detector.scale
        for vectors in (images.vectors, kinds.vectors)
    ]
    weights = balanced_weights(images.modalities, images.sources)
    against = np.full(40, weights.sum() / 2 / 40)  # two kinds of equal number, half as heavy together
    model = LogisticRegression(C=0.3, max_iter=400, tol=1e-3).fit(
        np.concatenate(coordinates),
        np.repeat([1, 0], [len(weights), 40]),
        sample_weight=np.concatenate([weights, against]),
    )
    for part in coordinates:
        np.testing.assert_allclose(
            part @ detector.known_weight + detector.known_bias, model.decision_function(part), atol=0.1
        )


def test_nearness_counts_the_spread_within_a_class_alike_everywhere():
    images = known(MODALITIES, count=60)
    detector, _ = detector_fit._fit_parts(images, unknown("pets"))
    near = ((images.vectors - detector.mean) @ detector.basis.T)[:, : len(detector.whitening)]
    near = near @ detector.whitening
    for name in np.unique(images.classes):
        near[images.classes == name] -= near[images.classes == name].mean(0)
    weights = balanced_weights(images.modalities, images.sources)
    covariance = np.cov(near.T, aweights=weights, bias=True)
    np.testing.assert_allclose(covariance, np.eye(len(covariance)), atol=0.1)


def test_references_are_the_first_images_of_each_source(monkeypatch):
    monkeypatch.setattr(detector_fit, "REFERENCES", 3)
    images = known(MODALITIES)
    detector, head = detector_fit._fit_parts(images, unknown("pets"))
    chosen = np.concatenate([np.flatnonzero(images.sources == name)[:3] for name in sorted(MODALITIES)])
    assert [head.classes[owner] for owner in detector.owners] == images.modalities[chosen].tolist()
    np.testing.assert_allclose(detector.near(images.vectors[chosen]), detector.references, atol=2e-3)


def test_a_modality_spans_its_own_principal_axes():
    images = known(MODALITIES)
    detector, head = detector_fit._fit_parts(images, unknown("pets"))
    inside = (images.vectors - detector.mean) @ detector.basis.T
    for owner, modality in enumerate(head.classes):
        rows = images.modalities == modality
        weights = balanced_weights(images.sources[rows])
        np.testing.assert_allclose(
            detector.subspace_means[owner], np.average(inside[rows], axis=0, weights=weights), atol=1e-3
        )
        _, _, axes = np.linalg.svd(
            (inside[rows] - detector.subspace_means[owner]) * np.sqrt(weights)[:, None],
            full_matrices=False,
        )
        own = detector.subspaces[owner]
        first = np.abs(own[:2] @ axes[:2].T)
        np.testing.assert_allclose(np.sort(first.max(axis=1)), [1, 1], atol=0.05)


def test_the_limit_lets_the_most_known_pass_while_it_turns_the_most_unknown_away():
    random = np.random.default_rng(0)
    of_known = [random.normal(2, 1, 30), random.normal(1, 1, 7)]
    of_unknown = [random.normal(-1, 1, 20), random.normal(0, 1, 50)]
    limit = detector_fit._threshold(of_known, of_unknown)

    def worth(at: float) -> float:
        passed = np.mean([(each >= at).mean() for each in of_known])
        return float(passed + np.mean([(each < at).mean() for each in of_unknown]))

    candidates = np.unique(np.concatenate(of_known + of_unknown))
    assert worth(limit) == pytest.approx(max(worth(each) for each in candidates))
    assert detector_fit._threshold([np.array([2.0, 3])], [np.array([0.0, 1])]) == 2


def answered(values: np.ndarray) -> Answers:
    count = len(values)
    return Answers(values, np.zeros((count, 2)), np.full(count, ""), np.arange(count))


def test_sources_and_kinds_count_alike_however_many_images_they_have():
    random = np.random.default_rng(0)
    base, _ = detector_fit._fit_parts(known(MODALITIES), unknown("pets"))
    sets = [random.normal(mean, 1, (count, 6)) for mean, count in ((1, 60), (0.5, 12), (-1, 30))]
    big, small, strange = sets
    detector = detector_fit._weighed(
        base, {"big": answered(big), "small": answered(small)}, {"pets": answered(strange)}
    )
    numbers = np.concatenate(sets)
    scaled = (numbers - numbers.mean(0)) / numbers.std(0)
    weights = np.repeat([102 / 4 / 60, 102 / 4 / 12, 102 / 2 / 30], [60, 12, 30])
    model = LogisticRegression(C=0.1, max_iter=500)
    model.fit(scaled, np.repeat([1, 1, 0], [60, 12, 30]), sample_weight=weights)
    scores = detector_fit._scores(detector, answered(numbers))
    np.testing.assert_allclose(scores, model.decision_function(scaled), atol=1e-3)
    of_each = [np.percentile(each, np.arange(101)) for each in (scores[:60], scores[60:72])]
    np.testing.assert_allclose(detector.quantiles, np.mean(of_each, axis=0), atol=1e-4)


def test_the_modality_head_is_never_surer_than_it_was_fitted(fitted):
    assert fitted.modality_head.temperature >= 1
    classes = ("ct", "oct")
    sure = np.tile([9.0, 0.0], (40, 1))
    truth = np.where(np.arange(40) < 28, "ct", "oct")  # right in 70 %

    def temperature(logits: np.ndarray, modalities: np.ndarray) -> float:
        groups = np.arange(len(logits))
        left = detector_fit._LeftOut(None, logits, logits, modalities, groups)  # type: ignore[arg-type]
        return detector_fit._temperature([left], classes)

    cooled = temperature(sure, truth)
    assert softmax(sure[0] / cooled)[0] == pytest.approx(0.7, abs=0.01)
    assert temperature(sure / 9, np.full(40, "ct")) == 1
    assert detector_fit._temperature([], classes) == 1
