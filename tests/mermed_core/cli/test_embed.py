"""`mermed embed` in shards: what they made is what a collection is made of."""

import pytest

from mermed_core.cli import main
from mermed_core.collections.store import load_collection
from mermed_core.models.embedder import Embedder


@pytest.fixture
def no_scheduler(monkeypatch):
    for name in ("SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX", "RANK", "SLURM_PROCID", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_scheduler")
def test_shards_embed_what_a_collection_is_made_of(model_folder, tmp_path, monkeypatch, capsys):
    common = ["--model", str(model_folder), "--data", "phantoms:2", "--cache", str(tmp_path / "cache")]
    assert main(["embed", *common, "--shard", "auto"]) == 2
    assert "INDEX/COUNT" in capsys.readouterr().err
    assert main(["embed", *common, "--shard", "0/2"]) == 0
    assert main(["embed", *common, "--shard", "0/2", "--check"]) == 1
    assert "run the shards 1/2 again" in capsys.readouterr().err
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    assert main(["embed", *common, "--shard", "auto/2"]) == 0
    assert main(["embed", *common, "--shard", "0/2", "--check"]) == 0
    assert "are there" in capsys.readouterr().out

    def refuse(*_, **__):
        raise AssertionError("an image is embedded again")

    monkeypatch.setattr(Embedder, "embed_tensors", refuse)
    assert main(["collect", *common, "--no-pictures", "--out", str(tmp_path / "mine")]) == 0
    assert len(load_collection(tmp_path / "mine"))
