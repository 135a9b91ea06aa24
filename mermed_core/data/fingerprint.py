"""What identifies a set of images."""

import hashlib
from typing import Any

from mermed_core.data.manifest import Manifest


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
