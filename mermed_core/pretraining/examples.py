"""A few images of a run's data with their nearest neighbours, as its encoder sees them."""

import base64
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mermed_core.data.manifest import Manifest
from mermed_core.errors import TrainingError
from mermed_core.models.backbone import Backbone
from mermed_core.models.embedder import Embedder, Embeddings, embed_manifest
from mermed_core.models.model_folder import CONFIG, ModelConfig, load_model
from mermed_core.pretraining.checkpoints import checkpoints, read_checkpoint, tensors_below
from mermed_core.pretraining.export import preprocessing_of
from mermed_core.pretraining.recipe import Recipe

logger = logging.getLogger(__name__)

_NEIGHBOURS = 5


@dataclass(frozen=True)
class Picture:
    """An image small enough for a page.

    Attributes:
        source: a data URI.
        labels: names of its classes, empty where it has none.
        similarity: cosine to the image that was asked for; None for that one.
    """

    source: str
    labels: tuple[str, ...]
    similarity: float | None


@dataclass(frozen=True)
class Example:
    """An image and its nearest neighbours of other patients, the nearest first."""

    modality: str
    query: Picture
    neighbours: tuple[Picture, ...]


def find_examples(run: Path, recipe: Recipe, manifest: Manifest, *, images: int) -> list[Example]:
    """Returns one example of each modality, found among some images of the data.

    Args:
        run: folder of the run; its model is taken, or else the teacher of its newest checkpoint.
        recipe: of the run.
        manifest: its data; the val split where there is one.
        images: how many to look at, shared equally among the modalities.

    Raises:
        TrainingError: the run has no weights yet.
        ManifestError: not one image can be read.
    """
    some = _some(manifest, images, recipe.compute.seed)
    device = torch.device("cpu")
    backbone, config = _encoder(run, recipe)
    seen = embed_manifest(Embedder(backbone, config, "", device), some, thumbnails=True)
    modality = seen.manifest.frame["modality"].to_numpy()
    return [_example(seen, np.flatnonzero(modality == key)[0]) for key in np.unique(modality)]


def _encoder(run: Path, recipe: Recipe) -> tuple[Backbone, ModelConfig]:
    if (run / "model" / CONFIG).exists():
        return load_model(run / "model")
    for path in checkpoints(run / "checkpoints"):
        try:
            tensors, _ = read_checkpoint(path)
        except (OSError, ValueError, KeyError) as error:
            logger.warning("checkpoint %s is damaged: %s", path.name, error)
            continue
        backbone = Backbone(recipe.encoder.architecture, image_size=recipe.encoder.image_size)
        backbone.load_state_dict(tensors_below(tensors, "teacher.backbone"))
        config = ModelConfig("", recipe.encoder.architecture, preprocessing_of(recipe.encoder))
        return backbone.for_inference(), config
    raise TrainingError(f"'{run}' holds no checkpoint yet.")


def _some(manifest: Manifest, images: int, seed: int) -> Manifest:
    split = manifest.frame["split"].to_numpy()
    rows = np.flatnonzero(split == "val") if (split == "val").any() else np.arange(len(manifest))
    rows = np.random.default_rng(seed).permutation(rows)
    modality = manifest.frame["modality"].to_numpy()[rows]
    each = max(2, images // len(np.unique(modality)))
    return manifest.select(np.concatenate([rows[modality == key][:each] for key in np.unique(modality)]))


def _example(seen: Embeddings, row: int) -> Example:
    frame = seen.manifest.frame
    similarity = seen.vectors @ seen.vectors[row]
    similarity[(frame["group"] == frame["group"].iloc[row]).to_numpy()] = -np.inf
    nearest = [place for place in np.argsort(-similarity) if np.isfinite(similarity[place])][:_NEIGHBOURS]
    return Example(
        str(frame["modality"].iloc[row]),
        _picture(seen, row, None),
        tuple(_picture(seen, int(place), float(similarity[place])) for place in nearest),
    )


def _picture(seen: Embeddings, row: int, similarity: float | None) -> Picture:
    source = "data:image/jpeg;base64," + base64.b64encode(seen.thumbnails[row]).decode()
    return Picture(source, tuple(map(str, seen.manifest.frame["labels"].iloc[row] or ())), similarity)
