"""`mermed collect`: images become a collection that can be searched and explored, and changes in place."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mermed_core.cli import collect_changes, collect_notes, push
from mermed_core.cli.arguments import (
    DATA_HELP,
    DATASETS_HELP,
    add_kept,
    add_splits,
    add_vectors,
    add_workers,
    of_splits,
)
from mermed_core.cli.unsorted import add_modality, open_images, print_told, teller_of

if TYPE_CHECKING:
    from mermed_core.collections.collection import Collection
    from mermed_core.data.manifest import Manifest

SUMMARY = "Embed images once and write a collection to search and explore; change one in place."
DETAILS = """\
    mermed collect --data path/to/images --modality cxr --out collections/mine
    mermed serve --collection collections/mine
    mermed collect add collections/mine --data more/images --modality cxr
    mermed collect remove collections/mine --group PATIENT

A collection holds records, vectors, a map and small pictures of the images. Of images whose modality neither
a folder nor a table, a header or --modality states, the model tells it; the records say that it is its own
answer.

With --vectors no model is run: the vectors of another encoder become a map with its clusters, checks and
neighbours, and no image of a visitor is searched among them.

With --no-pictures it can be handed on where its images may not be: the page then draws a placeholder and says
where the picture can be had, and who has the images shows them with MERMED_PICTURES.

add, remove, compact, verify, migrate, tag, note, tags and push work on a collection that is there; each has
its own --help.
Pages that serve it show the change within seconds; whoever has one open is told to reload it."""

_ACTIONS = (
    *collect_changes.ACTIONS,
    *collect_notes.ACTIONS,
    collect_changes.Action("push", push.SUMMARY, push.DETAILS, push),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    collect_changes.add_actions(parser, _ACTIONS)
    parser.set_defaults(refuse=parser.error)
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="default: MERMED_MODEL, else the bundled model"
    )
    # Not required of argparse, which would ask the actions for them as well.
    parser.add_argument("--data", action="append", metavar="SPEC", help=DATA_HELP)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="the collection; replaced as a whole")
    parser.add_argument("--name", help="name that people see; default: the folder's")
    parser.add_argument("--text", default="", help="one or two sentences: what is in it, under which licence")
    add_modality(parser)
    add_kept(parser)
    add_splits(parser)
    parser.add_argument(
        "--no-pictures",
        dest="pictures",
        action="store_false",
        help="keep no pictures of the images, only what they are called and their checksums",
    )
    parser.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="keeps embeddings, so that none is made twice"
    )
    parser.add_argument("--datasets", type=Path, metavar="FILE", help=DATASETS_HELP)
    add_vectors(parser)
    add_workers(parser)


def run(options: argparse.Namespace) -> None:
    """Builds the collection and prints where it is.

    Raises:
        ModelError: there is no usable model.
        ManifestError: the images or the facts about their sets cannot be used.
        VectorsError: the vectors cannot be used, or are not those of the images.
        OccupiedError: the folder to write to holds something else.
    """
    from mermed_core.data.file_names import with_file_names
    from mermed_core.data.phantoms import SYNTHETIC_PREFIX
    from mermed_core.data.validation import FILE
    from mermed_core.fitting.datasets import DATASETS, read_datasets

    if missing := [flag for flag in ("--data", "--out") if getattr(options, flag[2:]) is None]:
        options.refuse(f"the following arguments are required: {', '.join(missing)}")
    stated: dict[str, Any] = {
        "name": options.name or options.out.resolve().name,
        "text": options.text,
        "sources": read_datasets(options.datasets or DATASETS),
        "keep": options.keep,
        "pictures": options.pictures,
    }
    whole = open_images(options, None if options.vectors else _model(options))
    if FILE in options.keep:
        whole = with_file_names(whole, options.data)
    manifest = of_splits(whole, options.split)
    stated["synthetic"] = bool(manifest.frame["source"].str.startswith(SYNTHETIC_PREFIX).all())
    build = _of_vectors if options.vectors else _embedded
    collection = build(options, whole, manifest, stated)
    print(f"{len(collection)} cases{'' if options.pictures else ', no pictures,'} in {options.out}")
    print_told(options.out)
    for reason, count in manifest.left_out.items():
        print(f"left out: {count} ({reason})")


def _model(options: argparse.Namespace) -> Path:
    from mermed_core.settings import Settings

    return options.model or Settings.from_environment().model


def _embedded(
    options: argparse.Namespace, _: "Manifest", manifest: "Manifest", stated: dict[str, Any]
) -> "Collection":
    from mermed_core.collections.store import build_collection
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.embedding_cache import EmbeddingCache
    from mermed_core.models.heads import HEADS_FOLDER
    from mermed_core.models.retrieval_space import load_retrieval_space

    model = _model(options)
    embedder = Embedder.load(model)
    return build_collection(
        options.out,
        embedder,
        manifest,
        space=load_retrieval_space(model / HEADS_FOLDER, embedder.backbone.dim),
        cache=EmbeddingCache(options.cache / "vectors") if options.cache else None,
        workers=options.workers,
        teller=teller_of(model, embedder, manifest),
        **stated,
    )


def _of_vectors(
    options: argparse.Namespace, whole: "Manifest", manifest: "Manifest", stated: dict[str, Any]
) -> "Collection":
    from mermed_core.collections.foreign_vectors import build_from_vectors
    from mermed_core.data.vector_file import read_vectors

    vectors = read_vectors(options.vectors)
    rows = vectors.rows_of(whole.frame["case_id"])  # the file is of the whole table, whatever is taken of it
    chosen = whole.frame["case_id"].isin(manifest.frame["case_id"]).to_numpy(bool)
    return build_from_vectors(options.out, manifest, vectors, rows[chosen], **stated)
