"""The whole way on phantoms: pretrain, fit heads, build a collection, analyse, serve."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from gradio_client import Client, handle_file

from app.services import load_services
from app.ui import build_app, launch_options
from app.uploads import FOLDER_VARIABLE
from mermed_core.settings import Settings

ROOT = Path(__file__).parent.parent


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.timeout(180)
def test_from_nothing_to_the_page(tmp_path, monkeypatch):
    recipe = str(ROOT / "train" / "recipes" / "smoke.toml")
    model = run("train.pretrain", recipe, f"run.folder={tmp_path / 'run'}", "schedule.length=3").strip()
    run("train.fit_heads", "--model", model, "--data", "phantoms:10")
    collection = str(tmp_path / "collection")
    run("train.build_collection", "--model", model, "--data", "phantoms:3@1", "--out", collection)

    image = ROOT / "assets" / "examples" / "pathology.png"
    shell = ["analyse", str(image), "--json", "--model", model, "--collection", collection]
    said = json.loads(run("mermed_core", *shell))
    assert len(said["neighbours"]) == 8

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
    assert shown["model"] == said["model"]
    assert [hit["case_id"] for hit in shown["neighbours"]] == [hit["case_id"] for hit in said["neighbours"]]
    assert shown["modality"] == pytest.approx(said["modality"], abs=1e-4)
