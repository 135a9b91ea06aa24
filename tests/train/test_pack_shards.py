import pytest

from mermed_core.data.sources.opener import open_manifest
from train import pretrain
from train.arguments import run
from train.pack_shards import main


def test_packed_images_are_trained_on(tmp_path, capsys):
    out = str(tmp_path / "shards")
    main(["--data", "phantoms:4", "--out", out, "--images-per-shard", "3"])
    main(["--data", "phantoms:4", "--out", out, "--images-per-shard", "3"])  # nothing is left to do
    assert capsys.readouterr().out.split() == [out, out]
    assert len(open_manifest(out)) == 28
    overrides = [f"run.folder={tmp_path / 'run'}", f"data.manifest=shards:{out}", "data.mixed_shards=1"]
    assert pretrain.main(["train/recipes/smoke.toml", *overrides, "schedule.length=2"]) == 0


def test_another_set_in_the_same_place_is_a_sentence(tmp_path, capsys):
    out = str(tmp_path / "shards")
    main(["--data", "phantoms:2", "--out", out])
    with pytest.raises(SystemExit, match="choose another place"):
        run(lambda: main(["--data", "phantoms:3", "--out", out]))
