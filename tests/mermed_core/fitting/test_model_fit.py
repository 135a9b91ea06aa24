"""Everything on a frozen encoder: fitted on train alone, chosen on val, measured on test."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError
from mermed_core.fitting.model_fit import fit_model
from mermed_core.metrics.bootstrap import MIN_GROUPS
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.models.embedder import embed_manifest
from mermed_core.models.heads import MODALITY_TASK, label_set_task

COLOURS = {"red": (200, 60, 60), "blue": (60, 60, 200), "green": (60, 200, 60)}
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
    assert {head.task for head in fitted.heads.findings} == {f"phantom_{key}" for key in MODALITY_KEYS}
    assert fitted.heads.get(MODALITY_TASK).classes == tuple(sorted(MODALITY_KEYS))
    for label_set in phantoms.label_sets():
        head = fitted.heads.get(label_set.task)
        assert (head.classes, f"phantom_{head.modality}") == (label_set.classes, label_set.task)


def test_metrics_are_those_of_the_test_split(fitted, embedder, phantoms):
    test = phantoms.split("test")
    vectors = embed_manifest(embedder, test).vectors
    head = fitted.heads.get(MODALITY_TASK)
    named = np.array(head.classes)[head.probabilities(vectors).argmax(axis=1)]
    assert fitted.metrics.model.modality_accuracy == np.mean(named == test.frame["modality"].to_numpy())
    accepted = np.mean(fitted.detector.scores(vectors) <= fitted.detector.threshold)
    assert fitted.metrics.model.known_accepted == pytest.approx(accepted)
    rows = (test.frame["task"] == "phantom_cxr").to_numpy()
    cxr = fitted.heads.get("phantom_cxr")
    truth = [labels == [cxr.classes[0]] for labels in test.frame.loc[rows, "labels"]]
    expected = roc_auc_score(truth, cxr.probabilities(vectors[rows])[:, 0])
    assert fitted.metrics.tasks["phantom_cxr"].auroc == pytest.approx(expected)
    assert fitted.metrics.tasks["phantom_cxr"].n_test == rows.sum()


def test_test_images_teach_nothing(embedder):
    frame = joined(coloured("set", "cxr"), coloured("other", "ct")).frame
    held = (frame["split"] == "test").to_numpy()
    other_label = {"red": ["blue"], "blue": ["red"]}
    swapped = frame.copy()
    swapped.loc[held, "labels"] = frame.loc[held, "labels"].str[0].map(other_label)
    swapped.loc[held, "image"] = [flat("green", seed) for seed in range(held.sum())]
    honest, other = (fit_model(embedder, Manifest.from_frame(table)) for table in (frame, swapped))
    for left, right in zip(honest.heads.heads, other.heads.heads, strict=True):
        np.testing.assert_array_equal(left.weight, right.weight)
        assert left.temperature == right.temperature
    np.testing.assert_array_equal(honest.detector.quantiles, other.detector.quantiles)
    assert honest.metrics.tasks["set"] != other.metrics.tasks["set"]


def test_a_label_that_every_image_has_is_certain(embedder):
    frame = coloured("set", "cxr", count=30, kind="multilabel")
    frame["labels"] = [[*labels, "image"] for labels in frame["labels"]]
    head = fit_model(embedder, joined(frame)).heads.get("set")
    shares = head.probabilities(np.stack([embedder.embed(np.full((24, 24, 3), 60, np.uint8), "cxr")]))
    assert shares[0, head.classes.index("image")] > 0.9


def test_one_modality_alone_is_the_modality(embedder):
    fitted = fit_model(embedder, joined(coloured("set", "cxr")))
    vector = embedder.embed(np.zeros((24, 24, 3), np.uint8), None)
    assert fitted.heads.get(MODALITY_TASK).probabilities(vector[None]).tolist() == [[1.0]]


def test_colours_are_distinguished(embedder):
    fitted = fit_model(embedder, joined(coloured("set", "cxr", tuple(COLOURS), 45)))
    assert fitted.metrics.tasks["set"].auroc == 1
    unseen = np.stack([embedder.embed(np.array(Image.open(io.BytesIO(flat("green", 999)))), "cxr")])
    assert fitted.heads.get("set").classes[fitted.heads.get("set").logits(unseen).argmax()] == "green"


def test_two_label_sets_of_a_modality_get_a_head_that_sorts_them(embedder):
    first = coloured("first", "cxr", ("red", "blue"))
    second = coloured("second", "cxr", ("green", "blue"))
    second["image"] = [flat("green", 100 + row) for row in range(len(second))]
    fitted = fit_model(embedder, joined(first, second, coloured("third", "ct")))
    assert fitted.heads.get(label_set_task("cxr")).classes == ("first", "second")
    assert {head.task for head in fitted.heads.findings} == {"first", "second", "third"}
    vector = embedder.embed(np.array(Image.open(io.BytesIO(flat("green", 7)))), "cxr")
    relevance = fitted.heads.relevance("cxr", vector)
    assert relevance["second"] > relevance["first"]
    assert sum(relevance.values()) == pytest.approx(1)


def test_a_class_without_training_image_is_not_named(embedder):
    frame = coloured("set", "cxr")
    row = int(np.flatnonzero(frame["split"] == "val")[0])
    frame["labels"] = [["never seen"] if at == row else labels for at, labels in enumerate(frame["labels"])]
    assert fit_model(embedder, joined(frame)).heads.get("set").classes == ("blue", "red")


def test_unlabelled_images_count_for_the_modality_only(embedder):
    bare = coloured("bare", "oct")
    bare["labels"] = None
    fitted = fit_model(embedder, joined(coloured("set", "cxr"), bare))
    assert [head.task for head in fitted.heads.findings] == ["set"]
    assert "oct" in fitted.heads.get(MODALITY_TASK).classes


def test_multilabel_sets_keep_their_kind(embedder):
    frame = coloured("set", "cxr", ("red", "blue", "green"), 30, "multilabel")
    frame["labels"] = [
        [] if labels == ["green"] else labels + ["warm"] * (labels == ["red"]) for labels in frame["labels"]
    ]
    head = fit_model(embedder, joined(frame)).heads.get("set")
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
    assert fitted.heads.get("set").training_images == (frame["split"] == "train").sum()
    assert fitted.metrics.tasks["set"].auroc == 1


@pytest.mark.parametrize(
    ("change", "column", "message"),
    [
        (lambda frame: frame.assign(split="test"), "split", "train"),
        (lambda frame: frame.assign(task="both"), "task", "ct, cxr"),
        (lambda frame: frame.assign(labels=[["red"]] * len(frame)), "labels", "fewer than two classes"),
    ],
)
def test_what_cannot_be_fitted_is_a_sentence(embedder, change, column, message):
    frame = pd.concat([coloured("one", "ct", count=10), coloured("two", "cxr", count=10)], ignore_index=True)
    with pytest.raises(ManifestError, match=message) as raised:
        fit_model(embedder, Manifest.from_frame(change(frame)))
    assert raised.value.column == column


def test_only_a_handful_of_patients_gives_no_interval(fitted):
    measured = fitted.metrics.tasks.values()
    assert len(measured) == 6  # the drawn OCT images have none in their test split
    for task in measured:
        assert (task.auroc_low is None) == (task.n_groups < MIN_GROUPS)
