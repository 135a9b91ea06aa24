import numpy as np
import pytest

from mermed_core.models.embedder import Embedder
from mermed_core.models.model_folder import fingerprint, load_config
from train.join_stages import main


def test_it_writes_a_model_of_more_stages_another_size_and_a_focus(encoder, tmp_path):
    out = tmp_path / "joined"
    data = ["--model", str(encoder), "--data", "phantoms:4"]
    main([*data, "--out", str(out), "--stages", "2", "--size", "64", "--focus", "0.25"])
    config = load_config(out)
    assert (config.stages, config.focus, config.preprocessing.image_size) == (2, 0.25, 64)
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    vector = Embedder.load(out).embed(pixels, "ct")
    assert len(vector) > len(Embedder.load(encoder).embed(pixels, "ct"))
    assert np.isfinite(vector).all()


def test_every_option_makes_another_model(encoder, tmp_path):
    options = [[], ["--stages", "1"], ["--size", "64"], ["--focus", "0.25"], ["--focus", "0.5"]]
    found = set()
    for number, option in enumerate(options):
        out = tmp_path / str(number)
        main(["--model", str(encoder), "--data", "phantoms:4", "--out", str(out), *option])
        found.add(fingerprint(out))
    assert len(found) == len(options)


def test_a_focus_that_is_no_share_of_the_side_is_refused(encoder, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["--model", str(encoder), "--data", "phantoms:4", "--out", str(tmp_path), "--focus", "25"])
    assert "from 0 to 1" in capsys.readouterr().err
