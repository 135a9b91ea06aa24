"""`mermed explore`: images of one's own on the explorer's page, in one command."""

import argparse
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mermed_core.cli import serve
from mermed_core.cli.arguments import DATA_HELP, add_workers

if TYPE_CHECKING:
    from mermed_core.data.manifest import Manifest
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.retrieval_space import RetrievalSpace

SUMMARY = "Embed images of your own and serve the page that explores them."
DETAILS = """\
    mermed explore path/to/images --modality cxr
    mermed explore hospital.csv --port 8080

The images become a collection in --home that is kept. The next start embeds only what is new there, takes out
what is gone, and leaves every other point of the map where it was; a start that was stopped goes on where it
was. The folder of the collection is printed: `mermed collect` changes it and `mermed export` hands it on."""
HOME = Path("~/.cache/mermed/explored")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("data", nargs="+", metavar="SPEC", help=DATA_HELP)
    parser.add_argument(
        "--modality", metavar="NAME", help="modality of images that do not state theirs, such as ct or cxr"
    )
    parser.add_argument("--name", help="name that people see; default: the first folder's")
    parser.add_argument(
        "--home", type=Path, default=HOME, metavar="FOLDER", help=f"keeps the collections; default: {HOME}"
    )
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="default: MERMED_MODEL, else the bundled model"
    )
    serve.add_address(parser)
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Brings the collection up to date and serves it until it is stopped; returns the exit code.

    Raises:
        ModelError: there is no usable model.
        ManifestError: the images cannot be used.
        CollectionError: the kept collection is damaged, or another command changes it.
    """
    from mermed_core.data.sources.opener import open_manifests
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.heads import HEADS_FOLDER
    from mermed_core.models.retrieval_space import load_retrieval_space
    from mermed_core.settings import Settings

    options.collection = None
    serve.set_served(options)  # refuses a wrong port before images are embedded
    model = options.model or Settings.from_environment().model
    embedder = Embedder.load(model)
    space = load_retrieval_space(model / HEADS_FOLDER, embedder.backbone.dim)
    manifest = open_manifests(options.data, modality=options.modality)
    made_by = space.fingerprint(embedder.fingerprint)
    options.collection = options.home.expanduser() / _name(options.data, options.modality, made_by)
    _bring_up_to_date(options, embedder, space, manifest)
    print(options.collection, flush=True)
    return serve.run(options)


def _name(data: list[str], modality: str | None, made_by: str) -> str:
    """Returns the folder's name for these images as this model sees them."""
    sources = [str(Path(spec).resolve()) if Path(spec).exists() else spec for spec in data]
    stated = json.dumps([sources, modality, made_by])
    return hashlib.sha256(stated.encode()).hexdigest()[:16]


def _bring_up_to_date(
    options: argparse.Namespace, embedder: "Embedder", space: "RetrievalSpace", manifest: "Manifest"
) -> None:
    from mermed_core.collections.changes import add_cases, clear_cache, gone_from, remove_cases
    from mermed_core.collections.stated import MANIFEST
    from mermed_core.collections.store import build_collection
    from mermed_core.data.phantoms import SYNTHETIC_PREFIX
    from mermed_core.fitting.datasets import DATASETS, read_datasets
    from mermed_core.models.embedding_cache import EmbeddingCache

    folder = options.collection
    blocks = folder.with_name(f"{folder.name}.embeddings")
    shared: dict[str, Any] = {
        "space": space,
        "sources": read_datasets(DATASETS),
        "cache": EmbeddingCache(blocks),
        "workers": options.workers,
    }
    gone, known = gone_from(folder, manifest) if (folder / MANIFEST).is_file() else ([], 0)
    if len(gone) < known:
        if gone:
            remove_cases(folder, cases=gone)
        added = add_cases(folder, embedder, manifest, **shared)
        print(f"{added.there} cases known, {added.cases} added, {len(gone)} gone")
    else:
        collection = build_collection(
            folder,
            embedder,
            manifest,
            name=options.name or Path(options.data[0]).resolve().name,
            text="",
            synthetic=bool(manifest.frame["source"].str.startswith(SYNTHETIC_PREFIX).all()),
            **shared,
        )
        print(f"{len(collection)} cases")
    clear_cache(blocks)  # it only lets a start that was stopped go on, and would outlive a patient's removal
