"""The network that is fine-tuned, its learning rates layer by layer, and their course."""

import math

import numpy as np
import pytest
import torch

from mermed_core.errors import EvaluationError
from mermed_core.evaluation.classifier import Classifier, build_optimiser, build_schedule
from mermed_core.evaluation.encoders import Pixels
from mermed_core.models.embedder import Embedder
from mermed_core.models.model_folder import ModelConfig
from mermed_core.models.preprocessing import Preprocessing


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """On a busy machine the threads of a tiny network wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
