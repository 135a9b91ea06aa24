"""Opens any source of images as a manifest: one line per kind of source."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mermed_core.data.file_tree import is_dicom, is_picture, walk_files
from mermed_core.data.manifest import Manifest, concatenate
from mermed_core.data.remote import is_url
from mermed_core.data.sources.csv_table import read_csv
from mermed_core.data.sources.dicom_tree import read_dicom_tree
from mermed_core.data.sources.image_folder import read_image_folder
from mermed_core.data.sources.medmnist_sets import read_medmnist
from mermed_core.data.sources.parquet_files import parquet_files, read_parquet
from mermed_core.data.sources.shards import INDEX, read_shards
from mermed_core.data.sources.table_names import TableName, table_names, with_default_tasks
from mermed_core.errors import ManifestError
from mermed_core.modalities import UnknownModalityError, modality_key


@dataclass(frozen=True)
class _Request:
    """What a specification says.

    Attributes:
        kind: one of `_SOURCES`.
        target: a file, a folder, or a name.
        number: what follows @, None without one.
        modality: a modality's key, or None.
        root: where downloaded files lie, or None.
        names: what each table is called, of all that are opened together.
    """

    kind: str
    target: str
    number: int | None
    modality: str | None
    root: Path | None
    names: Mapping[Path, TableName] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        return Path(self.target).expanduser()

    @property
    def tables(self) -> list[Path]:
        """The files that are named after their place, none for most kinds."""
        if self.kind == "parquet" and self.path.is_dir():
            return parquet_files(self.path)
        return [self.path] if self.kind in ("parquet", "csv") else []


def _open_medmnist(request: _Request) -> Manifest:
    return read_medmnist(
        request.target, size=request.number or 28, root=request.root, modality=request.modality
    )


def _open_phantoms(request: _Request) -> Manifest:
    from mermed_core.data.phantoms import phantom_manifest

    if not request.target.isdecimal() or int(request.target) == 0:
        raise ManifestError(f"'{request.target}' is no number of phantoms; write phantoms:50, say.")
    return phantom_manifest(int(request.target), request.number or 0)


_SOURCES: dict[str, Callable[[_Request], Manifest]] = {
    "parquet": lambda request: read_parquet(request.path, request.modality, request.names),
    "csv": lambda request: read_csv(request.path, request.modality, request.names),
    "folder": lambda request: read_image_folder(request.path, request.modality),
    "dicom": lambda request: read_dicom_tree(request.path, request.modality),
    "shards": lambda request: read_shards(request.target, request.modality),
    "medmnist": _open_medmnist,
    "phantoms": _open_phantoms,
}
_WITH_NUMBER = ("medmnist", "phantoms")
_OPTIONS = ("modality", "root")
_HELP = (
    "A source is a parquet file or a folder of them, a CSV, a folder MODALITY/CLASS/image.png, "
    "a tree of DICOM files, WebDataset shards (shards:FOLDER or shards:URL), "
    "medmnist:NAME[@SIZE][?root=DIR], or phantoms:COUNT[@SEED]."
)


def open_manifest(spec: str | Path, *, modality: str | None = None) -> Manifest:
    """Opens a source of images.

    A file or folder is recognised by what it holds; a kind in front (`parquet:`, `csv:`, `folder:`, `dicom:`)
    settles it. Others: `shards:DIR`, `shards:s3://BUCKET/DIR` (tars), `medmnist:pathmnist`,
    `medmnist:octmnist@64?root=DIR`, `phantoms:50`, `phantoms:50@7` (50 of each modality from seed 7). After a
    kind, `?modality=KEY` says the same as the argument.
    Environment variables ($MERMED_DATA) and ~ are resolved. Images are not opened: a missing or broken one is
    found when it is read.

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
        modality: the modality of images that do not state theirs.

    Raises:
        ManifestError: as `open_manifest`; two rows share a case_id; or no source is given.
    """
    requests = [_request(spec, modality) for spec in specs]
    names = table_names(file for request in requests for file in request.tables)
    opened = [_SOURCES[request.kind](replace(request, names=names)) for request in requests]
    manifest = opened[0] if len(opened) == 1 else concatenate(opened)
    return with_default_tasks(manifest, names.values())


def _request(spec: str | Path, modality: str | None) -> _Request:
    text = _expanded(str(spec))
    kind, _, rest = text.partition(":")
    if text and kind not in _SOURCES:
        kind = _recognised(Path(text).expanduser())
        return _Request(kind, text, None, _key(modality), None)
    target, _, query = rest.partition("?")
    if not target:
        raise ManifestError(f"'{text}' names no source. {_HELP}")
    options = _options(query)
    number = None
    if kind in _WITH_NUMBER:
        target, number = _numbered(target)
    root = Path(options["root"]).expanduser() if "root" in options else None
    request = _Request(kind, target, number, _key(options.get("modality", modality)), root)
    if kind not in _WITH_NUMBER and not is_url(target) and not request.path.exists():
        raise ManifestError(f"there is no file or folder {request.path}. {_HELP}")
    return request


def _expanded(text: str) -> str:
    expanded = os.path.expandvars(text)
    unset = re.search(r"\$\{?(\w+)", expanded)
    if unset and not Path(expanded).exists():
        raise ManifestError(f"the environment variable {unset[1]} in '{text}' is not set.")
    return expanded


def _key(modality: str | None) -> str | None:
    try:
        return None if modality is None else modality_key(modality)
    except UnknownModalityError as error:
        raise ManifestError(str(error), column="modality") from error


def _options(query: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        if name not in _OPTIONS or not value:
            raise ManifestError(f"'{part}' is not an option of a source; these are {', '.join(_OPTIONS)}.")
        options[name] = value
    return options


def _numbered(target: str) -> tuple[str, int | None]:
    name, mark, number = target.partition("@")
    if mark and not number.isdecimal():
        raise ManifestError(f"'{number}' after @ is not a whole number. {_HELP}")
    return name, int(number) if mark else None


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
    for name in walk_files(path):
        if is_picture(name):
            return "folder"
        if is_dicom(path / name):
            return "dicom"
    raise ManifestError(f"{path} holds no image. {_HELP}")
