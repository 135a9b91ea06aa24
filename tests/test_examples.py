"""The examples of docs/agents.md run as they stand there."""

import os
import re
import shlex
import shutil
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.services import load_services
from app.ui import build_app, launch_options
from app.uploads import FOLDER_VARIABLE
from mermed_core.cli import main
from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.settings import Settings

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "agents.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
SHELL = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
EXAMPLES = ASSETS / "examples"

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch) -> None:
    """The files that the examples name, in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MERMED_COLLECTION", str(BUNDLED_COLLECTION))
    shutil.copy(EXAMPLES / "fundus.png", "scan.png")
    shutil.copytree(EXAMPLES, "my/images")
    with zipfile.ZipFile("images.zip", "w") as archive:
        archive.write(EXAMPLES / "oct.png", "oct.png")
    for label, names in {"eye": ("fundus", "oct"), "body": ("ct", "cxr")}.items():
        Path("my/labelled", label).mkdir(parents=True)
        for name in names:
            shutil.copy(EXAMPLES / f"{name}.png", Path("my/labelled", label))


def run(example: str, **names: object) -> None:
    exec(compile(example, "docs/agents.md", "exec"), {"__name__": "__main__", **names})


def test_the_shell_examples_run(capsys):
    for line in SHELL:
        if line.startswith("mermed ") and not line.startswith("mermed mcp"):
            assert main(shlex.split(line)[1:]) == 0, line
    assert "your head" in capsys.readouterr().out
    assert Path("answers.csv").read_text(encoding="utf-8").count("\n") > 2


def test_the_gradio_client_example_runs(tmp_path_factory, monkeypatch, capsys):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path_factory.mktemp("uploads")))
    settings = Settings.from_environment()
    blocks = build_app(load_services(settings))
    _, url, _ = blocks.launch(**launch_options(settings) | {"server_port": None, "prevent_thread_lock": True})
    try:
        run(PYTHON[0], URL=url)
    finally:
        blocks.close()
    assert "file,answer,modality" in capsys.readouterr().out


def test_the_python_example_runs(capsys):
    run(PYTHON[1])
    assert "phantom_fundus" in capsys.readouterr().out


def test_the_mcp_example_runs(capsys, monkeypatch):
    pytest.importorskip("mcp")
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if shutil.which("mermed") is None:
        pytest.skip("the command mermed is not installed")
    with ThreadPoolExecutor(1) as threads:  # Playwright leaves a loop running in the thread of the tests
        threads.submit(run, PYTHON[2]).result()
    assert capsys.readouterr().out.split()[0] in ("answered", "abstained")
