"""The frozen encoder gives what it gives alone; the student is pulled to it by the weight that is logged."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file

from mermed_core.backbone import Backbone
from mermed_core.checkpoint import load_model
from mermed_core.errors import ModelError
from mermed_core.pretraining.distillation import build_aligner, build_reference, distance
from mermed_core.pretraining.engine import Engine
from mermed_core.pretraining.loader import Batch
from mermed_core.pretraining.pretrainer import Pretrainer
from mermed_core.pretraining.ranks import Ranks
from mermed_core.pretraining.schedules import build_schedules
from mermed_core.pretraining.views import ModalityNormaliser
from mermed_core.transforms import Preprocessing, normalise, paper_normalisation

KEYS = ("ct", "oct")
MODALITY = torch.tensor([0, 0, 0, 1, 1, 1])
ALONE = ("distillation.weight_start=1", "distillation.weight_end=1")


def pixels(count, size):
    generator = torch.Generator().manual_seed(size)
    return torch.randint(0, 256, (count, 6, 3, size, size), generator=generator, dtype=torch.uint8)


def batch():
    amounts = torch.tensor([0.0, 0, 1, 1, 1, 0, 0]).expand(4, 6, -1)
    return Batch(pixels(2, 32), pixels(2, 16), amounts, MODALITY, {})


def first_view():
    whole = batch()
    return Batch(whole.global_views[:1], whole.local_views[:0], whole.amounts[:1], whole.modality, {})


def test_without_weight_there_is_no_frozen_encoder_and_no_layer(smoke):
    recipe = smoke()
    assert build_reference(recipe, KEYS) is None
    assert not list(build_aligner(recipe, 8).parameters())


def test_it_embeds_as_the_start_does_with_the_normalisation_that_it_was_trained_with(manifest, smoke):
    folder = Pretrainer(smoke(), manifest).run()
    recipe = smoke(*ALONE, f"distillation.start={folder}", "encoder.normalisation=imagenet")
    reference = build_reference(recipe, KEYS)
    assert reference is not None
    images = pixels(2, 32).float() / 255
    given = ModalityNormaliser(Preprocessing(), KEYS)
    found = reference(given(images, MODALITY), MODALITY)
    start = load_model(folder)[0].eval()
    statistics = paper_normalisation()
    for row, key in enumerate(["ct"] * 3 + ["oct"] * 3):
        with torch.no_grad():
            expected = start(normalise(images[:, row], statistics[key]))
        torch.testing.assert_close(found[:, row], expected, rtol=1e-3, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in reference.parameters())


def test_a_start_that_is_not_there_is_refused(smoke, tmp_path):
    with pytest.raises(ModelError):
        build_reference(smoke(*ALONE, f"distillation.start={tmp_path / 'none.pth'}"), KEYS)


def test_only_between_architectures_a_layer_is_learned(smoke):
    assert isinstance(build_aligner(smoke(*ALONE), 8), torch.nn.Identity)
    other = build_aligner(smoke(*ALONE, "distillation.architecture=test_resnet"), 8)
    assert isinstance(other, torch.nn.Linear)
    assert other.weight.shape == (Backbone("test_resnet", image_size=32).dim, 8)


def test_the_distance_is_one_minus_the_cosine():
    left = torch.tensor([[[3.0, 4.0], [1.0, 0.0]]])
    right = torch.tensor([[[4.0, 3.0], [0.0, 2.0]]])
    assert distance(left, right).item() == pytest.approx((1 - 24 / 25 + 1) / 2)
    assert distance(left, 7 * left).item() == pytest.approx(0, abs=1e-6)


def test_the_scheduled_weight_is_the_one_applied(smoke):
    recipe = smoke(*ALONE, "data.batch=6", "encoder.drop_path=0", "distillation.architecture=test_resnet")
    recipe = dataclasses.replace(recipe, optimiser=dataclasses.replace(recipe.optimiser, clip_norm=1e9))

    def gradient(weight):
        engine = Engine(recipe, KEYS, Ranks("cpu"))
        engine.prefill(first_view())
        applied = dataclasses.replace(build_schedules(recipe, 5)[0], distillation_weight=weight)
        outcome = engine.step(batch(), 0, applied)
        flat = [p.grad.flatten() for p in engine.student.parameters() if p.grad is not None]
        return torch.cat(flat), outcome

    (none, plain), (one, outcome), (three, _) = gradient(0.0), gradient(1.0), gradient(3.0)
    assert outcome.loss == plain.loss
    assert outcome.distillation == plain.distillation
    assert 0 < (outcome.distillation or 0) < 2
    assert (one - none).norm() > 1e-3
    torch.testing.assert_close(three - none, 3 * (one - none), rtol=1e-3, atol=1e-4)


def test_the_student_comes_nearer_to_the_frozen_encoder(smoke):
    recipe = smoke(*ALONE, "data.batch=6", "distillation.architecture=test_resnet")
    engine = Engine(recipe, KEYS, Ranks("cpu"))
    engine.prefill(first_view())
    applied = dataclasses.replace(build_schedules(recipe, 5)[0], learning_rate=1e-3, distillation_weight=10.0)
    found = [engine.step(batch(), number, applied).distillation or 2.0 for number in range(12)]
    assert found[-1] < 0.7 * found[0]


def test_a_stopped_run_goes_on_with_the_same_layer(manifest, smoke):
    own = (*ALONE, "distillation.architecture=test_resnet", "schedule.length=4", "run.checkpoint_every=2")
    whole = Pretrainer(smoke(*own, folder="whole"), manifest).run()
    first = Pretrainer(smoke(*own, folder="parts"), manifest)
    first.schedules = dataclasses.replace(first.schedules, steps=2)
    first.run()
    parts = Pretrainer(smoke(*own, folder="parts"), manifest).run()
    expected, found = (load_file(folder / "model.safetensors") for folder in (whole, parts))
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
