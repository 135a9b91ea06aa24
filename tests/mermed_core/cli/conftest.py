"""What tests of commands share: a model to write to, and how an error is read."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mermed_core.cli import main


@pytest.fixture
def encoder(tmp_path: Path, encoder_folder: Path) -> Path:
    """A model folder without heads that a test may change."""
    return shutil.copytree(encoder_folder, tmp_path / "encoder")


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
