"""The bundled model answers as it did when its example vectors were written down, bit for bit."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mermed_core.imaging.reader import read_image
from mermed_core.models.embedder import Embedder

HERE = Path(__file__).parent
ASSETS = Path(__file__).parents[3] / "assets"
WRITTEN = json.loads((HERE / "example_vectors.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def embedder():
    return Embedder.load(ASSETS / "model", torch.device("cpu"))


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", WRITTEN["pixels"])
def test_the_pixels_of_an_example_are_the_same(name):
    pixels = read_image(ASSETS / "examples" / f"{name}.png").pixels
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == WRITTEN["pixels"][name]


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("entry", WRITTEN["vectors"])
def test_the_vector_of_an_example_is_the_same(entry, embedder):
    name, _, normalised = entry.partition(".")
    pixels = read_image(ASSETS / "examples" / f"{name}.png").pixels
    vector = embedder.embed(pixels, name if normalised == "own" else None)
    with np.load(HERE / "example_vectors.npz", allow_pickle=False) as vectors:
        np.testing.assert_allclose(vector, vectors[entry], atol=1e-5)
    # Another processor or version of torch adds up in another order; on the same one nothing may differ.
    machine = (torch.__version__, torch.backends.cpu.get_cpu_capability())
    if machine == (WRITTEN["torch"], WRITTEN["cpu_capability"]):
        assert hashlib.sha256(vector.tobytes()).hexdigest() == WRITTEN["vectors"][entry]
