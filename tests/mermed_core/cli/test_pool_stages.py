"""Pooling stages makes another model, of every option another."""

import numpy as np

from mermed_core.cli import main
from mermed_core.models.embedder import Embedder
from mermed_core.models.model_folder import fingerprint, load_config


def pool(encoder, out, *options):
    arguments = ["--model", str(encoder), "--data", "phantoms:2", "--out", str(out)]
    assert main(["pool-stages", *arguments, *options]) == 0
    return out


def test_it_writes_a_model_of_more_stages_another_size_and_the_centre(encoder, tmp_path):
    out = pool(encoder, tmp_path / "pooled", "--stages", "2", "--size", "64", "--centre-sigma", "0.25")
    config = load_config(out)
    assert (config.pooled_stages, config.centre_sigma, config.preprocessing.image_size) == (2, 0.25, 64)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    vector = Embedder.load(out).embed(pixels, "ct")
    assert len(vector) > len(Embedder.load(encoder).embed(pixels, "ct"))
    assert np.isfinite(vector).all()


def test_every_option_makes_another_model(encoder, tmp_path):
    options = [[], ["--stages", "1"], ["--size", "64"], ["--centre-sigma", "0.25"], ["--trim"]]
    made = {fingerprint(pool(encoder, tmp_path / str(i), *option)) for i, option in enumerate(options)}
    assert len(made) == len(options)


def test_a_sigma_that_is_no_share_of_the_side_is_refused(encoder, tmp_path, error_of):
    options = ["--model", encoder, "--data", "phantoms:2", "--out", tmp_path, "--centre-sigma", "25"]
    code, sentence = error_of("pool-stages", *options)
    assert (code, "from 0 to 1" in sentence) == (2, True)
