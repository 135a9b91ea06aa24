"""WebDataset shards as a source of images: tars of images and JSON, with a table of where each image lies.

Our own shards (`shard_writer`) have the table `index.parquet` beside them. Others are listed once from the
headers of their tars; the JSON of each image must state its modality, or all are of the one that is named.
"""

import json
import logging
import tarfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import pandas as pd
import pyarrow as pa

from mermed_core.data.file_tree import HIDDEN, MANY_FRAMES_SUFFIXES, ONE_PICTURE_SUFFIXES
from mermed_core.data.frames import count_readable_frames, expand_frames
from mermed_core.data.manifest import COLUMNS, Manifest, log_reading
from mermed_core.data.remote import file_system
from mermed_core.data.sources.columns import read_columns
from mermed_core.data.sources.shard_index import INDEX, read_index
from mermed_core.data.validation import fill_modality
from mermed_core.errors import ManifestError
from mermed_core.imaging.limits import Limits
from mermed_core.modalities import LEFT_OPEN
from mermed_core.urls import is_url, is_web_address, shown_url, without_secrets

PLAN = "plan.json"  # of our own shards, see `shard_writer`

logger = logging.getLogger(__name__)

_PICTURES = tuple(suffix.removeprefix(".") for suffix in (*ONE_PICTURE_SUFFIXES, "img"))
_MANY_FRAMES = tuple(suffix.removeprefix(".") for suffix in MANY_FRAMES_SUFFIXES)
_FACTS = ("json", "cls")
_HEAD_BYTES = 4096  # as many as tell whether a member is an image
_FACT_BYTES = 1 << 20  # of a member that tells of an image
_SUFFIX_LETTERS = 5  # at most; a longer end belongs to the key
_MASKS = ("mask", "masks", "seg", "segmentation", "annotation", "label", "labels", "heatmap")
_MASK = "masks beside their images"
_LINK = "links and sparse files in tars"
_NO_IMAGE_OF_FACTS = "JSON or .cls members without an image"
_REPLACED = "members that a later one of the same name replaces"
_UNLISTED = f"shards that {INDEX} does not list"
_COMPRESSED = "compressed tars (unpack them)"
_BESIDE = "files and folders beside the shards"


def read_shards(place: str, modality: str | None = None, sha256: str | None = None) -> Manifest:
    """Opens the shards in a folder or below a URL.

    A member's key ends at the last suffix that is known here, so that dots in a name are no obstacle. Every
    image is listed, also several of one key (as one group), and every frame of it; what a JSON says of
    `0` holds for `0.left.png` too where that has no JSON of its own. Its entries are read as columns of
    a table are, see `read_columns`; `.cls` is a label. What is no image is counted in `left_out`. A web
    server (https://…) lists no folders, so that shards there need their `index.parquet`.

    Args:
        place: local folder, or a URL that fsspec knows, such as s3://bucket/shards.
        modality: of images that do not state theirs.
        sha256: of `index.parquet`, which states the checksum of every shard that `mermed pack-shards` wrote.

    Raises:
        ManifestError: no shard is there, or one cannot be read or does not state what an image is; the table
            is another one, or names a file outside the folder.
        DownloadError: the table cannot be fetched or is larger than MERMED_TABLE_GB.
    """
    place = place.rstrip("/")
    if is_url(place) and ("?" in place or "#" in place):
        raise ManifestError(f"the URL of a folder has no query: {shown_url(place)}?…")
    left_out: Counter[str] = Counter()
    system, root, entries = _entries(place)
    tars = sorted(name for name in entries if name.endswith(".tar") and not name.startswith("."))
    _count_others(entries, left_out)
    try:
        if INDEX in entries:
            frame, facts = read_index(place if is_url(place) else root, sha256)
            left_out[_UNLISTED] += len(set(tars) - set(frame["path"]))
        elif sha256:
            raise ManifestError(f"there is no {INDEX} in {shown_url(place)} that could have a checksum.")
        else:
            frame, facts = _listed(system, root, tars, left_out)
    except (OSError, pa.ArrowException, tarfile.TarError) as error:
        raise _unreadable(place, error) from None
    base = place if is_url(place) else root
    frame["path"] = [f"{base}/{name}" for name in frame["path"]]
    left_out.update(facts.get("left_out", {}))
    manifest = Manifest.from_frame(
        fill_modality(frame, modality),
        left_out=+left_out,
        notes=facts.get("notes", ()),
        unstated=modality == LEFT_OPEN,
    )
    log_reading(shown_url(place).rpartition("/")[2], manifest)
    return manifest


def _entries(place: str) -> tuple[Any, str, dict[str, str]]:
    """Returns the file system of a place, the path in it, and what lies there: its kind by its name."""
    if is_web_address(place):
        return None, place, {INDEX: "file"}
    system, root = file_system(place if is_url(place) else str(Path(place).expanduser().resolve()))
    try:
        listed = system.ls(root, detail=True)
    except Exception as error:  # each store's package has errors of its own
        raise _unreadable(place, error) from None
    return system, root, {entry["name"].rstrip("/").rpartition("/")[2]: entry["type"] for entry in listed}


def _unreadable(place: str, error: Exception) -> ManifestError:
    reason = without_secrets(str(error), place)
    return ManifestError(f"the shards in {shown_url(place)} cannot be read: {reason}")


def _count_others(entries: Mapping[str, str], left_out: Counter[str]) -> None:
    """Counts what lies beside the shards and their table."""
    for name, kind in entries.items():
        if name.startswith("."):
            left_out[HIDDEN] += INDEX not in entries  # ours has its parts in a hidden folder
        elif kind == "directory":
            left_out[_BESIDE] += 1
        elif name.endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")):
            left_out[_COMPRESSED] += 1
        elif not name.endswith(".tar") and name not in (INDEX, PLAN):
            left_out[_BESIDE] += 1


def _listed(
    system: Any, root: str, names: list[str], left_out: Counter[str]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Returns a row for each image of tars without a table, and the notes on how they were read."""
    if not names:
        raise ManifestError(f"{root} holds no shard (NAME.tar).")
    rows: list[dict[str, Any]] = []
    for name in names:
        with system.open(f"{root}/{name}", "rb") as file:
            rows += list_tar(cast(BinaryIO, file), name, left_out)
    if not rows:
        raise ManifestError(f"the shards in {root} hold no image.")
    columns = read_columns(pd.DataFrame(rows), {"caseid": "case_id"})
    frame = columns.frame
    source = frame["source"] if "source" in frame else pd.Series(None, frame.index, object)
    frame["source"] = source.where(source.notna(), root.rstrip("/").rpartition("/")[2] or "shards")
    group = frame["group"] if "group" in frame else pd.Series(None, frame.index, object)
    frame["group"] = group.where(group.notna(), frame["_sample"])
    frame = expand_frames(frame, frame["_frames"].tolist())
    known = [name for name in (*COLUMNS, "offset", "length", "frame") if name in frame]
    known = [name for name in known if frame[name].notna().any()]
    return frame[known], {"notes": columns.notes}


@dataclass(frozen=True)
class _Member:
    """An image in a tar."""

    key: str
    suffix: str
    offset: int
    length: int
    frames: int


def list_tar(file: BinaryIO, name: str, left_out: Counter[str]) -> list[dict[str, Any]]:
    """Returns where each image of an open tar lies, with what its JSON says; counts what is no image.

    Raises:
        ManifestError: the JSON of an image is none.
    """
    images: dict[str, _Member] = {}
    facts: dict[str, dict[str, Any]] = {}
    with tarfile.open(fileobj=file, mode="r:") as tar:
        for member in tar:
            key, suffix = _split(member.name)
            if member.isdir():
                continue
            if not member.isfile() or member.issparse():
                left_out[_LINK] += 1  # nothing of it, or not all of it, lies where its bytes begin
            elif key.rpartition("/")[2].startswith("."):
                left_out[HIDDEN] += 1
            elif suffix in _FACTS:
                facts[key] = {**facts.get(key, {}), **_facts(tar, member, suffix, name)}
            elif suffix and key.rpartition(".")[2].lower() in _MASKS and "." in key:
                left_out[_MASK] += 1
            elif frames := _count_frames(tar, member, suffix, left_out):
                left_out[_REPLACED] += member.name in images
                images[member.name] = _Member(key, suffix, member.offset_data, member.size, frames)
    rows = _rows(images, facts, name)
    left_out[_NO_IMAGE_OF_FACTS] += len(
        facts.keys() - {_sample(image.key, facts) for image in images.values()}
    )
    return rows


def _split(member: str) -> tuple[str, str]:
    """Returns key and suffix: the name is cut at its last dot, if what follows can be a suffix at all."""
    stem, dot, suffix = member.rpartition(".")
    known = suffix.isalnum() and not suffix.isdecimal() and len(suffix) <= _SUFFIX_LETTERS
    return (stem, suffix.lower()) if dot and stem.rpartition("/")[2] and known else (member, "")


def _count_frames(tar: tarfile.TarFile, member: tarfile.TarInfo, suffix: str, left_out: Counter[str]) -> int:
    if suffix in _PICTURES:
        return 1
    stream = tar.extractfile(member)
    if stream is None:
        return 0
    data = stream.read(_HEAD_BYTES)
    trusted = suffix in _MANY_FRAMES
    if trusted or count_readable_frames(data, Counter(), trusted=False):
        if member.size > Limits().max_bytes:
            return 1  # refused when it is read, as the same file in a folder is
        return count_readable_frames(data + stream.read(), left_out, trusted=trusted)
    return count_readable_frames(data, left_out, trusted=False)


def _facts(tar: tarfile.TarFile, member: tarfile.TarInfo, suffix: str, name: str) -> dict[str, Any]:
    """Returns the entries of a member that tells of an image, those of a single value and the labels."""
    if member.size > _FACT_BYTES:
        raise ManifestError(
            f"'{member.name}' in {name} has {member.size:,} bytes; what is said of one image has at most "
            f"{_FACT_BYTES:,}. Take it out of the shard."
        )
    stream = tar.extractfile(member)
    data = stream.read() if stream else b""
    if suffix == "cls":
        return {"label": data.decode("utf-8", "replace").strip()}
    try:
        value = json.loads(data)
    except ValueError as error:
        raise ManifestError(f"'{member.name}' in {name} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ManifestError(f"'{member.name}' in {name} is no JSON object.")
    reserved = {"path", "image", "offset", "length", "frame"}
    return {
        key: item
        for key, item in value.items()
        if key.lower() not in reserved
        and (isinstance(item, (str, int, float, bool)) or (isinstance(item, list) and "label" in key.lower()))
    }


def _rows(
    images: Mapping[str, _Member], facts: Mapping[str, dict[str, Any]], shard: str
) -> list[dict[str, Any]]:
    """Joins each image with what is said of it; several images of one sample get names and a group of it."""
    samples = {name: _sample(image.key, facts) for name, image in images.items()}
    keys, shared = Counter(image.key for image in images.values()), Counter(samples.values())
    stem = Path(shard).stem
    rows = []
    for name, image in images.items():
        sample = samples[name]
        own = f"{image.key}.{image.suffix}" if keys[image.key] > 1 else image.key
        said = dict(facts.get(sample, {}))
        case_id = said.pop("case_id", None)
        if case_id is not None and shared[sample] > 1:
            case_id = f"{case_id}/{f'{image.key}.{image.suffix}'[len(sample) :].lstrip('.')}"
        rows.append(
            {
                **said,
                "case_id": f"{stem}/{own}" if case_id is None else case_id,
                "path": shard,
                "offset": image.offset,
                "length": image.length,
                "_frames": image.frames,
                "_sample": f"{stem}/{sample}" if shared[sample] > 1 else None,
            }
        )
    return rows


def _sample(key: str, facts: Mapping[str, Any]) -> str:
    """Returns the key under which something is said of an image: its own, or its start up to a dot."""
    folder, slash, base = key.rpartition("/")
    parts = base.split(".")
    ends = (folder + slash + ".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((end for end in ends if end in facts), key)
