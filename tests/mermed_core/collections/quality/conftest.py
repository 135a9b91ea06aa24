"""Small collections of vectors and pictures that a test makes by hand."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mermed_core.collections.collection import Collection, Description
from mermed_core.search.faiss_engine import FaissEngine


def collection_of(vectors, thumbnails=None, **columns):
    count = len(vectors)
    vectors = np.asarray(vectors, np.float32)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    given = {
        "case_id": [f"c{row}" for row in range(count)],
        "modality": ["ct"] * count,
        "labels": [None] * count,
        "source": ["here"] * count,
        "group": [f"p{row}" for row in range(count)],
        "split": [""] * count,
    } | columns
    records = pd.DataFrame(given)
    engine = FaissEngine.build(vectors)
    description = Description("Small", "By hand.", True, "none")
    return Collection(description, records, vectors, vectors[:, :2].copy(), thumbnails, engine)


def encode(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def texture(seed, side=96):
    """Returns a picture (side, side, 3) of coloured blobs."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    return np.asarray(small.resize((side, side), Image.Resampling.BICUBIC))


@pytest.fixture(scope="session")
def make_collection():
    return collection_of


@pytest.fixture(scope="session")
def make_jpeg():
    return encode


@pytest.fixture(scope="session")
def make_texture():
    return texture
