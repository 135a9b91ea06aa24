"""Where a run's result comes from: the revision of the code and the versions of what it uses."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def code_revision() -> str:
    """Returns the git commit of this code, with "+changes" where files differ from it, or "unknown"."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def versions() -> dict[str, str]:
    """Returns the versions of what computes: Python and the packages that the weights depend on."""
    packages = {name: version(name) for name in ("torch", "torchvision", "timm", "accelerate", "pillow")}
    return {"python": platform.python_version(), **packages}


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    answer = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10
    )
    return answer.stdout.strip()
