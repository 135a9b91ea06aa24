"""Packs images into WebDataset shards, each of one modality; goes on where it was stopped."""

import io
import json
import logging
import tarfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from mermed_core.data.manifest import COLUMNS, SHARD_CHECKSUM, Manifest
from mermed_core.data.sources.shard_index import INDEX
from mermed_core.data.sources.shards import PLAN
from mermed_core.errors import ImageError, ManifestError, OccupiedError
from mermed_core.files import checksum, write_file, write_json

logger = logging.getLogger(__name__)

_SUFFIXES = {"PNG": "png", "JPEG": "jpg", "TIFF": "tif", "WebP": "webp", "BMP": "bmp"}
_FACTS = tuple(column for column in COLUMNS if column not in ("path", "image"))


@dataclass(frozen=True)
class Shard:
    """A shard to be written: its name without suffix, and the rows of the manifest that go into it."""

    name: str
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Packed:
    """What came of a run: images in the shards, and the reason for each that is not."""

    images: int
    unreadable: dict[str, str]


def plan_shards(manifest: Manifest, *, images_per_shard: int, seed: int) -> list[Shard]:
    """Deals the images of each modality out at random, so that every shard is a sample of its modality."""
    modality = manifest.frame["modality"].to_numpy()
    shards = []
    for key in sorted(set(modality)):
        rows = np.random.default_rng(seed).permutation(np.flatnonzero(modality == key))
        cuts = range(0, len(rows), images_per_shard)
        shards += [
            Shard(f"{key}-{number:06d}", tuple(rows[cut : cut + images_per_shard].tolist()))
            for number, cut in enumerate(cuts)
        ]
    return shards


def pack(
    manifest: Manifest,
    fingerprint: str,
    folder: Path,
    *,
    images_per_shard: int,
    seed: int = 0,
    workers: int = 0,
) -> Packed:
    """Writes the shards and, last of all, their table; shards that are there already are kept.

    Images are packed as they are, but DICOM and frames of a file of several as PNG of their pixels, so that
    no header goes along. One that cannot be read is left out and named. The same images and numbers give the
    same bytes.

    Args:
        manifest: the images.
        fingerprint: changes with the images; a folder is only continued with the same.
        folder: where to write; local.
        images_per_shard: at most.
        seed: of the deal.
        workers: processes that write; 0 writes in this one.

    Raises:
        OccupiedError: the folder holds shards of other images or numbers, or something else.
        ManifestError: no image can be read.
    """
    shards = plan_shards(manifest, images_per_shard=images_per_shard, seed=seed)
    _hold_plan(folder, {"sha256": fingerprint, "images_per_shard": images_per_shard, "seed": seed})
    missing = [shard for shard in shards if not _table(folder, shard.name).exists()]
    done = len(manifest) - sum(len(shard.rows) for shard in missing)
    with tqdm(total=len(manifest), initial=done, desc="packing", unit="image", disable=None) as bar:
        for count in _write_all(manifest, missing, folder, workers):
            bar.update(count)
    return _finish(folder, shards, manifest)


def _write_all(manifest: Manifest, shards: list[Shard], folder: Path, workers: int) -> Iterator[int]:
    if not workers:
        for shard in shards:
            yield write_shard(manifest, shard, folder)
        return
    with ProcessPoolExecutor(workers, initializer=_start_worker, initargs=(manifest, folder)) as pool:
        try:
            yield from pool.map(_write_in_worker, shards)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def write_shard(manifest: Manifest, shard: Shard, folder: Path) -> int:
    """Writes one tar and the table of its images, each whole or not at all; returns the rows it stood for."""
    places, unreadable = [], {}
    with write_file(folder / f"{shard.name}.tar") as staging, tarfile.open(staging, "w") as tar:
        for row in shard.rows:
            facts = _facts_of(manifest, row)
            try:
                data, suffix = _packable(manifest, row)
            except (ImageError, OSError) as error:
                unreadable[facts["case_id"]] = str(error)
                continue
            key = f"{len(places):06d}"
            places.append({"row": row, "offset": _add(tar, f"{key}.{suffix}", data), "length": len(data)})
            _add(tar, f"{key}.json", json.dumps(facts, ensure_ascii=False).encode())
    facts = {"places": places, "unreadable": unreadable, "sha256": checksum(folder / f"{shard.name}.tar")}
    write_json(_table(folder, shard.name), facts)
    return len(shard.rows)


def _facts_of(manifest: Manifest, row: int) -> dict[str, Any]:
    values: dict[str, Any] = {column: manifest.frame[column].iloc[row] for column in _FACTS}
    labels = values["labels"]
    return {**values, "labels": None if labels is None else [str(label) for label in labels]}


def _packable(manifest: Manifest, row: int) -> tuple[bytes, str]:
    """Returns the bytes to pack and their suffix; decodes them once, so that a broken image is found here."""
    image = manifest.read_image(row)
    if image.kind in _SUFFIXES and image.frames == 1:
        source = manifest.image_source(row)
        return source if isinstance(source, bytes) else source.read_bytes(), _SUFFIXES[image.kind]
    buffer = io.BytesIO()
    Image.fromarray(image.pixels).save(buffer, "PNG")
    return buffer.getvalue(), "png"


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> int:
    """Adds a member without date or owner; returns where its bytes begin."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))
    return tar.offset - -(-len(data) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _table(folder: Path, name: str) -> Path:
    return folder / ".parts" / f"{name}.json"


def _hold_plan(folder: Path, plan: dict[str, Any]) -> None:
    path = folder / PLAN
    if path.exists():
        if json.loads(path.read_text(encoding="utf-8")) != plan:
            raise OccupiedError(f"'{folder}' holds shards of other images or numbers; choose another place.")
        return
    if folder.exists() and any(folder.iterdir()):
        raise OccupiedError(f"'{folder}' holds something else; choose another place for the shards.")
    write_json(path, plan)


def _finish(folder: Path, shards: list[Shard], manifest: Manifest) -> Packed:
    """Joins the shards' tables to the one of all images."""
    tables = [json.loads(_table(folder, shard.name).read_text(encoding="utf-8")) for shard in shards]
    places = [
        {**place, "path": str(folder / f"{shard.name}.tar"), SHARD_CHECKSUM: sha256}
        for shard, table in zip(shards, tables, strict=True)
        # A folder that an older version began has no checksums in its parts.
        for sha256 in [table.get("sha256") or checksum(folder / f"{shard.name}.tar")]
        for place in table["places"]
    ]
    if not places:
        raise ManifestError("not one image can be read; nothing was packed.")
    where = pd.DataFrame(places)
    frame = manifest.select(where["row"].to_numpy()).frame[list(_FACTS)]
    unreadable = {name: reason for table in tables for name, reason in table["unreadable"].items()}
    left_out = Counter(manifest.left_out)
    left_out["unreadable"] += len(unreadable)
    packed = Manifest.from_frame(
        frame.assign(**{name: where[name] for name in ("path", "offset", "length", SHARD_CHECKSUM)}),
        left_out=+left_out,
        notes=manifest.notes,
    )
    packed.save(folder / INDEX)
    sha256 = checksum(folder / INDEX)
    logger.info("shards:URL?sha256=%s opens them from a server and makes sure that they are these", sha256)
    for name, reason in unreadable.items():
        logger.warning("image %s cannot be read and is left out: %s", name, reason)
    return Packed(len(packed), unreadable)


_worker: tuple[Manifest, Path]


def _start_worker(manifest: Manifest, folder: Path) -> None:
    global _worker  # sent once to each process, not with each shard
    _worker = (manifest, folder)


def _write_in_worker(shard: Shard) -> int:
    manifest, folder = _worker
    return write_shard(manifest, shard, folder)
