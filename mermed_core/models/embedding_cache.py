"""Embeddings on disk, filed under what identifies the encoder and the images, so that each is made once."""

import hashlib
import io
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError
from mermed_core.files import write_file
from mermed_core.models.embedder import Embedder, Embeddings, embed_manifest

logger = logging.getLogger(__name__)

# Images embedded between two writes: an interrupted evaluation loses one block at most.
_BLOCK = 1024
# Broken images that the log names.
_NAMED = 3


@dataclass(frozen=True)
class Copy:
    """Changed copies of images.

    Attributes:
        name: what identifies the change; another one is embedded anew.
        of: returns, for a manifest, what changes the pixels of the image at a position.
    """

    name: str
    of: Callable[[Manifest], Callable[[np.ndarray, int], np.ndarray]]


@dataclass(frozen=True)
class EmbeddingCache:
    """A folder of embedded blocks of images; several evaluations can share it.

    Attributes:
        folder: made when the first block is written.
    """

    folder: Path

    def embed(
        self,
        embedder: Embedder,
        manifest: Manifest,
        *,
        neutral: bool = False,
        workers: int = 0,
        copy: "Copy | None" = None,
    ) -> Embeddings:
        """Returns the vectors of a manifest, embedding only what was not embedded before.

        How many images are broken is logged every time, even when nothing is embedded anew.

        Args:
            embedder: the encoder.
            manifest: the images; each split of each source is stored separately, in blocks.
            neutral: normalise as if the modality were not known.
            workers: processes that read images ahead.
            copy: embed changed copies of the images instead.

        Raises:
            ManifestError: not one image could be read.
        """
        blocks: list[_Block] = []
        kept: list[np.ndarray] = []
        with tqdm(total=len(manifest), desc=embedder.config.name, unit="image", disable=None) as bar:
            for rows in _blocks(manifest):
                block = self._block(embedder, manifest.select(rows), neutral, workers, bar, copy)
                blocks.append(block)
                kept.append(rows[block.rows])
        positions = np.concatenate(kept) if kept else np.empty(0, np.int64)
        if not len(positions):
            raise ManifestError("Not one image of the manifest could be read.", column="path")
        order = np.argsort(positions, kind="stable")
        vectors = np.concatenate([block.vectors for block in blocks if len(block.rows)])[order]
        broken = {case_id: reason for block in blocks for case_id, reason in block.broken.items()}
        _log_broken(embedder.config.name, broken, len(manifest))
        return Embeddings(vectors, manifest.select(positions[order]), (), broken)

    def _block(
        self,
        embedder: Embedder,
        block: Manifest,
        neutral: bool,
        workers: int,
        bar: tqdm,
        copy: "Copy | None",
    ) -> "_Block":
        path = self.folder / f"{_identity(embedder, block, neutral, copy.name if copy else '')}.npz"
        if path.is_file():
            bar.update(len(block))
            with np.load(path, allow_pickle=False) as stored:
                return _Block(stored["vectors"], stored["rows"], json.loads(str(stored["broken"])))
        case_ids = block.frame["case_id"]
        try:
            changed = copy.of(block) if copy else None
            made = embed_manifest(embedder, block, neutral=neutral, workers=workers, bar=bar, augment=changed)
        except ManifestError:  # every image of this block is broken, as was logged; others may not be
            broken = dict.fromkeys(case_ids, "as were all others of its block")
            return _Block(np.empty((0, 0)), np.empty(0, np.int64), broken)
        rows = np.flatnonzero(case_ids.isin(made.manifest.frame["case_id"]))
        buffer = io.BytesIO()
        np.savez(buffer, vectors=made.vectors, rows=rows, broken=np.array(json.dumps(made.broken)))
        with write_file(path) as staging:
            staging.write_bytes(buffer.getvalue())
        return _Block(made.vectors, rows, made.broken)


@dataclass(frozen=True)
class _Block:
    """Vectors, the rows of the block that they belong to, and why the others are missing."""

    vectors: np.ndarray
    rows: np.ndarray
    broken: dict[str, str]


def _log_broken(encoder: str, broken: dict[str, str], images: int) -> None:
    if broken:
        named = [f"{case_id} ({reason})" for case_id, reason in list(broken.items())[:_NAMED]]
        count = f"{len(broken)} of {images} images"
        shown = "; ".join(named + ["…"] * (len(broken) > _NAMED))
        logger.warning("%s: %s cannot be read and are left out: %s", encoder, count, shown)


def _blocks(manifest: Manifest) -> list[np.ndarray]:
    """Returns the rows of every block: of one source and one split, so that each split can be had alone."""
    groups = manifest.frame.groupby(["source", "split"], sort=True).indices
    divided = [np.asarray(rows) for rows in groups.values()]
    return [rows[start : start + _BLOCK] for rows in divided for start in range(0, len(rows), _BLOCK)]


def _identity(embedder: Embedder, block: Manifest, neutral: bool, copy: str) -> str:
    """Returns the name that a block is filed under; a file that changed on disk counts as another image."""
    # What is embedded as it is keeps the name that it had before there were copies.
    digest = hashlib.sha256(f"{embedder.fingerprint}\0{neutral}\0{copy and copy + chr(0)}".encode())
    frame = block.frame
    for position, (case_id, modality, image) in enumerate(
        zip(frame["case_id"], frame["modality"], frame["image"], strict=True)
    ):
        digest.update(f"{case_id}\0{modality}\0".encode())
        digest.update(hashlib.sha256(image).digest() if image is not None else _state(block, position))
    return digest.hexdigest()[:32]


def _state(block: Manifest, position: int) -> bytes:
    path = str(block.frame["path"].iat[position])
    try:
        state = Path(path).stat()
    except OSError:
        return path.encode()
    return f"{path}\0{state.st_size}\0{state.st_mtime_ns}".encode()
