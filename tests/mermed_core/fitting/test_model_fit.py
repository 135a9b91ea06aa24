"""Everything on a frozen encoder: fitted on train alone, chosen on val, measured on test."""

import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError
from mermed_core.fitting import model_fit, task_fits
from mermed_core.fitting.label_sets import JoinedLabelSet, LabelSets
from mermed_core.fitting.model_fit import fit_model, measure_unseen_sources
from mermed_core.fitting.principal_axes import balanced_weights
from mermed_core.metrics.bootstrap import MIN_GROUPS
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.models.embedder import embed_manifest
from mermed_core.models.heads import MODALITY_TASK, UNNAMED_REGION, region_task

COLOURS = {"red": (200, 60, 60), "blue": (60, 60, 200), "green": (60, 200, 60), "grey": (120, 120, 120)}
SPLITS = ("train", "train", "train", "val", "test")


def flat(colour: str, seed: int) -> bytes:
    noise = np.random.default_rng(seed).normal(0, 25, (24, 24, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(noise + COLOURS[colour], 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def coloured(
    source: str,
    modality: str,
    colours: tuple[str, ...] = ("red", "blue"),
    count: int = 20,
    kind: str = "multiclass",
) -> pd.DataFrame:
    rows = [
        {
            "case_id": f"{source}/{number}",
            "image": flat(colours[number % len(colours)], number),
            "labels": [colours[number % len(colours)]],
            "split": SPLITS[(number // len(colours)) % len(SPLITS)],
        }
        for number in range(count)
    ]
    return pd.DataFrame(rows).assign(source=source, modality=modality, task_kind=kind)


def joined(*frames: pd.DataFrame) -> Manifest:
    return Manifest.from_frame(pd.concat(frames, ignore_index=True))


def test_there_is_a_head_for_every_label_set_and_one_for_the_modality(fitted, phantoms):
    assert {head.task for head in fitted.parts.heads.findings} == {f"phantom_{key}" for key in MODALITY_KEYS}
    assert fitted.parts.heads.get(MODALITY_TASK).classes == tuple(sorted(MODALITY_KEYS))
    for label_set in phantoms.label_sets():
        head = fitted.parts.heads.get(label_set.task)
        assert (head.classes, f"phantom_{head.modality}") == (label_set.classes, label_set.task)


def test_metrics_are_those_of_the_test_split(fitted, embedder, phantoms):
    test = phantoms.split("test")
    vectors = embed_manifest(embedder, test).vectors
    head = fitted.parts.heads.get(MODALITY_TASK)
    named = np.array(head.classes)[head.probabilities(vectors).argmax(axis=1)]
    assert fitted.metrics.model.modality_accuracy == np.mean(named == test.frame["modality"].to_numpy())
    accepted = np.mean(fitted.parts.detector.passes(vectors, head.logits(vectors)))
    assert fitted.metrics.model.known_accepted == pytest.approx(accepted)
    rows = (test.frame["task"] == "phantom_cxr").to_numpy()
    cxr = fitted.parts.heads.get("phantom_cxr")
    truth = [labels == [cxr.classes[0]] for labels in test.frame.loc[rows, "labels"]]
    expected = roc_auc_score(truth, cxr.probabilities(vectors[rows])[:, 0])
    assert fitted.metrics.tasks["phantom_cxr"].auroc == pytest.approx(expected)
    assert fitted.metrics.tasks["phantom_cxr"].n_test == rows.sum()
    shares = cxr.probabilities(vectors[rows])
    called = (shares[:, 0] >= 1 - cxr.limits[0]) | (shares.argmax(axis=1) == 0)
    figures = fitted.metrics.tasks["phantom_cxr"].classes[cxr.classes[0]]
    assert (figures.shown, figures.absent) == (sum(truth), len(truth) - sum(truth))
    assert (figures.found, figures.ruled_out) == (sum(called & truth), sum(~called & ~np.array(truth)))


def test_a_label_set_keeps_silent_about_images_that_look_more_like_another_source(embedder):
    regions = {"lungs": "chest", "heart": "chest"}
    manifest = joined(coloured("lungs", "cxr", count=60), coloured("heart", "cxr", ("green", "grey"), 60))
    fitted = fit_model(embedder, manifest, label_sets=LabelSets(regions=regions))
    test = manifest.split("test")
    sources, vectors = test.frame["source"].to_numpy(str), embed_manifest(embedder, test).vectors
    near, shares = fitted.parts.detector.near(vectors), []
    for scope in fitted.parts.scopes:
        assert scope.lead is not None
        own = sources == scope.task
        relevance = np.array([scope.relevance(vector, {}) for vector in near])
        assert np.mean(relevance[own] >= 0.5) > 0.9
        assert np.mean(relevance[~own] >= 0.5) < 0.1
        sure = fitted.parts.heads.get(scope.task).probabilities(vectors[~own]).max(axis=1) > 0.9
        shares.append(np.mean(sure & (relevance[~own] >= 0.5)))
    assert fitted.metrics.model.confident_outside == pytest.approx(np.mean(shares))
    apart = fit_model(embedder, manifest)
    assert {scope.lead for scope in apart.parts.scopes} == {None}  # of two parts of the body, as far as known


def test_calibration_cases_are_the_patients_of_the_val_split(fitted, embedder, phantoms):
    val = phantoms.split("val")
    vectors = embed_manifest(embedder, val).vectors
    for head in fitted.parts.heads.findings:
        assert head.meanings == {f"{head.task}:{name}": name for name in head.classes}
        for column, name in enumerate(head.classes):
            own = val.frame["task"] == head.task  # another label set may have a class of that name
            shows = np.array([labels == [name] for labels in val.frame["labels"]]) & own
            scores = 1 - head.probabilities(vectors[shows])[:, column]
            assert len(head.calibration[column]) == len(set(val.patients()[shows]))
            assert all(np.abs(scores - each).min() < 1e-5 for each in head.calibration[column])


def test_test_images_teach_nothing(embedder):
    frame = joined(coloured("set", "cxr"), coloured("other", "ct")).frame
    held = (frame["split"] == "test").to_numpy()
    other_label = {"red": ["blue"], "blue": ["red"]}
    swapped = frame.copy()
    swapped.loc[held, "labels"] = frame.loc[held, "labels"].str[0].map(other_label)
    swapped.loc[held, "image"] = [flat("green", seed) for seed in range(held.sum())]
    honest, other = (fit_model(embedder, Manifest.from_frame(table)) for table in (frame, swapped))
    for left, right in zip(honest.parts.heads.heads, other.parts.heads.heads, strict=True):
        np.testing.assert_array_equal(left.weight, right.weight)
        assert left.temperature == right.temperature
    np.testing.assert_array_equal(honest.parts.detector.quantiles, other.parts.detector.quantiles)
    assert honest.metrics.tasks["set"] != other.metrics.tasks["set"]


def test_a_label_that_every_image_has_is_certain(embedder):
    frame = coloured("set", "cxr", count=30, kind="multilabel")
    frame["labels"] = [[*labels, "image"] for labels in frame["labels"]]
    head = fit_model(embedder, joined(frame)).parts.heads.get("set")
    shares = head.probabilities(np.stack([embedder.embed(np.full((24, 24, 3), 60, np.uint8), "cxr")]))
    assert shares[0, head.classes.index("image")] > 0.9


def test_one_modality_alone_is_the_modality(embedder):
    fitted = fit_model(embedder, joined(coloured("set", "cxr")))
    vector = embedder.embed(np.zeros((24, 24, 3), np.uint8), None)
    assert fitted.parts.heads.get(MODALITY_TASK).probabilities(vector[None]).tolist() == [[1.0]]


def test_colours_are_distinguished(embedder):
    fitted = fit_model(embedder, joined(coloured("set", "cxr", ("red", "blue", "green"), 45)))
    assert fitted.metrics.tasks["set"].auroc == 1
    unseen = np.stack([embedder.embed(np.array(Image.open(io.BytesIO(flat("green", 999)))), "cxr")])
    assert (
        fitted.parts.heads.get("set").classes[fitted.parts.heads.get("set").logits(unseen).argmax()]
        == "green"
    )


def green(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(image=[flat("green", 100 + row) for row in range(len(frame))])


def test_sources_of_a_modality_without_a_stated_region_are_told_apart(embedder):
    first = coloured("first", "cxr", ("red", "blue"))
    second = green(coloured("second", "cxr", ("green", "blue")))
    parts = fit_model(embedder, joined(first, second, coloured("third", "ct"))).parts
    sorter = parts.heads.get(region_task("cxr"))
    assert sorter.classes == (f"{UNNAMED_REGION}first", f"{UNNAMED_REGION}second")
    assert {head.task for head in parts.heads.findings} == {"first", "second", "third"}
    vector = embedder.embed(np.array(Image.open(io.BytesIO(flat("green", 7)))), "cxr")
    assert next(iter(parts.heads.regions("cxr", vector))) == f"{UNNAMED_REGION}second"
    assert parts.heads.regions("ct", vector) == {}  # of one source nothing is told apart
    regions = {scope.task: scope.region for scope in parts.scopes}
    assert regions == {
        "first": f"{UNNAMED_REGION}first",
        "second": f"{UNNAMED_REGION}second",
        "third": "",
    }


def lungs(*sources: str, classes: tuple[str, ...] = ("red", "blue")) -> LabelSets:
    """Returns a set that joins sources, all of the chest, and the abdomen of another source."""
    meant = {name: tuple(f"{source}:{name}" for source in sources) for name in classes}
    joined_set = JoinedLabelSet(modality="ct", region="chest", classes=meant)
    return LabelSets(sets={"lungs": joined_set}, regions={"liver": "abdomen"})


@pytest.fixture
def hospitals() -> Manifest:
    """Two hospitals' lungs of the same two colours, and livers of another colour beside blue."""
    a, b = coloured("a", "ct", count=40), coloured("b", "ct", count=20)
    b["image"] = [flat(labels[0], 500 + row) for row, labels in enumerate(b["labels"])]
    return joined(a, b, green(coloured("liver", "ct", ("green", "blue"))), coloured("x", "cxr"))


def test_sources_that_mean_the_same_are_one_head(embedder, hospitals):
    fitted = fit_model(embedder, hospitals, label_sets=lungs("a", "b"))
    heads = fitted.parts.heads
    assert [head.task for head in heads.findings] == ["lungs", "liver", "x"]
    lung = heads.get("lungs")
    assert (lung.modality, lung.kind, lung.classes) == ("ct", "multiclass", ("red", "blue"))
    train = (hospitals.frame["split"] == "train") & hospitals.frame["source"].isin(["a", "b"])
    assert lung.class_of("a", ("red",)) == "red"
    assert lung.training_images == 3 * train.sum()  # every image and two changed copies
    assert heads.get(region_task("ct")).classes == ("abdomen", "chest")
    assert {scope.task: scope.region for scope in fitted.parts.scopes} == {
        "lungs": "chest",
        "liver": "abdomen",
        "x": "",
    }
    assert fitted.metrics.tasks["lungs"].auroc == 1


def test_metrics_of_sources_left_out_are_measured_with_the_fit(embedder, hospitals):
    sets = lungs("a", "b")
    unseen = fit_model(embedder, hospitals, label_sets=sets).metrics.unseen_source
    assert unseen is not None
    assert set(unseen.sources) == {"a", "b", "liver"}  # `x` is the only chest X-ray source
    assert (
        unseen.sources["a"].images
        == ((hospitals.frame["source"] == "a") & (hospitals.frame["split"] == "train")).sum()
    )
    assert set(unseen.kinds) == {"squares of 1", "squares of 4", "squares of 16"}
    assert set(unseen.findings) == {"lungs"}
    assert unseen.findings["lungs"]["red"].sources == ("a", "b")
    assert unseen.findings["lungs"]["red"].auroc.value == 1
    assert measure_unseen_sources(embedder, hospitals, label_sets=sets) == unseen


def test_unknown_images_that_are_given_are_a_kind_of_their_own(embedder, hospitals):
    given = {"cats": [np.full((30, 30, 3), shade, np.uint8) for shade in (10, 60, 120, 200)]}
    unseen = measure_unseen_sources(embedder, hospitals, unknown=given)
    assert unseen.kinds["cats"].images == 4


def test_without_test_images_only_sources_left_out_are_measured(embedder, hospitals):
    rest = hospitals.select(np.flatnonzero(hospitals.frame["split"] != "test"))
    metrics = fit_model(embedder, rest).metrics
    assert metrics.unseen_source is not None
    assert metrics.unseen_source.sources
    assert (metrics.tasks, metrics.model.modality_accuracy) == ({}, None)


@pytest.fixture
def heads_fitted(monkeypatch):
    """What every head was fitted on, by task."""
    asked = {}
    fit = task_fits.fit_head

    def spy(label_set, modality, train, held_out, **options):
        asked[label_set.task] = (train, held_out)
        return fit(label_set, modality, train, held_out, **options)

    monkeypatch.setattr(task_fits, "fit_head", spy)
    return asked


def test_within_a_class_every_source_speaks_and_a_class_stays_as_frequent(embedder, hospitals, heads_fitted):
    fit_model(embedder, hospitals, label_sets=lungs("a", "b"))
    train, held_out = heads_fitted["lungs"]
    sources = np.array([str(group).partition("/")[0] for group in train.groups])
    assert set(sources) == {"a", "b"}
    for column in (0, 1):
        rows = train.targets[:, column] == 1
        expected = balanced_weights(np.zeros(rows.sum()), sources[rows])
        np.testing.assert_allclose(train.weights[rows], expected)
        assert train.weights[rows].sum() == pytest.approx(rows.sum())
        shares = {name: train.weights[rows & (sources == name)].sum() for name in "ab"}
        assert shares["a"] / shares["b"] == pytest.approx(2**0.5)  # twice as many images
    assert held_out.weights is not None
    assert len(held_out) == 12
    assert heads_fitted["liver"][0].weights is None  # of one source all count alike
    regions, _ = heads_fitted[region_task("ct")]
    chest = regions.targets[:, 1] == 1
    assert regions.weights[chest].sum() == pytest.approx(regions.weights[~chest].sum())


def test_region_heads_take_no_more_of_a_source_than_they_need(embedder, hospitals, heads_fitted, monkeypatch):
    monkeypatch.setattr(task_fits, "_REGION_IMAGES", 3)
    fit_model(embedder, hospitals, label_sets=lungs("a", "b"))
    train, held_out = heads_fitted[region_task("ct")]
    assert (len(train), len(held_out)) == (9, 9)


def test_a_set_of_which_nothing_was_changed_is_fitted_on_its_images(
    embedder, hospitals, heads_fitted, monkeypatch
):
    chosen = model_fit.embed_training

    def without_x(*given, **options):
        vectors = chosen(*given, **options)
        kept = np.flatnonzero(vectors.copies.manifest.frame["source"] != "x")
        part = replace(
            vectors.copies,
            vectors=vectors.copies.vectors[kept],
            manifest=vectors.copies.manifest.select(kept),
        )
        return replace(vectors, copies=part)

    monkeypatch.setattr(model_fit, "embed_training", without_x)
    fit_model(embedder, hospitals)
    assert len(heads_fitted["x"][0]) == 12
    assert len(heads_fitted["liver"][0]) == 36


def test_a_set_of_a_single_class_leaves_its_sources_to_themselves(embedder, hospitals):
    fitted = fit_model(embedder, hospitals, label_sets=lungs("a", "b", classes=("red", "green")))
    assert {head.task for head in fitted.parts.heads.findings} == {"a", "b", "liver", "x"}


def test_the_retrieval_space_is_that_of_balanced_training_images(embedder, hospitals):
    space = fit_model(embedder, hospitals).parts.space
    train = hospitals.split("train")
    vectors = embed_manifest(embedder, train).vectors
    weights = balanced_weights(train.frame["modality"].to_numpy(str), train.frame["source"].to_numpy(str))
    np.testing.assert_allclose(space.mean, np.average(vectors, axis=0, weights=weights), atol=1e-4)
    assert space.dim == min(256, len(train) - 1)


def test_a_class_without_training_image_is_not_named(embedder):
    frame = coloured("set", "cxr")
    row = int(np.flatnonzero(frame["split"] == "val")[0])
    frame["labels"] = [["never seen"] if at == row else labels for at, labels in enumerate(frame["labels"])]
    assert fit_model(embedder, joined(frame)).parts.heads.get("set").classes == ("blue", "red")


def test_unlabelled_images_count_for_the_modality_only(embedder):
    bare = coloured("bare", "oct")
    bare["labels"] = None
    fitted = fit_model(embedder, joined(coloured("set", "cxr"), bare))
    assert [head.task for head in fitted.parts.heads.findings] == ["set"]
    assert "oct" in fitted.parts.heads.get(MODALITY_TASK).classes


def test_multilabel_sets_keep_their_kind(embedder):
    frame = coloured("set", "cxr", ("red", "blue", "green"), 30, "multilabel")
    frame["labels"] = [
        [] if labels == ["green"] else labels + ["warm"] * (labels == ["red"]) for labels in frame["labels"]
    ]
    head = fit_model(embedder, joined(frame)).parts.heads.get("set")
    assert (head.kind, head.classes) == ("multilabel", ("blue", "red", "warm"))
    red = embedder.embed(np.array(Image.open(io.BytesIO(flat("red", 77)))), "cxr")
    shares = dict(zip(head.classes, head.probabilities(red[None])[0], strict=True))
    assert shares["blue"] < 0.5 < min(shares["red"], shares["warm"])


def test_no_interval_from_a_handful_of_patients(embedder):
    frame = coloured("set", "cxr", count=80)
    few = frame.assign(
        group=[f"patient {row % (MIN_GROUPS - 1)} {split}" for row, split in enumerate(frame["split"])]
    )
    many = fit_model(embedder, joined(frame)).metrics.tasks["set"]
    scarce = fit_model(embedder, joined(few)).metrics.tasks["set"]
    assert scarce.n_groups < MIN_GROUPS <= many.n_groups
    assert (scarce.auroc_low, scarce.auroc_high) == (None, None)
    low, value, high = many.auroc_low, many.auroc, many.auroc_high
    assert low is not None
    assert value is not None
    assert high is not None
    assert low <= value <= high


def test_without_val_split_it_is_cross_validated(embedder):
    frame = coloured("set", "cxr")
    frame["split"] = frame["split"].replace("val", "train")
    fitted = fit_model(embedder, joined(frame))
    assert fitted.parts.heads.get("set").training_images == 3 * (frame["split"] == "train").sum()
    assert fitted.metrics.tasks["set"].auroc == 1


@pytest.mark.parametrize(
    ("change", "column", "message"),
    [
        (lambda frame: frame.assign(split="test"), "split", "train"),
        (lambda frame: frame.assign(task="both"), "task", "ct, cxr"),
    ],
)
def test_what_cannot_be_fitted_is_a_sentence(embedder, change, column, message):
    frame = pd.concat([coloured("one", "ct", count=10), coloured("two", "cxr", count=10)], ignore_index=True)
    with pytest.raises(ManifestError, match=message) as raised:
        fit_model(embedder, Manifest.from_frame(change(frame)))
    assert raised.value.column == column


def test_a_label_set_of_one_class_gets_no_head(embedder, caplog):
    one = coloured("one", "ct", ("red",), count=10)
    fitted = fit_model(embedder, joined(one, coloured("two", "cxr", count=10)))
    assert [head.task for head in fitted.parts.heads.findings] == ["two"]
    assert "one has fewer than two classes" in caplog.text
    assert fitted.parts.heads.get(MODALITY_TASK).classes == ("ct", "cxr")


def test_only_a_handful_of_patients_gives_no_interval(fitted):
    measured = fitted.metrics.tasks.values()
    assert len(measured) == 6  # the drawn OCT images have none in their test split
    for task in measured:
        assert (task.auroc_low is None) == (task.n_groups < MIN_GROUPS)
