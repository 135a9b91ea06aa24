"""`mermed head` makes a classifier that `mermed analyse --head` asks."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from mermed_core.cli import main
from mermed_core.data.phantoms import FINDINGS, draw_phantom


@pytest.fixture
def labelled(tmp_path) -> Path:
    folder = tmp_path / "labelled"
    for modality in ("fundus", "ct"):
        for patient in range(3):
            place = folder / modality / f"patient{patient}"
            place.mkdir(parents=True)
            for image in range(2):
                pixels = draw_phantom(
                    modality, FINDINGS[modality][0], seed=10 * patient + image, size=48
                ).pixels
                Image.fromarray(pixels).save(place / f"{image}.png")
    (folder / "ct" / "notes.txt").write_text("not an image")
    return folder


def test_a_folder_of_labels_becomes_a_head_and_answers(labelled, model_folder, tmp_path, capsys):
    out, model = tmp_path / "head.zip", ["--model", str(model_folder)]
    assert main(["head", str(labelled), "--out", str(out), "--patients", "--json", *model]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["images"] == {"ct": 6, "fundus": 6}
    assert said["left_out"]["groups"] == 6
    assert main(["head", str(labelled), "--out", str(out), *model]) == 0
    printed = capsys.readouterr().out
    assert "label       ct: 6 images" in printed
    assert "each of 12 patients left out once" in printed


def test_its_answer_stands_in_the_analysis(labelled, model_folder, collection_folder, tmp_path, capsys):
    out, model = tmp_path / "head.zip", ["--model", str(model_folder)]
    assert main(["head", str(labelled), "--out", str(out), *model]) == 0
    image = str(labelled / "ct" / "patient0" / "0.png")
    served = [*model, "--collection", str(collection_folder)]
    assert main(["analyse", image, "--head", str(out), *served]) == 0
    assert "your head   ct " in capsys.readouterr().out
    assert main(["analyse", image, "--head", str(out), "--json", *served]) == 0
    own = json.loads(capsys.readouterr().out)["own_head"]
    assert set(own["probabilities"]) == {"ct", "fundus"}
    assert own["familiar"] is True


def test_what_is_missing_is_a_sentence(labelled, model_folder, collection_folder, tmp_path, error_of):
    model = ("--model", model_folder)
    code, said = error_of("head", tmp_path / "none", "--out", tmp_path / "x.zip", *model)
    assert code == 2
    assert "is not a folder" in said
    for patient in (1, 2):
        shutil.rmtree(labelled / "ct" / f"patient{patient}")
    (labelled / "ct" / "patient0" / "1.png").unlink()
    code, said = error_of("head", labelled, "--out", tmp_path / "x.zip", *model)
    assert code == 2
    assert "'ct' has images of one patient" in said
    image = labelled / "ct" / "patient0" / "0.png"
    served = (*model, "--collection", collection_folder)
    code, said = error_of("analyse", image, "--head", tmp_path / "none.zip", *served)
    assert code == 2
    assert "mermed head" in said
