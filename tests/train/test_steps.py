"""Every step is a command under another name, and can be started as a module."""

import runpy
from pathlib import Path

import pytest

from mermed_core.cli import program

STEPS = {
    "build_collection": "collect",
    "draw_examples": "draw-examples",
    "evaluate": "evaluate",
    "fit_heads": "fit",
    "import_official": "import-official",
    "model_report": "model-report",
    "pack_shards": "pack-shards",
    "pool_stages": "pool-stages",
    "pretrain": "pretrain",
    "report": "report",
}


def test_every_file_is_a_step():
    folder = Path(__file__).parents[2] / "train"
    assert sorted(path.stem for path in folder.glob("[!_]*.py")) == sorted(STEPS)


@pytest.mark.parametrize(("module", "command"), STEPS.items())
def test_a_step_takes_the_options_of_its_command(monkeypatch, module, command):
    calls = []
    monkeypatch.setattr(program, "main", lambda arguments: calls.append(arguments) or 7)
    monkeypatch.setattr("sys.argv", [module, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(f"train.{module}", run_name="__main__")
    assert calls == [[command, "--help"]]
    assert ended.value.code == 7
