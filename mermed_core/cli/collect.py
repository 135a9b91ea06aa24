"""`mermed collect`: images become a collection that can be searched and explored, and changes in place."""

import argparse
from pathlib import Path

from mermed_core.cli import collect_changes, push
from mermed_core.cli.arguments import DATA_HELP, DATASETS_HELP, add_splits, add_workers, of_splits

SUMMARY = "Embed images once and write a collection to search and explore; change one in place."
DETAILS = """\
    mermed collect --data path/to/images --modality cxr --out collections/mine
    mermed serve --collection collections/mine
    mermed collect add collections/mine --data more/images --modality cxr
    mermed collect remove collections/mine --group PATIENT

A collection holds records, vectors, a map and small pictures of the images. A folder of images that has no
folders for the modalities needs --modality.

With --no-pictures it can be handed on where its images may not be: the page then draws a placeholder and says
where the picture can be had, and who has the images shows them with MERMED_PICTURES.

add, remove, compact, verify, migrate and push work on a collection that is there; each has its own --help.
Pages that serve it stay as they are until they are started again."""

_ACTIONS = (*collect_changes.ACTIONS, collect_changes.Action("push", push.SUMMARY, push.DETAILS, push))


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
    parser.add_argument(
        "--modality", metavar="NAME", help="modality of images that do not state theirs, such as ct or cxr"
    )
    parser.add_argument(
        "--keep",
        action="append",
        default=[],
        metavar="COLUMN",
        help="further column of the table that is kept, such as sex; may be repeated. No other is kept",
    )
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
    add_workers(parser)


def run(options: argparse.Namespace) -> None:
    """Builds the collection and prints where it is.

    Raises:
        ModelError: there is no usable model.
        ManifestError: the images or the facts about their sets cannot be used.
        OccupiedError: the folder to write to holds something else.
    """
    from mermed_core.collections.store import build_collection
    from mermed_core.data.phantoms import SYNTHETIC_PREFIX
    from mermed_core.data.sources.opener import open_manifests
    from mermed_core.fitting.datasets import DATASETS, read_datasets
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.embedding_cache import EmbeddingCache
    from mermed_core.models.heads import HEADS_FOLDER
    from mermed_core.models.retrieval_space import load_retrieval_space
    from mermed_core.settings import Settings

    if missing := [flag for flag in ("--data", "--out") if getattr(options, flag[2:]) is None]:
        options.refuse(f"the following arguments are required: {', '.join(missing)}")
    model = options.model or Settings.from_environment().model
    datasets = read_datasets(options.datasets or DATASETS)
    embedder = Embedder.load(model)
    manifest = of_splits(open_manifests(options.data, modality=options.modality), options.split)
    collection = build_collection(
        options.out,
        embedder,
        manifest,
        space=load_retrieval_space(model / HEADS_FOLDER, embedder.backbone.dim),
        name=options.name or options.out.resolve().name,
        text=options.text,
        synthetic=bool(manifest.frame["source"].str.startswith(SYNTHETIC_PREFIX).all()),
        sources=datasets,
        keep=options.keep,
        pictures=options.pictures,
        cache=EmbeddingCache(options.cache / "vectors") if options.cache else None,
        workers=options.workers,
    )
    print(f"{len(collection)} cases{'' if options.pictures else ', no pictures,'} in {options.out}")
    for reason, count in manifest.left_out.items():
        print(f"left out: {count} ({reason})")
