"""Where a run's result comes from: the revision of the code and a fingerprint of the data."""

import hashlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mermed_core.data.manifest import Manifest


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


def data_fingerprint(manifest: Manifest) -> dict[str, Any]:
    """Returns counts by modality and by source, and a digest of which images there are.

    Images inside the table count with their bytes, files with their case id alone.
    """
    frame = manifest.frame
    digest = hashlib.sha256()
    for case_id, modality, image in zip(frame["case_id"], frame["modality"], frame["image"], strict=True):
        digest.update(f"{case_id}\0{modality}\0".encode())
        digest.update(hashlib.sha256(image or b"").digest())
    return {
        "images": len(frame),
        "modalities": _counts(frame["modality"]),
        "sources": _counts(frame["source"]),
        "sha256": digest.hexdigest(),
    }


def _counts(values: Any) -> dict[str, int]:
    return {str(name): int(count) for name, count in values.value_counts().sort_index().items()}


def _git(*arguments: str) -> str:
    folder = Path(__file__).parent
    answer = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=10
    )
    return answer.stdout.strip()
