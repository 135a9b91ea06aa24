"""What a run leaves in its folder: the best checkpoint, curves, provenance, the resolved recipe."""

import json
from importlib.metadata import version

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mermed_core.config import read_recipe
from mermed_core.errors import ManifestError, RecipeError, TrainingError
from mermed_core.models.model_folder import load_model
from mermed_core.pretraining.monitor import EmbeddingQuality
from mermed_core.pretraining.pretrainer import Pretrainer
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.run_folder import RunFolder, read_log


class Killed(BaseException):
    """Ends a run as SIGKILL does: nothing behind it runs."""


def weights(folder):
    return load_file(folder / "model.safetensors")


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def give_scores(pretrainer, scores):
    """Lets the monitor see these scores, one after the other."""
    values = iter(scores)
    pretrainer._monitor.evaluate = lambda _: EmbeddingQuality(
        {"ct": {"task": next(values)}}, {"ct": 5.0}, {"ct": 0.5}
    )


def test_the_best_checkpoint_is_kept_beside_the_last_and_can_be_exported(manifest, smoke, tmp_path):
    options = ("run.monitor_every=1", "run.checkpoint_every=1", "run.keep=1", "schedule.length=5")
    run = Pretrainer(smoke(*options), manifest)
    give_scores(run, [0.5, 0.9, 0.7, 0.8, 0.6])
    last = weights(run.run())
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["step-000000002", "step-000000005"]
    assert (run.state.progress.best_step, run.state.progress.best_score) == (2, 0.9)
    best = Pretrainer(smoke(*options, "model.checkpoint=best"), manifest).run()
    assert not same(weights(best), last)
    assert load_model(best)[1].training["steps"] == 2
    stored = load_file(tmp_path / "run" / "checkpoints" / kept[0] / "state.safetensors")
    for name, tensor in weights(best).items():
        assert torch.equal(tensor, stored[f"teacher.backbone.encoder.{name}"])


def test_a_collapse_is_told(manifest, smoke, caplog):
    run = Pretrainer(smoke("run.monitor_every=4"), manifest)
    assert run._monitor is not None
    run._monitor.evaluate = lambda teacher: EmbeddingQuality({}, {"ct": 1.2}, {"ct": 0.01}, ("ct",))
    run.run()
    assert "the embeddings of ct have collapsed (rank 1.2, standard deviation 0.010)" in caplog.text


def test_tensorboard_shows_the_values_of_the_log(manifest, smoke, tmp_path):
    Pretrainer(smoke("run.tracker=tensorboard", "run.monitor_every=2"), manifest).run()
    events = EventAccumulator(str(tmp_path / "run" / "curves"))
    events.Reload()
    lines = read_log(tmp_path / "run" / "log.jsonl")
    for name in ("loss", "learning_rate", "teacher_temperature", "koleo_weight", "embedding_std"):
        values = {event.step: event.value for event in events.Scalars(name)}
        assert values == pytest.approx({line["step"]: line[name] for line in lines})
    fills = [event.value for event in events.Scalars("memory/ct")]
    assert fills == pytest.approx([line["memory"]["ct"] for line in lines])


def test_provenance_is_written_first_and_names_what_came_later(manifest, smoke, tmp_path, monkeypatch):
    monkeypatch.setattr("mermed_core.pretraining.run_folder.code_revision", lambda: "first")

    def stop(*_):
        held = json.loads((tmp_path / "run" / "provenance.json").read_text())
        assert (tmp_path / "run" / "recipe.toml").exists()
        assert (held["code"], held["data"]["images"], held["continued"]) == ("first", 16, [])
        assert held["versions"]["torch"] == version("torch")
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("mermed_core.pretraining.pretrainer.Engine", stop)
        Pretrainer(smoke(), manifest)
    for _ in range(2):
        Pretrainer(smoke(), manifest)
    monkeypatch.setattr("mermed_core.pretraining.run_folder.code_revision", lambda: "second")
    for _ in range(2):
        Pretrainer(smoke(), manifest)
    held = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert held["code"] == "first"
    assert [each["code"] for each in held["continued"]] == ["second"]


def test_the_resolved_recipe_is_written_and_another_is_refused(manifest, smoke, make_manifest, tmp_path):
    recipe = smoke("run.log_every=3")
    Pretrainer(recipe, manifest)
    assert read_recipe(Recipe, tmp_path / "run" / "recipe.toml") == recipe
    Pretrainer(smoke("run.workers=1", "model.name=other"), manifest)
    with pytest.raises(RecipeError, match=r"loss\.student_temperature"):
        Pretrainer(smoke("loss.student_temperature=0.2"), manifest)
    with pytest.raises(TrainingError, match="other images"):
        Pretrainer(smoke(), make_manifest({"ct": 5}))
    with pytest.raises(ManifestError, match="split"):
        Pretrainer(smoke('data.splits=["val"]'), manifest)


def test_the_recipe_of_a_run_shows_no_login(smoke, tmp_path):
    data = {"sha256": "0" * 64}
    place = "shards:https://{}host/shards?modality=ct"
    for login in ("me:hush@", "me:changed@"):  # another password is no other run
        RunFolder(smoke(f"data.manifest={place.format(login)}"), data)
        written = (tmp_path / "run" / "recipe.toml").read_text()
        assert place.format("") in written
        assert login not in written
