"""What tests of commands share: a model to write to, and how an error is read."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from mermed_core.cli import main
from mermed_core.data.phantoms import FINDINGS, NORMAL, draw_phantom


@pytest.fixture
def encoder(tmp_path: Path, encoder_folder: Path) -> Path:
    """A model folder without heads that a test may change."""
    return shutil.copytree(encoder_folder, tmp_path / "encoder")


@pytest.fixture(scope="session")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of forty small drawn CT scans with labels, splits, patients and ages."""
    folder = tmp_path_factory.mktemp("scans")
    lines = ["image_path,modality,label,split,group,age"]
    for row in range(40):
        finding = NORMAL if row % 2 else FINDINGS["ct"][0]
        Image.fromarray(draw_phantom("ct", finding, seed=row, size=48).pixels).save(folder / f"{row}.png")
        lines.append(f"{row}.png,ct,{finding},{'train' if row < 20 else 'test'},{row},{20 + row}")
    (folder / "scans.csv").write_text("\n".join(lines))
    return folder / "scans.csv"


@pytest.fixture
def error_of(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command that must fail; returns its exit code and the one sentence on stderr."""

    def run(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1
        return code, lines[0].removeprefix("error: ")

    return run
