"""Blocks of embeddings as files: whole ones, and the parts of one that is not finished yet."""

import io
import json
import logging
import time
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mermed_core.files import write_file
from mermed_core.models.embedder import EmbeddedBatch

logger = logging.getLogger(__name__)

# What a kill loses is what was embedded since the last part. A part is written when so many images are
# embedded, so long after the last one; where writing takes long, so rarely that it takes 1/50 of the time.
_LEAST = 64
_SECONDS = 1.0
_RARELY = 50


@dataclass(frozen=True)
class Block:
    """Vectors, the rows of the block that they belong to, and why the others are missing."""

    vectors: np.ndarray
    rows: np.ndarray
    broken: dict[str, str]

    def __len__(self) -> int:
        """Returns how many images this accounts for."""
        return len(self.rows) + len(self.broken)

    def is_of(self, images: int) -> bool:
        """Returns whether this accounts for each of so many images once."""
        counted = len(self.rows) == len(self.vectors) == images - len(self.broken)
        return counted and len(np.unique(self.rows)) == len(self.rows) and bool((self.rows < images).all())

    @classmethod
    def of_broken(cls, broken: dict[str, str]) -> "Block":
        """Returns a block of which no image can be read."""
        return cls(np.empty((0, 0), np.float32), np.empty(0, np.int64), broken)

    @classmethod
    def joined(cls, parts: Sequence["Block"]) -> "Block":
        """Returns parts that follow each other as one; the rows of each count from its own first image."""
        starts = np.cumsum([0, *map(len, parts)])
        vectors = [part.vectors for part in parts if len(part.rows)] or [np.empty((0, 0), np.float32)]
        rows = [part.rows + start for part, start in zip(parts, starts, strict=False)]
        broken = {case_id: reason for part in parts for case_id, reason in part.broken.items()}
        return cls(np.concatenate(vectors), np.concatenate([np.empty(0, np.int64), *rows]), broken)


def read_block(path: Path, fingerprint: str) -> Block | None:
    """Reads a file of embeddings; None where another encoder made it, or it was written under another name.

    The name says which images it is of, which as many others of another file would not show.

    Raises:
        OSError, ValueError and others: it is damaged; see `DAMAGE`.
    """
    with np.load(path, allow_pickle=False) as stored:
        found = Block(stored["vectors"], stored["rows"], json.loads(str(stored["broken"])))
        # Earlier versions wrote neither.
        maker = str(stored["fingerprint"]) if "fingerprint" in stored else fingerprint
        name = str(stored["name"]) if "name" in stored else path.stem
    return found if (maker, name) == (fingerprint, path.stem) else None


DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged file raises; a flipped bit may make it look encrypted, or of another compression."""


def write_block(path: Path, block: Block, fingerprint: str) -> None:
    """Writes a file of embeddings, whole or not at all."""
    buffer = io.BytesIO()
    broken, maker, name = (np.array(text) for text in (json.dumps(block.broken), fingerprint, path.stem))
    np.savez(buffer, vectors=block.vectors, rows=block.rows, broken=broken, fingerprint=maker, name=name)
    with write_file(path) as staging:
        staging.write_bytes(buffer.getvalue())


class UnfinishedBlock:
    """The images of a block that are embedded so far, kept in parts beside its place until it is whole.

    A part bears the block's name and the number of its first image, and says how many it is of. So parts that
    follow each other are found by their names alone, whatever batches another machine has embedded.

    Args:
        path: of the block.
        fingerprint: of the encoder.
        images: that the block is of.
    """

    def __init__(self, path: Path, fingerprint: str, images: int) -> None:
        self._whole = path
        self._fingerprint = fingerprint
        self._images = images
        self._starts = [0]  # of the parts that are there, and of the next one
        self._waiting: list[Block] = []
        self._due = time.monotonic() + _SECONDS

    def read(self) -> Block:
        """Returns what was embedded before, from the first image on; nothing where there is no part."""
        parts: list[Block] = []
        while (part := self._read(self._starts[-1])) is not None:
            parts.append(part)
            self._starts.append(self._starts[-1] + len(part))
        return Block.joined(parts)

    def add(self, batch: EmbeddedBatch) -> None:
        """Keeps the next images, and writes a part where one is due."""
        self._waiting.append(Block(batch.vectors, batch.rows, batch.broken))
        count = sum(map(len, self._waiting))
        last = self._starts[-1] + count >= self._images  # the block itself is written next
        if count >= _LEAST and time.monotonic() >= self._due and not last:
            self._write()

    def remove(self) -> None:
        """Deletes the parts, the last one first: a kill meanwhile leaves those that the next one finds."""
        if len(self._starts) == 1:
            self.read()  # as a kill may have left them beside a whole block
        for start in reversed(self._starts):  # at the end of the last one there may be one that is damaged
            self._path(start).unlink(missing_ok=True)

    def _path(self, start: int) -> Path:
        return self._whole.with_name(f"{self._whole.stem}.{start:04d}.npz")

    def _read(self, start: int) -> Block | None:
        path = self._path(start)
        if start >= self._images or not path.is_file():
            return None
        try:
            part = read_block(path, self._fingerprint)
        except DAMAGE as error:
            logger.warning("'%s' is damaged (%s) and not used", path, error)
            return None
        if part is not None and len(part) and part.is_of(len(part)) and start + len(part) <= self._images:
            return part
        logger.warning("'%s' does not hold what its name says and is not used", path)
        return None

    def _write(self) -> None:
        began = time.monotonic()
        part = Block.joined(self._waiting)
        write_block(self._path(self._starts[-1]), part, self._fingerprint)
        self._starts.append(self._starts[-1] + len(part))
        self._waiting = []
        now = time.monotonic()
        self._due = now + max(_SECONDS, _RARELY * (now - began))
