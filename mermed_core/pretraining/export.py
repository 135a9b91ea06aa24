"""The end of a run: the model folder with the trained encoder, its config and a short model card."""

from pathlib import Path
from typing import Any

import torch

from mermed_core.files import write_folder
from mermed_core.models.backbone import Backbone
from mermed_core.models.model_folder import CONFIG, ModelConfig, load_config, save_model
from mermed_core.models.preprocessing import IMAGENET, Preprocessing, paper_normalisation, timm_normalisation
from mermed_core.pretraining.checkpoints import Progress
from mermed_core.pretraining.recipe import Encoder, Recipe
from mermed_core.pretraining.run_folder import code_revision
from mermed_core.records import RESEARCH_ONLY


def preprocessing_of(encoder: Encoder) -> Preprocessing:
    """Returns the preprocessing that a recipe trains with and that the finished model has."""
    if encoder.normalisation == "modality":
        return Preprocessing(encoder.image_size, encoder.resize, modalities=paper_normalisation())
    own = timm_normalisation(encoder.architecture) if encoder.normalisation == "timm" else IMAGENET
    return Preprocessing(encoder.image_size, encoder.resize, neutral=own)


def export_model(
    folder: Path, trained: Backbone, start: Backbone, recipe: Recipe, progress: Progress, data: dict[str, Any]
) -> None:
    """Writes the model folder, as a whole or not at all.

    Args:
        folder: its path; a model that is there already is replaced.
        trained: the encoder at the end of the run.
        start: the encoder at the start of the run.
        recipe: the run's recipe.
        progress: how far the run came.
        data: see `data_fingerprint`.
    """
    mixed = interpolate(start, trained, recipe.model.interpolate)
    config = ModelConfig(
        recipe.model.name,
        recipe.encoder.architecture,
        preprocessing_of(recipe.encoder),
        _training(recipe, progress, data),
        recipe.model.licence,
    )
    with write_folder(folder) as staging:
        save_model(staging, mixed, config)
        (staging / "README.md").write_text(_card(config, recipe), encoding="utf-8")


@torch.no_grad()
def interpolate(start: Backbone, trained: Backbone, share: float) -> Backbone:
    """Returns `start` with (1 − share) · start + share · trained in every parameter and statistic.

    A mixture often combines what the starting weights know with what was learned (WiSE-FT, arXiv
    2109.01903).
    """
    learned = trained.state_dict()
    for name, tensor in start.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(learned[name].to(tensor), share)
        else:
            tensor.copy_(learned[name])
    return start


def _training(recipe: Recipe, progress: Progress, data: dict[str, Any]) -> dict[str, Any]:
    kept_apart = "by modality" if recipe.memory.by_modality else "of all modalities together"
    return {
        "method": f"MerMED-FM self-supervision with a memory {kept_apart} (arXiv 2507.00185)",
        "start": _origin(recipe.encoder.start),
        "steps": progress.step,
        "images_seen": progress.images,
        "batch": recipe.data.batch,
        "source_power": recipe.data.source_power,
        "views": f"{recipe.views.global_count} of {recipe.views.global_size} px, "
        f"{recipe.views.local_count} of {recipe.views.local_size} px",
        "memory": f"{recipe.memory.size} embeddings in {recipe.blocks} blocks",
        "learning_rate": recipe.optimiser.learning_rate,
        "layer_decay": recipe.optimiser.layer_decay,
        "teacher_momentum": recipe.teacher.momentum_start,
        "weights": f"{recipe.model.weights}, {recipe.model.interpolate:g} of the way from the start",
        "seed": recipe.compute.seed,
        "code_revision": code_revision(),
        "data": data,
    }


def _origin(start: str) -> str:
    """Names the starting weights; for one of our model folders also what it was trained from.

    Of a path only the last part is kept: a published model folder reveals nothing about a machine.
    """
    if start.startswith("package:"):
        return start
    if not (Path(start) / CONFIG).is_file():
        return Path(start).name
    model = load_config(Path(start))
    steps, origin = (model.training.get(name, "unknown") for name in ("steps", "start"))
    return f"{model.name}, {steps} steps from {origin}"


def _card(config: ModelConfig, recipe: Recipe) -> str:
    training = config.training
    data = training["data"]
    tables = [
        f"| {title} | images |\n|---|---|\n"
        + "\n".join(f"| {name} | {count} |" for name, count in rows.items())
        for title, rows in (("modality", data["modalities"]), ("source", data["sources"]))
    ]
    return "\n\n".join(
        [
            f"---\nlibrary_name: timm\nlicense: other\nlicense_name: {config.licence}\n---",
            f"# {config.name}",
            f"**{RESEARCH_ONLY}**",
            recipe.model.description,
            f"An encoder (`{config.architecture}`, {config.preprocessing.image_size} px) that started from "
            f"`{training['start']}` and was trained for {training['steps']} steps "
            f"({training['images_seen']} images seen), without labels: {training['method']}.",
            *tables,
            f"Licence of the weights: {config.licence}.\n",
        ]
    )
