import os
import signal
import subprocess
import sys
import textwrap

import pytest

from mermed_core.data.phantoms import FINDINGS, draw_phantom
from mermed_core.errors import ManifestError, ModelError, OccupiedError
from mermed_core.inference.predictor import MedicalImage, Predictor
from train.fit_heads import main


def test_it_makes_an_encoder_a_model_that_answers(encoder, tmp_path):
    out = tmp_path / "model"
    main(["--model", str(encoder), "--data", "phantoms:20", "--out", str(out)])
    predictor = Predictor.load(out)
    assert len(predictor.tasks) == 7
    assert "Research use only" in predictor.card
    assert predictor.metrics["phantom_ct"]["title"] == "Synthetic CT"
    assert set(predictor.figures) == {"modality_accuracy", "known_accepted"}
    pixels = draw_phantom("fundus", FINDINGS["fundus"][0], seed=1).pixels
    assert len(predictor.analyse(MedicalImage(pixels, 1, 0, "PNG", ())).modality) == 7
    assert sorted(path.name for path in encoder.iterdir()) == ["config.json", "model.safetensors"]


def test_by_default_it_writes_into_the_model_itself(encoder):
    main(["--model", str(encoder), "--data", "phantoms:10"])
    assert Predictor.load(encoder).tasks


@pytest.mark.timeout(120)
def test_killed_while_it_writes_the_previous_heads_stay(encoder):
    main(["--model", str(encoder), "--data", "phantoms:10"])
    before = {path: path.read_bytes() for path in encoder.rglob("*") if path.is_file()}
    program = textwrap.dedent(f"""
        import time
        import mermed_core.models.ood as gate
        from train.fit_heads import main
        save = gate.save_gate
        def stop(folder, value):
            save(folder, value)
            print("written", flush=True)
            time.sleep(60)
        gate.save_gate = stop
        main(["--model", {str(encoder)!r}, "--data", "phantoms:12@5"])
    """)
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "written\n"
        os.kill(process.pid, signal.SIGKILL)
    assert {path: path.read_bytes() for path in encoder.rglob("*") if path.is_file()} == before
    assert Predictor.load(encoder).tasks


@pytest.mark.parametrize(
    ("content", "told"), [(None, "No such file"), ("[a\n", "TOML"), ('busi = "title"\n', r"\[busi\]")]
)
def test_facts_that_cannot_be_read_are_told_before_the_work(encoder, tmp_path, content, told):
    table = tmp_path / "facts.toml"
    if content is not None:
        table.write_text(content)
    with pytest.raises(ManifestError, match=told):
        main(["--model", str(encoder), "--data", "nowhere", "--datasets", str(table)])


def test_a_folder_with_something_else_is_kept(encoder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("all of it")
    with pytest.raises(OccupiedError, match="another place"):
        main(["--model", str(encoder), "--data", "phantoms:10", "--out", str(tmp_path / "mine")])
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "all of it"


def test_a_folder_that_holds_no_model_is_told(tmp_path):
    with pytest.raises(ModelError, match="no model"):
        main(["--model", str(tmp_path), "--data", "phantoms:10"])
