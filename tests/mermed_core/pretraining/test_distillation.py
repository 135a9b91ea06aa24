"""The frozen encoder gives what it gives alone; the student is pulled to it."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file

from mermed_core.errors import ModelError
from mermed_core.models.backbone import Backbone
from mermed_core.models.model_folder import load_model
from mermed_core.models.preprocessing import Preprocessing, normalise, paper_normalisation
from mermed_core.pretraining.distillation import build_aligner, build_frozen_encoder, cosine_distance
from mermed_core.pretraining.distributed import Processes
from mermed_core.pretraining.engine import Engine
from mermed_core.pretraining.multicrop import ModalityNormaliser
from mermed_core.pretraining.optimisation import build_schedules
from mermed_core.pretraining.pretrainer import Pretrainer

KEYS = ("ct", "oct")
ALONE = ("distillation.weight_start=1", "distillation.weight_end=1")


def test_without_weight_there_is_no_frozen_encoder_and_no_layer(smoke):
    recipe = smoke()
    assert build_frozen_encoder(recipe, KEYS) is None
    assert not list(build_aligner(recipe, 8).parameters())


def test_it_embeds_as_its_start_does_with_its_own_normalisation(manifest, smoke, batch):
    folder = Pretrainer(smoke(), manifest).run()
    recipe = smoke(*ALONE, f"distillation.start={folder}", "encoder.normalisation=imagenet")
    reference = build_frozen_encoder(recipe, KEYS)
    assert reference is not None
    images = batch.global_views.float() / 255
    given = ModalityNormaliser(Preprocessing(), KEYS)
    found = reference(given(images, batch.modality), batch.modality)
    start = load_model(folder)[0].eval()
    statistics = paper_normalisation()
    for row, key in enumerate(["ct"] * 3 + ["oct"] * 3):
        with torch.no_grad():
            expected = start(normalise(images[:, row], statistics[key]))
        torch.testing.assert_close(found[:, row], expected, rtol=1e-3, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in reference.parameters())


def test_a_start_that_is_not_there_is_refused(smoke, tmp_path):
    with pytest.raises(ModelError):
        build_frozen_encoder(smoke(*ALONE, f"distillation.start={tmp_path / 'none.pth'}"), KEYS)


def test_a_frozen_encoder_that_cannot_take_the_views_is_refused(smoke):
    recipe = smoke(*ALONE, "distillation.architecture=cait_xxs24_224")
    with pytest.raises(ModelError, match="'cait_xxs24_224' cannot take images of 32 × 32 pixels"):
        build_frozen_encoder(recipe, KEYS)


def test_only_between_architectures_a_layer_is_learned(smoke):
    assert isinstance(build_aligner(smoke(*ALONE), 8), torch.nn.Identity)
    other = build_aligner(smoke(*ALONE, "distillation.architecture=test_resnet"), 8)
    assert isinstance(other, torch.nn.Linear)
    assert other.weight.shape == (Backbone("test_resnet", image_size=32).dim, 8)


def test_the_cosine_distance_is_one_minus_the_cosine():
    left = torch.tensor([[[3.0, 4.0], [1.0, 0.0]]])
    right = torch.tensor([[[4.0, 3.0], [0.0, 2.0]]])
    assert cosine_distance(left, right).item() == pytest.approx((1 - 24 / 25 + 1) / 2)
    assert cosine_distance(left, 7 * left).item() == pytest.approx(0, abs=1e-6)


def test_the_student_comes_nearer_to_the_frozen_encoder(smoke, batch, first_views):
    recipe = smoke(*ALONE, "data.batch=6", "distillation.architecture=test_resnet")
    engine = Engine(recipe, KEYS, Processes("cpu"))
    engine.prefill(first_views)
    applied = dataclasses.replace(build_schedules(recipe, 5)[0], learning_rate=1e-3, distillation_weight=10.0)
    found = [engine.step(batch, number, applied).distillation or 2.0 for number in range(12)]
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
