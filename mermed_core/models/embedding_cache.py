"""Embeddings on disk, filed under what identifies the encoder and the images, so that each is made once."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mermed_core.data.manifest import Manifest
from mermed_core.errors import NothingReadableError
from mermed_core.models.embedder import Embedder, Embeddings, embed_manifest
from mermed_core.models.embedding_blocks import DAMAGE, Block, UnfinishedBlock, read_block, write_block
from mermed_core.models.shard import Shard
from mermed_core.progress_bar import progress_bar

logger = logging.getLogger(__name__)

# Images of one file; until it is whole, parts of it are kept beside it.
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
class Share:
    """What became of a share of a manifest.

    Attributes:
        blocks: that belong to it.
        there: of these, how many had been embedded before.
        images: that are embedded now.
        broken: case_id → reason, for each image that cannot be read.
    """

    blocks: int
    there: int
    images: int
    broken: dict[str, str]


@dataclass(frozen=True)
class EmbeddingCache:
    """A folder of embedded blocks of images; several evaluations and several machines can share it.

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
            NothingReadableError: not one image could be read.
        """
        blocks: list[Block] = []
        kept: list[np.ndarray] = []
        with progress_bar(f"embedding with {embedder.config.name}", "image", total=len(manifest)) as bar:
            for rows in _blocks(manifest):
                some = manifest.select(rows)
                path = self._path(embedder, some, neutral, copy.name if copy else "")
                block = _known(path, embedder, len(some), bar)
                if block is None:
                    block = _made(path, embedder, some, bar, neutral=neutral, workers=workers, copy=copy)
                blocks.append(block)
                kept.append(rows[block.rows])
        positions = np.concatenate(kept) if kept else np.empty(0, np.int64)
        broken = {case_id: reason for block in blocks for case_id, reason in block.broken.items()}
        if not len(positions):
            raise NothingReadableError(broken)
        order = np.argsort(positions, kind="stable")
        vectors = np.concatenate([block.vectors for block in blocks if len(block.rows)])[order]
        _log_broken(embedder.config.name, broken, len(manifest))
        return Embeddings(vectors, manifest.select(positions[order]), (), broken)

    def embed_share(
        self, embedder: Embedder, manifests: Sequence[Manifest], shard: Shard, *, workers: int = 0
    ) -> Share:
        """Embeds the blocks of one shard that are not there yet; `embed` then finds those of all shards.

        Every block is one file that is there whole or not at all, so that a share that was stopped goes on
        where it ended, and machines need to agree on nothing but the images.

        Args:
            embedder: the encoder.
            manifests: all images, the same on every machine, in the parts that will be asked for.
            shard: which blocks.
            workers: processes that read images ahead.
        """
        blocks = [block for number, block in _numbered(manifests) if shard.has(number)]
        there = images = 0
        broken: dict[str, str] = {}
        with progress_bar(f"shard {shard}", "image", total=sum(map(len, blocks))) as bar:
            for block in blocks:
                path = self._path(embedder, block)
                known = _known(path, embedder, len(block), bar)
                there += known is not None
                made = known if known is not None else _made(path, embedder, block, bar, workers=workers)
                images += len(made.rows)
                broken |= made.broken
        _log_broken(f"shard {shard}", broken, images + len(broken))
        return Share(len(blocks), there, images, broken)

    def missing(self, embedder: Embedder, manifests: Sequence[Manifest]) -> list[int]:
        """Returns the numbers of the blocks of all images that are not there, or not whole."""
        return [
            number
            for number, block in _numbered(manifests)
            if _whole(self._path(embedder, block), embedder, len(block)) is None
        ]

    def _path(self, embedder: Embedder, block: Manifest, neutral: bool = False, copy: str = "") -> Path:
        return self.folder / f"{_identity(embedder, block, neutral, copy)}.npz"


def _known(path: Path, embedder: Embedder, images: int, bar: tqdm) -> Block | None:
    """Returns a block that is there whole, and of this encoder and these images."""
    found = _whole(path, embedder, images, "; its images are embedded again")
    if found is not None:
        UnfinishedBlock(path, embedder.fingerprint, images).remove()
        bar.update(images)
    return found


def _whole(path: Path, embedder: Embedder, images: int, then: str = "") -> Block | None:
    """Returns a block that is there whole; else the log says what is wrong with it, and what happens then."""
    if not path.is_file():
        return None
    try:
        found = read_block(path, embedder.fingerprint)
    except DAMAGE as error:
        logger.warning("'%s' is damaged (%s)%s", path, error, then)
        return None
    if found is not None and found.is_of(images):
        return found
    logger.warning("'%s' does not hold what its name says%s", path, then)
    return None


def _made(
    path: Path,
    embedder: Embedder,
    block: Manifest,
    bar: tqdm,
    *,
    neutral: bool = False,
    workers: int = 0,
    copy: Copy | None = None,
) -> Block:
    """Embeds a block, or what of it was not embedded when it was stopped, and writes it."""
    unfinished = UnfinishedBlock(path, embedder.fingerprint, len(block))
    made = unfinished.read()
    first = len(made)
    bar.update(first)
    if first < len(block):
        changed = copy.of(block) if copy else None
        augment = (lambda pixels, row: changed(pixels, first + row)) if changed else None
        rest = block.select(np.arange(first, len(block)))
        given: dict[str, Any] = {"neutral": neutral, "workers": workers, "augment": augment}
        try:
            embedded = embed_manifest(embedder, rest, bar=bar, each=unfinished.add, **given)
            rows = np.flatnonzero(rest.frame["case_id"].isin(embedded.manifest.frame["case_id"]))
            came = Block(embedded.vectors, rows, embedded.broken)
        except NothingReadableError as error:  # images of other blocks may be whole
            came = Block.of_broken(dict(error.broken))
        made = Block.joined([made, came])
    write_block(path, made, embedder.fingerprint)
    unfinished.remove()
    return made


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


def _numbered(manifests: Sequence[Manifest]) -> Iterator[tuple[int, Manifest]]:
    """Yields every block of some manifests with its number among all."""
    return enumerate(manifest.select(rows) for manifest in manifests for rows in _blocks(manifest))


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
