"""The drawn examples are images that can be read, one of each modality."""

from mermed_core.cli import main
from mermed_core.imaging.reader import read_image
from mermed_core.modalities import MODALITY_KEYS


def test_there_is_one_readable_image_of_each_modality(tmp_path):
    assert main(["draw-examples", "--out", str(tmp_path / "examples")]) == 0
    files = sorted((tmp_path / "examples").iterdir())
    assert [path.stem for path in files] == sorted(MODALITY_KEYS)
    assert all(read_image(path).pixels.shape == (320, 320, 3) for path in files)


def test_a_folder_with_something_else_is_kept(tmp_path, error_of):
    (tmp_path / "thesis.txt").write_text("all of it")
    assert error_of("draw-examples", "--out", tmp_path)[0] == 1
    assert (tmp_path / "thesis.txt").read_text() == "all of it"
