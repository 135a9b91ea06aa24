"""The shipped recipes, and that every field does something: another value gives another run."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mermed_core.config import read_recipe, write_recipe
from mermed_core.data.manifest import Manifest
from mermed_core.errors import RecipeError
from mermed_core.models.preprocessing import IMAGENET
from mermed_core.pretraining.export import preprocessing_of
from mermed_core.pretraining.pretrainer import Pretrainer
from mermed_core.pretraining.recipe import Recipe

# Fields that decide the weights, each with a value other than the smoke recipe's.
CHANGES_WEIGHTS = {
    "data.splits": '["train", "val"]',
    "data.batch": 6,
    "data.mixed_shards": 2,
    "encoder.architecture": "test_vit",
    "encoder.normalisation": "imagenet",
    "encoder.drop_path": 0.5,
    "encoder.freeze_batch_norm": "true",
    "encoder.frozen_stages": 1,
    "views.global_count": 3,
    "views.global_size": 40,
    "views.global_scale": "[0.5, 1.0]",
    "views.local_count": 3,
    "views.local_size": 24,
    "views.local_scale": "[0.1, 0.2]",
    "views.aspect": "[1.0, 1.0]",
    "views.rotation": 5.0,
    "views.flip": 0.0,
    "views.jitter": "[0.4, 0.2, 0.1, 0.02]",
    "views.jitter_probability": 0.0,
    "views.blur_sigma": "[0.5, 1.0]",
    "views.blur_first": 0.0,
    "views.blur_other": 1.0,
    "views.blur_local": 1.0,
    "head.layers": 2,
    "head.hidden": 24,
    "head.dim": 12,
    "memory.size": 36,
    "memory.block_size": 24,
    "memory.prefill": 1.0,
    "memory.by_modality": "false",
    "loss.student_temperature": 0.2,
    "loss.teacher_temperature_start": 0.06,
    "loss.teacher_temperature_end": 0.09,
    "loss.koleo_weight_start": 0.5,
    "loss.koleo_weight_end": 0.5,
    "distillation.architecture": "test_efficientnet",
    "distillation.weight_start": 0.0,
    "distillation.weight_end": 2.0,
    "teacher.momentum_start": 0.5,
    "teacher.momentum_end": 0.95,
    "optimiser.learning_rate": 2e-2,
    "optimiser.final_learning_rate": 1e-3,
    "optimiser.weight_decay_start": 0.9,
    "optimiser.weight_decay_end": 0.9,
    "optimiser.betas": "[0.5, 0.9]",
    "optimiser.layer_decay": 0.5,
    "optimiser.clip_norm": 0.1,
    "schedule.unit": "epoch",
    "schedule.length": 3,
    "schedule.learning_rate_warmup": 2,
    "schedule.temperature_warmup": 3,
    "compute.seed": 1,
    "compute.precision": "bf16",
    "compute.accumulate": 3,
    "model.weights": "student",
    "model.interpolate": 0.5,
}
# Fields whose effect is tested elsewhere: in the model's config and card, in files, in how a run goes on.
SEEN_ELSEWHERE = {
    "data.manifest": "tests/mermed_core/cli/test_pretrain.py",
    "data.source_power": "test_pretrainer.py, test_sampler.py; it does not go with shards",
    "encoder.start": "test_a_start_is_taken",
    "encoder.image_size": "test_the_model_carries_what_the_recipe_says",
    "encoder.resize": "test_the_model_carries_what_the_recipe_says",
    "distillation.start": "test_distillation.py, the embeddings are those of the start",
    "optimiser.patience": "test_pretrainer.py, too many bad steps",
    "compute.channels_last": "test_pretrainer.py, the layout of the weights",
    "compute.checkpoint_activations": "test_engine.py",
    "compute.compile": "test_engine.py",
    "run.folder": "every run",
    "run.device": "test_a_wrong_device_or_tracker_is_refused",
    "run.workers": "test_loader.py",
    "run.log_every": "test_how_often",
    "run.checkpoint_every": "test_how_often",
    "run.keep": "test_pretrainer.py, only the last are kept",
    "run.tracker": "test_a_wrong_device_or_tracker_is_refused",
    "run.monitor_every": "test_how_often",
    "run.monitor_images": "test_monitor.py",
    "model.folder": "test_the_model_carries_what_the_recipe_says",
    "model.name": "test_the_model_carries_what_the_recipe_says",
    "model.checkpoint": "test_pretrainer.py, the best",
    "model.licence": "test_the_model_carries_what_the_recipe_says",
    "model.description": "test_the_model_carries_what_the_recipe_says",
}


RECIPES = Path(__file__).parents[3] / "train" / "recipes"
# The recipe.toml of runs from before there was `extends`.
OLD_RUNS = Path(__file__).with_name("old_runs")


@pytest.mark.parametrize("name", ["cpu", "gpu", "paper", "smoke"])
def test_a_shipped_recipe_has_the_values_of_the_runs_before_it(name):
    recipe = read_recipe(Recipe, RECIPES / f"{name}.toml")
    assert recipe == read_recipe(Recipe, OLD_RUNS / f"{name}.toml")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_shipped_recipe_can_be_read_and_has_a_folder_of_its_own(path):
    recipe = read_recipe(Recipe, path)
    assert recipe.run.folder == f"runs/{path.stem}"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("views.global_scale=[0.5, 0.2]", "two numbers above 0, the smaller one first"),
        ("views.aspect=[0, 1]", "two numbers above 0"),
        ("views.local_scale=[0.5, 1.2]", "must end at 1 or below"),
        ("views.local_count=0;views.global_count=1", "at least two views"),
        ("memory.block_size=25", "must not be larger than 'memory.size'"),
        ("model.checkpoint=best", "needs a 'run.monitor_every' above 0"),
        ("data.splits=[]", "must name at least one split"),
        ('data.splits=["other"]', r"'data\.splits\[0\]' is 'other'; it must be 'train', 'val', 'test' or ''"),
        ("data.source_power=1.5", r"'data\.source_power' is 1\.5; it must be less than or equal to 1"),
        ("schedule.length=0", "must be above 0"),
        ("optimiser.betas=[0.9, 1]", "must be below 1"),
        ("compute.precision=fp8", "it must be 'fp32', 'bf16' or 'fp16'"),
    ],
)
def test_values_that_cannot_be_are_refused(smoke, override, message):
    with pytest.raises(RecipeError, match=message):
        smoke(*override.split(";"))


@pytest.fixture
def in_shards(make_manifest):
    """Images that say in which shard they lie, and of two splits."""
    frame = make_manifest({"ct": 12, "oct": 9, "dermatology": 14}).frame
    frame["split"] = ["val" if row % 5 == 4 else "train" for row in range(len(frame))]
    frame["offset"] = range(len(frame))
    return Manifest.from_frame(frame)


@pytest.fixture
def trained(in_shards, smoke, monkeypatch):
    shards = [row % 6 for row in range(len(in_shards))]

    def numbered(manifest):
        return manifest.frame["offset"].map(lambda offset: shards[offset]).to_numpy()

    monkeypatch.setattr("mermed_core.pretraining.pretrainer.shards_of", numbered)

    def train(*overrides, folder):
        own = ("data.mixed_shards=1", 'data.splits=["train"]', "data.batch=3", "run.checkpoint_every=99")
        own = (*own, "encoder.architecture=test_resnet")  # residual and with batch norm: every field applies
        own = (*own, "distillation.architecture=test_resnet", "distillation.weight_start=0.5")
        recipe = smoke(*own, *overrides, folder=folder)
        return load_file(Pretrainer(recipe, in_shards).run() / "model.safetensors")

    return train


def test_each_field_is_in_one_of_the_tables(smoke):
    fields = [f"{section}.{field}" for section, values in smoke().model_dump().items() for field in values]
    assert sorted(fields) == sorted([*CHANGES_WEIGHTS, *SEEN_ELSEWHERE])


def differs(first, second):
    if first.keys() != second.keys():
        return True
    return any(a.shape != second[name].shape or not torch.equal(a, second[name]) for name, a in first.items())


def test_other_values_give_other_weights(trained):
    expected = trained(folder="plain")
    assert not differs(expected, trained(folder="again"))
    without_effect = [
        field
        for number, (field, value) in enumerate(CHANGES_WEIGHTS.items())
        if not differs(expected, trained(f"{field}={value}", folder=f"other-{number}"))
    ]
    assert without_effect == []


def test_a_field_that_is_missing_or_unknown_is_an_error(smoke, tmp_path):
    path = tmp_path / "recipe.toml"
    write_recipe(smoke(), path)
    lines = path.read_text(encoding="utf-8").splitlines()
    section = ""
    for number, line in enumerate(lines):
        if line.startswith("["):
            section = line.strip("[]")
        if " = " not in line:
            continue
        name = line.partition(" = ")[0]
        (tmp_path / "cut.toml").write_text("\n".join(lines[:number] + lines[number + 1 :]), encoding="utf-8")
        if name in ("source_power", "frozen_stages"):  # newer than some runs that may be continued
            recipe = read_recipe(Recipe, tmp_path / "cut.toml")
            assert (recipe.data.source_power, recipe.encoder.frozen_stages) == (1, 0)
            continue
        with pytest.raises(RecipeError, match=rf"'{section}\.{name}' is missing"):
            read_recipe(Recipe, tmp_path / "cut.toml")
        with pytest.raises(RecipeError, match=rf"'{section}\.{name}_' is unknown"):
            read_recipe(Recipe, path, [f"{section}.{name}_=1"])


def test_the_model_carries_what_the_recipe_says(manifest, smoke, tmp_path):
    overrides = {"name": "other", "licence": "CC0", "description": "Told here.", "folder": tmp_path / "there"}
    recipe = smoke(
        "encoder.resize=pad",
        "encoder.image_size=40",
        *(f"model.{key}={value}" for key, value in overrides.items()),
    )
    folder = Pretrainer(recipe, manifest).run()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert folder == tmp_path / "there"
    assert (config["name"], config["licence"]) == ("other", "CC0")
    assert (config["preprocessing"]["resize"], config["preprocessing"]["image_size"]) == ("pad", 40)
    assert "Told here." in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("named", "neutral", "by_modality"),
    [("timm", (0.5, 0.5, 0.5), 0), ("imagenet", IMAGENET[0], 0), ("modality", IMAGENET[0], 7)],
)
def test_each_normalisation_is_what_it_says(smoke, named, neutral, by_modality):
    recipe = smoke(f"encoder.normalisation={named}", "encoder.architecture=tf_efficientnet_lite0")
    preprocessing = preprocessing_of(recipe.encoder)
    assert preprocessing.neutral[0] == neutral
    assert len(preprocessing.modalities) == by_modality


def test_a_start_is_taken(manifest, smoke):
    vit = "encoder.architecture=test_vit"
    first = Pretrainer(smoke(vit), manifest).run()
    # 0: the finished model is the start itself.
    again = Pretrainer(
        smoke(vit, f"encoder.start={first}", "model.interpolate=0", folder="second"), manifest
    ).run()
    assert not differs(load_file(first / "model.safetensors"), load_file(again / "model.safetensors"))


def test_how_often(in_shards, smoke, tmp_path):
    often = ("run.log_every=2", "run.checkpoint_every=3", "run.monitor_every=3", "run.keep=9")
    Pretrainer(smoke(*often, "schedule.length=7"), in_shards).run()
    folder = tmp_path / "run"
    steps = {
        name: [json.loads(line)["step"] for line in (folder / name).read_text().splitlines()]
        for name in ("log.jsonl", "monitor.jsonl")
    }
    assert steps == {"log.jsonl": [2, 4, 6, 7], "monitor.jsonl": [3, 6, 7]}
    assert sorted(path.name[-1] for path in (folder / "checkpoints").iterdir()) == ["3", "6", "7"]


@pytest.mark.parametrize("override", ["run.tracker=no_such_tracker", "run.device=no_such_device"])
def test_a_wrong_device_or_tracker_is_refused(manifest, smoke, override):
    with pytest.raises(RecipeError, match=override.partition("=")[0]):
        Pretrainer(smoke(override), manifest)
