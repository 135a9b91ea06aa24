"""`mermed explore`: images of one's own on the explorer's page, in one command."""

import argparse
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mermed_core.cli import serve
from mermed_core.cli.arguments import DATA_HELP, add_kept, add_vectors, add_workers
from mermed_core.cli.unsorted import AUTO, add_modality, open_images, print_told, teller_of

if TYPE_CHECKING:
    from mermed_core.data.manifest import Manifest
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.retrieval_space import RetrievalSpace

SUMMARY = "Embed images of your own and serve the page that explores them."
DETAILS = """\
    mermed explore path/to/images
    mermed explore path/to/images --modality cxr
    mermed explore hospital.csv --keep acquired --keep scanner
    mermed explore path/to/images --modality cxr --vectors theirs.npz
    mermed explore                      the page takes a ZIP archive, or a folder in the one you are in

The images become a collection in --home that is kept. The next start embeds only what is new there, takes out
what is gone, and leaves every other point of the map where it was; a start that was stopped goes on where it
was. The folder of the collection is printed: `mermed collect` changes it and `mermed export` hands it on.

Of images whose modality neither a folder nor a table, a header or --modality states, the model tells it; the
page and the records say that it is its own answer.

With --vectors nothing is embedded: vectors that another encoder made become the map, its clusters, checks and
neighbours. The page then compares no image of a visitor with them, as its own model makes others."""
HOME = Path("~/.cache/mermed/explored")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "data", nargs="*", metavar="SPEC", help=f"{DATA_HELP}. Without one the page asks for it"
    )
    parser.set_defaults(refuse=parser.error)
    add_modality(parser)
    parser.add_argument("--name", help="name that people see; default: the first folder's")
    parser.add_argument(
        "--home", type=Path, default=HOME, metavar="FOLDER", help=f"keeps the collections; default: {HOME}"
    )
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="default: MERMED_MODEL, else the bundled model"
    )
    add_kept(parser)
    add_vectors(parser)
    serve.add_address(parser)
    add_workers(parser)


def run(options: argparse.Namespace) -> int:
    """Brings the collection up to date and serves it until it is stopped; returns the exit code.

    Raises:
        ModelError: there is no usable model.
        ManifestError: the images cannot be used.
        VectorsError: the vectors cannot be used, or are not those of the images.
        CollectionError: the kept collection is damaged, or another command changes it.
    """
    from mermed_core.data.file_names import with_file_names
    from mermed_core.settings import THIS_MACHINE, Settings

    options.collection = None
    if options.notes is None:  # where only this machine reaches the page, its visitor is its owner
        options.notes = (options.host or Settings.from_environment().host) in THIS_MACHINE
    serve.set_served(options)  # refuses a wrong port before images are embedded
    if not options.data:
        return _ask_on_the_page(options)
    bring = _from_vectors if options.vectors else _from_images
    manifest = with_file_names(
        open_images(options, None if options.vectors else _model(options)), options.data
    )
    serve.page()  # brings all that is needed here, in less time than piece by piece
    bring(options, manifest)
    print(options.collection, flush=True)
    for reason, count in manifest.left_out.items():
        print(f"left out: {count} ({reason})", flush=True)
    return serve.run(options, "#explore")


def _ask_on_the_page(options: argparse.Namespace) -> int:
    """Serves a page that takes archives and folders, and keeps what comes of them."""
    from mermed_core.settings import THIS_MACHINE, Settings

    settings = Settings.from_environment()
    if options.vectors:
        options.refuse("--vectors needs the images that they are of")
    defaults = {
        "MERMED_OWN_COLLECTIONS": "1",
        "MERMED_KEPT_COLLECTIONS": str(options.home.expanduser()),
    }
    if settings.host in THIS_MACHINE:  # others are shown no folder without being told so
        defaults["MERMED_FOLDERS"] = str(Path.cwd())
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    return serve.run(options, "#own")


def _model(options: argparse.Namespace) -> Path:
    from mermed_core.settings import Settings

    return options.model or Settings.from_environment().model


def _from_images(options: argparse.Namespace, manifest: "Manifest") -> None:
    """Embeds what is new of some images, and takes out what is gone."""
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.heads import HEADS_FOLDER
    from mermed_core.models.retrieval_space import load_retrieval_space

    model = _model(options)
    embedder = Embedder.load(model)
    space = load_retrieval_space(model / HEADS_FOLDER, embedder.backbone.dim)
    options.collection = _place(options, space.fingerprint(embedder.fingerprint))
    _bring_up_to_date(options, embedder, space, manifest)
    print_told(options.collection)


def _from_vectors(options: argparse.Namespace, manifest: "Manifest") -> None:
    """Makes the collection of vectors from elsewhere, unless it is there."""
    from mermed_core.collections.corrections import correct_cases
    from mermed_core.collections.foreign_vectors import build_from_vectors, fingerprint, holds
    from mermed_core.collections.pictures import image_contents
    from mermed_core.collections.stated import MANIFEST, read_stated
    from mermed_core.data.vector_file import read_vectors

    vectors = read_vectors(options.vectors)
    rows = vectors.rows_of(manifest.frame["case_id"])
    options.collection = _place(options, fingerprint(vectors))
    folder, stated = options.collection, _stated(options, manifest)
    contents = image_contents(manifest) if (folder / MANIFEST).is_file() else []
    if contents and holds(folder, manifest, contents):
        corrected = correct_cases(folder, manifest, contents, sources=stated["sources"])
        print(f"{read_stated(folder).cases} cases known, {corrected} corrected")
        return
    collection = build_from_vectors(folder, manifest, vectors, rows, **stated)
    print(f"{len(collection)} cases")


def _place(options: argparse.Namespace, made_by: str) -> Path:
    """Returns the folder that keeps these images as this model, or other vectors, see them."""
    sources = [str(Path(spec).resolve()) if Path(spec).exists() else spec for spec in options.data]
    kept = [sorted(set(options.keep))] if options.keep else []
    modality = None if options.modality == AUTO else options.modality
    stated = json.dumps([sources, modality, made_by, *kept])
    return options.home.expanduser() / hashlib.sha256(stated.encode()).hexdigest()[:16]


def _stated(options: argparse.Namespace, manifest: "Manifest") -> dict[str, Any]:
    """Returns what a new collection states about itself."""
    from mermed_core.data.phantoms import SYNTHETIC_PREFIX
    from mermed_core.fitting.datasets import DATASETS, read_datasets

    return {
        "name": options.name or Path(options.data[0]).resolve().name,
        "text": "",
        "synthetic": bool(manifest.frame["source"].str.startswith(SYNTHETIC_PREFIX).all()),
        "sources": read_datasets(DATASETS),
        "keep": options.keep,
    }


def _bring_up_to_date(
    options: argparse.Namespace, embedder: "Embedder", space: "RetrievalSpace", manifest: "Manifest"
) -> None:
    from mermed_core.collections.changes import add_cases, cache_beside, clear_cache, remove_cases
    from mermed_core.collections.corrections import correct_cases, gone_from
    from mermed_core.collections.pictures import image_contents
    from mermed_core.collections.stated import MANIFEST
    from mermed_core.collections.store import build_collection
    from mermed_core.models.embedding_cache import EmbeddingCache

    folder = options.collection
    blocks = cache_beside(folder)
    stated = _stated(options, manifest)
    made: dict[str, Any] = {
        "space": space,
        "cache": EmbeddingCache(blocks),
        "workers": options.workers,
        "teller": teller_of(_model(options), embedder, manifest),
    }
    gone: list[str] = []
    known, contents = 0, image_contents(manifest) if (folder / MANIFEST).is_file() else []
    if contents:
        gone, known = gone_from(folder, manifest, contents)
    if len(gone) < known:
        if gone:
            remove_cases(folder, cases=gone)
        corrected = correct_cases(folder, manifest, contents, sources=stated["sources"])
        added = add_cases(folder, embedder, manifest, sources=stated["sources"], whole=True, **made)
        print(f"{added.there} cases known, {added.cases} added, {len(gone)} gone, {corrected} corrected")
        unread = len(added.broken)
    else:
        built = build_collection(folder, embedder, manifest, **stated, **made)
        print(f"{len(built)} cases")
        unread = len(manifest) - len(built)
    if unread:
        print(f"{unread} images cannot be read; {folder / MANIFEST} says why of each")
    clear_cache(blocks)  # it only lets a start that was stopped go on, and would outlive a patient's removal
