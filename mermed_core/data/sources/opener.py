"""Opens any source of images as a manifest: one line per kind of source."""

import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mermed_core.data.frames import keep_every
from mermed_core.data.manifest import Manifest
from mermed_core.data.sources.csv_table import read_csv
from mermed_core.data.sources.dicom_tree import read_dicom_tree
from mermed_core.data.sources.image_folder import read_image_folder
from mermed_core.data.sources.image_tree import read_image_tree
from mermed_core.data.sources.medmnist_sets import read_medmnist
from mermed_core.data.sources.parquet_files import parquet_files, read_parquet
from mermed_core.data.sources.shard_index import INDEX
from mermed_core.data.sources.shards import read_shards
from mermed_core.data.sources.table_names import TableName, join_tables, table_names, with_default_tasks
from mermed_core.data.splits import divided_groups
from mermed_core.errors import ManifestError
from mermed_core.modalities import UnknownModalityError, modality_key
from mermed_core.specs import DATA, Spec, SpecError
from mermed_core.urls import is_url, shown_url

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Request:
    """A source that is to be opened.

    Attributes:
        spec: what was asked for; its kind is one of `_SOURCES`.
        modality: a modality's key, `LEFT_OPEN` or None.
        every: of a file of several frames, every n-th is taken.
        names: what each table is called, of all that are opened together.
    """

    spec: Spec
    modality: str | None
    every: int
    names: Mapping[Path, TableName] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return Path(self.spec.target).expanduser()

    @property
    def tables(self) -> list[Path]:
        """The files that are named after their place, none for most kinds."""
        if self.spec.kind == "parquet" and self.path.is_dir():
            return parquet_files(self.path)
        return [self.path] if self.spec.kind in ("parquet", "csv") else []


def _open_medmnist(request: _Request) -> Manifest:
    spec = request.spec
    root = Path(spec.options["root"]).expanduser() if "root" in spec.options else None
    return read_medmnist(spec.target, size=spec.number or 28, root=root, modality=request.modality)


def _open_phantoms(request: _Request) -> Manifest:
    from mermed_core.data.phantoms import phantom_manifest

    count = request.spec.target
    if not count.isdecimal() or int(count) == 0:
        raise ManifestError(f"'{count}' is no number of phantoms; write phantoms:50, say.")
    return phantom_manifest(int(count), request.spec.number or 0)


_SOURCES: dict[str, Callable[[_Request], Manifest]] = {
    "parquet": lambda request: read_parquet(request.path, request.modality, request.names),
    "csv": lambda request: read_csv(request.path, request.modality, request.names),
    "images": lambda request: read_image_tree(request.path, request.modality),
    "folder": lambda request: read_image_folder(request.path, request.modality),
    "dicom": lambda request: read_dicom_tree(request.path, request.modality),
    "shards": lambda request: read_shards(
        request.spec.target, request.modality, request.spec.options.get("sha256")
    ),
    "medmnist": _open_medmnist,
    "phantoms": _open_phantoms,
}
_WITHOUT_PATH = ("medmnist", "phantoms")
_HELP = (
    "A source is a parquet file or a folder of them, a CSV, a folder of images (DICOM files, and pictures as "
    "MODALITY/CLASS/image.png), WebDataset shards (shards:FOLDER or shards:URL), "
    "medmnist:NAME[@SIZE][?root=DIR], or phantoms:COUNT[@SEED]."
)


def open_manifest(spec: str | Path, *, modality: str | None = None) -> Manifest:
    """Opens a source of images.

    A file or folder is recognised by what it holds, and a folder's DICOM files, pictures and ZIP archives are
    each read for what they are (`images:`); a kind in front (`parquet:`, `csv:`, `folder:`, `dicom:`) settles
    it. Others: `shards:DIR`, `shards:s3://BUCKET/DIR` (tars), `medmnist:pathmnist`,
    `medmnist:octmnist@64?root=DIR`, `phantoms:50`, `phantoms:50@7` (50 of each modality from seed 7). After a
    kind, `?modality=KEY` says the same as the argument, and `?every=5` takes every fifth frame of a file of
    several (`dicom:scans?every=5`); after `shards:`, `?sha256=HEX` makes sure that their table is the right
    one. Environment variables ($MERMED_DATA) and ~ are resolved. What a source holds beside images is counted
    in the manifest's `left_out`. Pixels are not decoded: a missing or broken image is found when it is read.

    Args:
        spec: the source.
        modality: the modality of images that do not state theirs.

    Raises:
        ManifestError: no such source, or one that is not valid; names the row and the column if any.
    """
    return open_manifests([spec], modality=modality)


def open_manifests(specs: Sequence[str | Path], *, modality: str | None = None) -> Manifest:
    """Opens several sources, each as `open_manifest` does, and joins them in their order.

    The tables train.csv and test.csv of one folder are one source; a/labels.csv and b/labels.csv are two,
    called "a/labels" and "b/labels".

    Args:
        specs: the sources.
        modality: the modality of images that do not state theirs; with `LEFT_OPEN` they have none yet.

    Raises:
        ManifestError: as `open_manifest`; two rows share a case_id; or no source is given.
    """
    requests = [_request(spec, modality) for spec in specs]
    names = table_names(file for request in requests for file in request.tables)
    opened = [
        keep_every(_SOURCES[request.spec.kind](replace(request, names=names)), request.every)
        for request in requests
    ]
    manifest = opened[0] if len(opened) == 1 else join_tables(opened)
    if divided := len(divided_groups(manifest)):
        note = f"{divided:,} groups have images in several splits; a patient's images belong in one."
        logger.warning(note)
        manifest = replace(manifest, notes=(*manifest.notes, note))
    return with_default_tasks(manifest, names.values())


def recorded_source(text: str) -> str:
    """Returns a source as it may be written into the record of a run: a URL in it has lost its login."""
    if not is_url(text):
        return text
    try:
        spec = DATA.parse(text)
    except SpecError:
        return shown_url(text)
    if shown_url(spec.target) == spec.target:
        return text
    return str(replace(spec, target=shown_url(spec.target)))


def _request(text: str | Path, modality: str | None) -> _Request:
    try:
        spec = DATA.parse(_expanded(str(text)))
    except SpecError as error:
        raise ManifestError(f"{shown_url(str(error))} {_HELP}") from None
    if is_url(spec.target) and spec.kind != "shards":
        raise ManifestError(
            f"{shown_url(spec.target)} is not opened: of what lies on a server, only shards are read "
            "(shards:URL). Fetch the file first."
        )
    if spec.kind == DATA.default:
        spec = replace(spec, kind=_recognised(Path(spec.target).expanduser()))
    every = spec.options.get("every", "1")
    if not every.isdecimal() or int(every) == 0:
        raise ManifestError(f"'every={every}' is no number of frames; write every=5, say.")
    if "sha256" in spec.options and spec.kind != "shards":
        raise ManifestError("'sha256' is the checksum of the table of shards; other sources have none.")
    named = spec.options.get("modality")
    key = _key(named) if named is not None else _key(modality) if modality else modality
    request = _Request(spec, key, int(every))
    if spec.kind not in _WITHOUT_PATH and not is_url(spec.target) and not request.path.exists():
        raise ManifestError(f"there is no file or folder {request.path}. {_HELP}")
    return request


def _expanded(text: str) -> str:
    expanded = os.path.expandvars(text)
    unset = re.search(r"\$\{?(\w+)", expanded)
    if unset and not Path(expanded).exists():
        raise ManifestError(f"the environment variable {unset[1]} in '{shown_url(text)}' is not set.")
    return expanded


def _key(modality: str) -> str:
    try:
        return modality_key(modality)
    except UnknownModalityError as error:
        raise ManifestError(str(error), column="modality") from error


def _recognised(path: Path) -> str:
    if path.is_file():
        kind = {".parquet": "parquet", ".csv": "csv", ".tsv": "csv"}.get(path.suffix.lower())
        if kind is None:
            raise ManifestError(f"{path} is not a table of images. {_HELP}")
        return kind
    if not path.is_dir():
        raise ManifestError(f"there is no file or folder {path}. {_HELP}")
    if (path / INDEX).is_file() and any(path.glob("*.tar")):
        return "shards"
    if parquet_files(path):
        return "parquet"
    return "images"
