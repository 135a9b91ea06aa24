"""Fine-tuning a tiny network on phantoms: it learns, repeatably, stops in time and touches nothing else."""

import copy
import io
import logging
import math
import tempfile
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mermed_core.data.manifest import Manifest
from mermed_core.data.phantoms import FINDINGS, NORMAL, draw_phantom
from mermed_core.errors import EvaluationError
from mermed_core.evaluation.encoders import Pixels
from mermed_core.evaluation.protocols import fine_tuning
from mermed_core.evaluation.protocols.fine_tuning import (
    Classifier,
    FineTuning,
    _augmenting_loader,
    _mixed,
    _tensors,
    build_optimiser,
    build_schedule,
    fine_tune,
)
from mermed_core.evaluation.task import Task, tasks_of
from mermed_core.metrics.scores import auroc, unweighted
from mermed_core.models.embedder import Embedder, embed_manifest
from mermed_core.models.model_folder import ModelConfig
from mermed_core.models.preprocessing import Preprocessing

FAST = FineTuning(epochs=2, batch=8, learning_rate=3e-3)


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """On a busy machine the threads of a tiny network wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def fundus() -> Manifest:
    """Forty drawn retinas with exudates and the same forty without."""
    rows = []
    for number in range(80):
        label = NORMAL if number % 2 else FINDINGS["fundus"][0]
        buffer = io.BytesIO()
        Image.fromarray(draw_phantom("fundus", label, seed=number // 2, size=96).pixels).save(buffer, "PNG")
        split = (("train",) * 7 + ("val", "test", "test"))[number // 2 % 10]
        row = {"image": buffer.getvalue(), "modality": "fundus", "labels": [label], "split": split}
        rows.append({**row, "source": "drawn", "group": f"eye {number // 2}"})
    return Manifest.from_frame(pd.DataFrame(rows))


@pytest.fixture(scope="module")
def task(embedder, fundus) -> Task:
    return tasks_of(embed_manifest(embedder, fundus))[0]


@pytest.fixture(scope="module")
def small(task) -> Task:
    """The same task with sixteen training images, for tests in which nothing needs to be learned."""
    spare = np.flatnonzero(task.splits == "train")[16:]
    splits = task.splits.copy()
    splits[spare] = ""
    return replace(task, splits=splits)


def tuned(embedder, manifest, task, **changes) -> np.ndarray:
    settings = replace(FAST, **changes)
    return fine_tune(embedder, manifest, task, settings=settings, encoder="tiny").probabilities


def test_it_learns(embedder, fundus, task):
    settings = replace(FAST, epochs=12)
    predictions = fine_tune(embedder, fundus, task, settings=settings, encoder="tiny")
    assert unweighted(auroc, predictions.targets, predictions.probabilities) > 0.85
    np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(predictions.case_ids, task.split("test").case_ids)
    assert (predictions.protocol, predictions.encoder) == ("fine_tuning", "tiny")


def test_it_repeats_itself_and_leaves_encoder_and_chance_as_they_were(embedder, fundus, small):
    weights = copy.deepcopy(embedder.backbone.state_dict())
    state = torch.random.get_rng_state()
    first = tuned(embedder, fundus, small, mixup=0.2)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(3)
    np.testing.assert_array_equal(first, tuned(embedder, fundus, small, mixup=0.2))
    assert not np.allclose(first, tuned(embedder, fundus, small, mixup=0.2, seed=1), atol=1e-3)
    assert not np.allclose(first, tuned(embedder, fundus, small), atol=1e-3)
    assert all(torch.equal(value, weights[name]) for name, value in embedder.backbone.state_dict().items())
    assert not embedder.backbone.training


def scripted(monkeypatch, *values: float) -> None:
    """Makes val reach these AUROCs in turn."""
    left = iter(values)
    monkeypatch.setattr(fine_tuning, "unweighted", lambda score, targets, probabilities: next(left))


def test_it_stops_early_with_the_weights_of_the_best_epoch(embedder, fundus, small, monkeypatch, caplog):
    caplog.set_level(logging.INFO, fine_tuning.__name__)
    scripted(monkeypatch, 0.6, 0.9, 0.7, 0.8)
    stopped = tuned(embedder, fundus, small, epochs=5, patience=2)
    scripted(monkeypatch, 0.6, 0.9, 0.7, 0.8, 0.7)
    patient = tuned(embedder, fundus, small, epochs=5, patience=5)
    scripted(monkeypatch, 0.6, 0.7, 0.7, 0.7, 0.8)
    last = tuned(embedder, fundus, small, epochs=5, patience=5)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "trained 4 epochs, kept number 2",
        "trained 5 epochs, kept number 2",
        "trained 5 epochs, kept number 5",
    ]
    np.testing.assert_array_equal(stopped, patient)
    assert not np.allclose(stopped, last, atol=1e-3)


def test_where_val_has_one_class_its_loss_decides(embedder, fundus, small, caplog):
    caplog.set_level(logging.INFO, fine_tuning.__name__)
    one_class = replace(
        small, splits=np.where((small.splits == "val") & (small.targets[:, 0] == 1), "", small.splits)
    )
    assert not one_class.split("val").targets[:, 0].any()
    assert np.isfinite(tuned(embedder, fundus, one_class)).all()
    assert "trained 2 epochs" in caplog.text


def test_without_val_the_last_epoch_is_kept_uncalibrated(embedder, fundus, small, monkeypatch, caplog):
    caplog.set_level(logging.INFO, fine_tuning.__name__)
    monkeypatch.setattr(fine_tuning, "fit_temperature", None)  # would fail, were it called
    no_val = replace(small, splits=np.where(small.splits == "val", "", small.splits))
    assert np.isfinite(tuned(embedder, fundus, no_val, patience=1, epochs=3)).all()
    assert "trained 3 epochs, kept number 3" in caplog.text


def test_what_test_images_show_teaches_nothing(embedder, fundus, small):
    swapped = replace(
        small, targets=np.where((small.splits == "test")[:, None], small.targets[:, ::-1], small.targets)
    )
    np.testing.assert_array_equal(tuned(embedder, fundus, swapped), tuned(embedder, fundus, small))


def test_labels_that_do_not_exclude_each_other(embedder, fundus, small):
    both = replace(
        small, kind="multilabel", targets=np.column_stack([small.targets[:, 0], np.ones(len(small))])
    )
    probabilities = tuned(embedder, fundus, both, mixup=0.2)
    assert probabilities[:, 1].mean() > 0.5
    assert not np.allclose(probabilities.sum(axis=1), 1)


def test_a_vision_transformer_is_tuned_too(make_model, fundus, small, tmp_path):
    vit: Embedder = make_model(tmp_path / "model", architecture="test_vit")
    wide = replace(small, vectors=np.zeros((len(small), vit.backbone.dim)))
    assert tuned(vit, fundus, wide, epochs=1).shape == (len(small.split("test")), 2)


def test_images_are_found_by_their_names_and_lose_nothing(embedder, fundus, task, tmp_path):
    images, preprocessing = task.rows(np.array([5, 2])), embedder.config.preprocessing
    reordered = fundus.select(np.arange(len(fundus))[::-1])
    pixels, targets = _tensors(preprocessing, reordered, images, tmp_path / "pixels").tensors
    assert (tmp_path / "pixels").stat().st_size == pixels.numel() == 2 * 3 * 48 * 48
    case_ids = fundus.frame["case_id"].tolist()
    for row, case_id in enumerate(images.case_ids):
        original = fundus.read_image(case_ids.index(case_id)).pixels
        again = preprocessing(pixels[row].permute(1, 2, 0).numpy(), "fundus")
        torch.testing.assert_close(again, preprocessing(original, "fundus"))
    np.testing.assert_array_equal(targets, images.targets)


def test_pixels_lie_in_a_private_folder_and_nothing_of_it_stays(
    embedder, fundus, task, tmp_path, monkeypatch
):
    seen = []

    def look(*arguments, **options):
        (folder,) = tmp_path.iterdir()
        seen.append((folder.stat().st_mode & 0o777, sorted(path.name for path in folder.iterdir())))
        raise EvaluationError("stopped in the middle")

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    tuned(embedder, fundus, task, epochs=1)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(fine_tuning, "Classifier", look)
    with pytest.raises(EvaluationError, match="stopped in the middle"):
        tuned(embedder, fundus, task)
    assert seen == [(0o700, ["test", "train", "val"])]
    assert not list(tmp_path.iterdir())


def test_augmentation_changes_images_but_not_what_they_show(embedder, fundus, task, tmp_path):
    train = _tensors(embedder.config.preprocessing, fundus, task.rows(np.arange(20)), tmp_path / "pixels")
    torch.manual_seed(0)
    batches = list(_augmenting_loader(train, 8))
    assert [pixels.shape for pixels, _ in batches] == [(8, 3, 48, 48)] * 2
    assert batches[0][0].dtype == torch.uint8
    known = {tuple(image.flatten().tolist()) for image in train.tensors[0]}
    assert not known & {tuple(image.flatten().tolist()) for image in batches[0][0]}
    assert len(list(_augmenting_loader(train, 20))) == len(list(_augmenting_loader(train, 64))) == 1


def test_mixup_is_a_weighted_mean_of_two_images_and_of_what_they_show():
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (4, 3, 2, 2), dtype=torch.uint8)
    mixed, targets = _mixed(pixels, torch.eye(4), 0.5)
    share = targets[0, 0]
    assert 0 < share < 1
    torch.testing.assert_close(targets, share * torch.eye(4) + (1 - share) * torch.eye(4).flip(0))
    torch.testing.assert_close(mixed[1], share * pixels[1].float() + (1 - share) * pixels[2].float())


def test_what_cannot_be_tuned_is_refused(embedder, fundus, task):
    with pytest.raises(EvaluationError, match="is not in the manifest"):
        tuned(embedder, fundus.select(np.arange(3)), task)
    with pytest.raises(EvaluationError, match="no image in the test split"):
        tuned(embedder, fundus, replace(task, splits=np.full(len(task), "train")))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("epochs", (0, -1)),
        ("batch", (1, 0)),
        ("learning_rate", (0.0, -0.1, math.nan, math.inf)),
        ("layer_decay", (0.0, 1.1, math.nan)),
        ("weight_decay", (-0.1, math.nan, math.inf)),
        ("mixup", (-0.2, math.nan, math.inf)),
        ("patience", (0,)),
    ],
)
def test_settings_out_of_range_are_told(name, wrong):
    for value in wrong:
        with pytest.raises(EvaluationError, match=f"{name} of fine-tuning must be .*, not {value}"):
            FineTuning(**{name: value})


def test_settings_at_the_edge_of_their_range_are_taken():
    edge = {"epochs": 1, "batch": 2, "layer_decay": 1.0, "weight_decay": 0.0, "mixup": 0.0, "patience": 1}
    assert edge.items() <= asdict(FineTuning(**edge)).items()


@pytest.fixture(scope="module")
def vit(make_model, tmp_path_factory) -> Embedder:
    return make_model(tmp_path_factory.mktemp("vit") / "model", architecture="test_vit")


def classifier(embedder: Embedder, classes: int = 3) -> Classifier:
    return Classifier(embedder, "ct", dim=embedder.backbone.dim, classes=classes)


def random_pixels(count: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, 3, 48, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def test_it_sees_images_as_the_embedder_prepares_them(embedder):
    model, pixels = classifier(embedder), random_pixels(2)
    prepared = torch.stack([embedder.prepare(image.permute(1, 2, 0).numpy(), "ct") for image in pixels])
    with torch.no_grad():
        expected = model.head(embedder.backbone(prepared))
    np.testing.assert_allclose(model.logits(pixels), expected.numpy(), atol=1e-5)


def test_logits_are_the_same_in_any_batch_and_leave_batch_statistics_alone(embedder):
    model, pixels = classifier(embedder).train(), random_pixels(70)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    together = model.logits(pixels)
    assert together.shape == (70, 3)
    assert together.dtype == np.float64
    np.testing.assert_allclose(together[66:], model.logits(pixels[66:]), atol=1e-5)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_encoder_is_copied(embedder):
    model = classifier(embedder)
    theirs = {id(parameter) for parameter in embedder.backbone.parameters()}
    assert not theirs & {id(parameter) for parameter in model.parameters()}


def test_an_encoder_without_weights_is_refused():
    nothing = Embedder(Pixels(), ModelConfig("pixels", "", Preprocessing(8)), "", torch.device("cpu"))  # type: ignore[arg-type]
    with pytest.raises(EvaluationError, match="'pixels' has no weights"):
        Classifier(nothing, "ct", dim=192, classes=2)


def test_the_learning_rate_falls_from_layer_to_layer(vit):
    model = classifier(vit)
    optimiser = build_optimiser(model, learning_rate=0.1, layer_decay=0.5, weight_decay=0.3)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rate, decay = {}, {}
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            rate[names[id(parameter)]], decay[names[id(parameter)]] = group["lr"], group["weight_decay"]
    assert rate.keys() == decay.keys() == set(names.values())
    encoder = "backbone.encoder."
    blocks = len(vit.backbone.encoder.blocks)
    # The norm behind the blocks belongs to the last one; below the first is the embedding of patches.
    assert rate["head.weight"] == rate[f"{encoder}norm.weight"] == 0.1
    by_depth = [rate[f"{encoder}blocks.{block}.mlp.fc1.weight"] for block in range(blocks)]
    assert by_depth == pytest.approx([0.1 * 0.5 ** (blocks - 1 - block) for block in range(blocks)])
    assert rate[f"{encoder}patch_embed.proj.weight"] == pytest.approx(0.1 * 0.5**blocks)
    assert decay["head.weight"] == decay[f"{encoder}blocks.0.mlp.fc1.weight"] == 0.3
    assert decay["head.bias"] == decay[f"{encoder}pos_embed"] == decay[f"{encoder}norm.weight"] == 0


def test_rates_rise_in_a_line_and_fall_as_a_cosine():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.AdamW([{"params": [weight], "lr": 2.0}])
    schedule = build_schedule(optimiser, 100)
    rates = []
    for _ in range(100):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    np.testing.assert_allclose(rates[:10], 2 * np.arange(1, 11) / 10)
    np.testing.assert_allclose(rates[10:], [1 + math.cos(math.pi * step / 90) for step in range(90)])


def test_a_run_of_one_step_has_the_full_rate():
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    build_schedule(optimiser, 1)
    assert optimiser.param_groups[0]["lr"] == 0.5
