"""WebDataset shards as a source of images: tars of image and JSON pairs, with a table of where each lies.

Our own shards (`shard_writer`) have the table `index.parquet` beside them. Others are listed once from the
headers of their tars; the JSON of each image must state its modality, or all are of the one that is named.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mermed_core.data.manifest import COLUMNS, Manifest
from mermed_core.data.remote import file_system, is_url
from mermed_core.data.validation import fill_modality
from mermed_core.errors import ManifestError

INDEX = "index.parquet"
IMAGE_SUFFIXES = ("png", "jpg", "jpeg", "tif", "tiff", "webp", "bmp", "dcm", "img")


def read_shards(place: str, modality: str | None = None) -> Manifest:
    """Opens the shards in a folder or below a URL.

    Args:
        place: local folder, or a URL that fsspec knows, such as s3://bucket/shards.
        modality: of images that do not state theirs.

    Raises:
        ManifestError: no shard is there, or one cannot be read or does not state what an image is.
    """
    place = place.rstrip("/")
    system, root = file_system(place if is_url(place) else str(Path(place).expanduser().resolve()))
    try:
        names = sorted(path.rpartition("/")[2] for path in system.ls(root, detail=False))
        if INDEX in names:
            with system.open(f"{root}/{INDEX}", "rb") as file:
                frame = pq.read_table(io.BytesIO(file.read())).to_pandas()
        else:
            frame = _listed(system, root, [name for name in names if name.endswith(".tar")])
    except (OSError, pa.ArrowException, tarfile.TarError) as error:
        raise ManifestError(f"the shards in {place} cannot be read: {error}") from error
    base = place if is_url(place) else root
    frame["path"] = [f"{base}/{name}" for name in frame["path"]]
    return Manifest.from_frame(fill_modality(frame, modality))


def _listed(system: Any, root: str, names: list[str]) -> pd.DataFrame:
    if not names:
        raise ManifestError(f"{root} holds no shard (NAME.tar).")
    rows = [row for name in names for row in _rows_of(system, root, name)]
    if not rows:
        raise ManifestError(f"the shards in {root} hold no image ({', '.join(IMAGE_SUFFIXES)}).")
    frame = pd.DataFrame(rows)
    return frame.drop(columns=[column for column in frame if frame[column].isna().all()])


def _rows_of(system: Any, root: str, name: str) -> Iterator[dict[str, Any]]:
    """Yields a row for each image of a tar; members of one sample stand together, under one key."""
    with system.open(f"{root}/{name}", "rb") as file:
        yield from list_tar(cast(BinaryIO, file), name)


def list_tar(file: BinaryIO, name: str) -> Iterator[dict[str, Any]]:
    """Yields where each image of an open tar lies, with what its JSON says.

    Raises:
        ManifestError: the JSON of an image is none.
    """
    with tarfile.open(fileobj=file, mode="r:") as tar:
        key, image, facts = None, None, {}
        for member in tar:
            if not member.isfile():
                continue
            stem, suffix = _split(member.name)
            if stem != key:
                if image:
                    yield {**image, **facts}
                key, image, facts = stem, None, {}
            if suffix in IMAGE_SUFFIXES:
                case = {"case_id": f"{Path(name).stem}/{stem}", "source": Path(name).parent.name or "shards"}
                image = {**case, "path": name, "offset": member.offset_data, "length": member.size}
            elif suffix == "json":
                facts = _facts(tar, member, name)
        if image:
            yield {**image, **facts}


def _split(member: str) -> tuple[str, str]:
    """Returns key and suffix as WebDataset has them: the name is cut at its first dot."""
    folder, slash, base = member.rpartition("/")
    stem, _, suffix = base.partition(".")
    return folder + slash + stem, suffix.lower()


def _facts(tar: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> dict[str, Any]:
    stream = tar.extractfile(member)
    try:
        value = json.loads(stream.read()) if stream else None
    except ValueError as error:
        raise ManifestError(f"'{member.name}' in {name} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ManifestError(f"'{member.name}' in {name} is no JSON object.")
    return {key: value[key] for key in COLUMNS if key in value and key not in ("path", "image")}
