"""What visitors bring is gone when the process is, also where it was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app import private_folder as module
from app.private_folder import private_folder

OWNER = """
import sys
from pathlib import Path
from app import private_folder
private_folder._MEMORY = Path(sys.argv[1])
private_folder._ENOUGH = 0
folder = private_folder.private_folder("visit-")
(folder / "image.png").write_bytes(b"pixels")
print(folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def memory(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(module, "_MEMORY", tmp_path)
    monkeypatch.setattr(module, "_ENOUGH", 0)
    monkeypatch.setattr(module, "_YOUNG_SECONDS", 0)
    return tmp_path


def owner(memory: Path) -> tuple[subprocess.Popen[str], Path]:
    """Starts a process that has a folder with a visitor's image; returns both."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(memory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(module.__file__).parents[1],
    )
    assert process.stdout
    return process, Path(process.stdout.readline().strip())


@pytest.mark.parametrize("how", [signal.SIGKILL, None], ids=["killed", "ended"])
def test_what_a_process_leaves_is_removed_by_the_next_one(memory, how):
    process, left = owner(memory)
    assert (left / "image.png").exists()
    if how:
        process.send_signal(how)
    process.communicate()
    assert left.exists() is (how is not None)
    own = private_folder("visit-")
    assert list(memory.iterdir()) == [own]
    assert own.stat().st_mode & 0o777 == 0o700


def test_a_folder_whose_owner_lives_is_left_alone(memory):
    process, living = owner(memory)
    private_folder("visit-")
    assert (living / "image.png").read_bytes() == b"pixels"
    process.communicate()


def test_what_is_of_another_use_or_just_made_is_left_alone(memory, monkeypatch):
    other, link = memory / "something-else", memory / "visit-link"
    other.mkdir()
    link.symlink_to(other)
    private_folder("visit-")
    assert other.exists()
    assert link.is_symlink()
    (memory / "visit-young").mkdir()
    monkeypatch.setattr(module, "_YOUNG_SECONDS", 60)
    private_folder("visit-")
    assert (memory / "visit-young").exists()
    assert os.access(memory / "visit-young", os.W_OK)
