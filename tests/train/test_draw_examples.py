from mermed_core.imaging.reader import read_image
from mermed_core.modalities import MODALITY_KEYS
from train.draw_examples import main


def test_there_is_one_readable_image_of_each_modality(tmp_path):
    main(["--out", str(tmp_path / "examples")])
    files = sorted((tmp_path / "examples").iterdir())
    assert [path.stem for path in files] == sorted(MODALITY_KEYS)
    assert all(read_image(path).pixels.shape == (320, 320, 3) for path in files)
