"""The whole way on phantoms: pretrain, fit heads, build a collection, analyse, serve."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from app.services import load_services
from app.ui import build_app, launch_options
from app.uploads import FOLDER_VARIABLE
from mermed_core.cli import main
from mermed_core.settings import Settings

ROOT = Path(__file__).parent.parent


@pytest.fixture
def mermed(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command and returns what it printed."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(arguments) == 0
        return capsys.readouterr().out

    return run


@pytest.mark.timeout(180)
def test_from_nothing_to_the_page(tmp_path, monkeypatch, mermed):
    model = mermed("pretrain", "smoke", f"run.folder={tmp_path / 'run'}", "schedule.length=3").strip()
    mermed("fit", "--model", model, "--data", "phantoms:10")
    collection = str(tmp_path / "collection")
    mermed("collect", "--model", model, "--data", "phantoms:2@1", "--out", collection)

    image = ROOT / "assets" / "examples" / "pathology.png"
    options = ["--json", "--model", model, "--collection", collection]
    answer = json.loads(mermed("analyse", str(image), *options))
    assert len(answer["neighbours"]) == 8

    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "uploads"))
    os.makedirs(tmp_path / "uploads")
    settings = Settings.from_environment({"MERMED_MODEL": model, "MERMED_COLLECTION": collection})
    services = load_services(settings)
    blocks = build_app(services)
    options = launch_options(settings) | {"server_port": None, "prevent_thread_lock": True}
    try:
        address = blocks.launch(**options)[1]
        shown = Client(address, verbose=False).predict(handle_file(image), api_name="/analyse")
    finally:
        blocks.close()
    assert shown["model"] == answer["model"]
    assert [hit["case_id"] for hit in shown["neighbours"]] == [hit["case_id"] for hit in answer["neighbours"]]
    assert shown["modality"] == pytest.approx(answer["modality"], abs=1e-4)
