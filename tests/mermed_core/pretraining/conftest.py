"""A manifest of tiny made-up images and the smoke recipe, for runs that take a second."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mermed_core.config import read_recipe
from mermed_core.data.manifest import Manifest
from mermed_core.pretraining.loader import Batch
from mermed_core.pretraining.recipe import Recipe

RECIPES = Path(__file__).parents[3] / "train" / "recipes"


def png(seed, side=24):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side + 4, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def table(counts, broken=()):
    modalities = [key for key, count in counts.items() for _ in range(count)]
    images = [b"no image" if row in broken else png(row) for row in range(len(modalities))]
    frame = pd.DataFrame({"image": images, "modality": modalities, "source": "made_up", "split": "train"})
    return Manifest.from_frame(frame)


@pytest.fixture
def make_manifest():
    return table


@pytest.fixture
def manifest():
    return table({"ct": 5, "oct": 2, "dermatology": 9})


@pytest.fixture
def smoke(tmp_path):
    """Returns the smoke recipe with overrides, in a folder of its own; a small batch."""

    def read(*overrides, folder="run"):
        own = (f"run.folder={tmp_path / folder}", "data.batch=7", "memory.size=24", "memory.block_size=12")
        return read_recipe(Recipe, RECIPES / "smoke.toml", [*own, *overrides])

    return read


@pytest.fixture
def batch():
    """Six images of two modalities, two large and two small views of each, not altered."""
    generator = torch.Generator().manual_seed(0)

    def views(count, size):
        return torch.randint(0, 256, (count, 6, 3, size, size), generator=generator, dtype=torch.uint8)

    params = torch.tensor([0.0, 0, 1, 1, 1, 0, 0]).expand(4, 6, -1)
    return Batch(views(2, 32), views(2, 16), params, torch.tensor([0, 0, 0, 1, 1, 1]), {})


@pytest.fixture
def first_views(batch):
    """The first large view of each, which the memory is filled with."""
    return Batch(batch.global_views[:1], batch.local_views[:0], batch.params[:1], batch.modality, {})
