"""Packed images are a source of images; packing goes on where it was stopped."""

from mermed_core.cli import main
from mermed_core.data.sources.opener import open_manifest


def test_packed_images_can_be_opened_and_packing_again_does_nothing(tmp_path, capsys):
    out = tmp_path / "shards"
    arguments = ["pack-shards", "--data", "phantoms:4", "--out", str(out), "--images-per-shard", "3"]
    assert main(arguments) == 0
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    assert main(arguments) == 0
    assert capsys.readouterr().out.split() == [str(out)] * 2
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.tar")} == before
    manifest = open_manifest(out)
    assert len(manifest) == 28
    assert manifest.read_image(0).pixels.shape[2] == 3


def test_other_images_in_the_same_place_are_refused(tmp_path, error_of):
    out = tmp_path / "shards"
    assert main(["pack-shards", "--data", "phantoms:1", "--out", str(out)]) == 0
    code, sentence = error_of("pack-shards", "--data", "phantoms:2", "--out", out)
    assert (code, "choose another place" in sentence) == (1, True)
