"""`mermed atlas fetch`: openly licensed images from their home become a collection with pictures."""

import argparse
from pathlib import Path

from mermed_core.cli.arguments import add_workers, positive
from mermed_core.urls import is_web_address, shown_url

SUMMARY = "Fetch openly licensed images and build a collection with pictures from them."
DETAILS = """\
    mermed atlas fetch                            seven sets, one of each modality, about 19 GB
    mermed atlas fetch --size 128                 smaller images, about a third of that
    mermed atlas fetch --set breastmnist --set retinamnist --serve

The images are MedMNIST+ (doi:10.5281/zenodo.10519652), licensed CC BY 4.0, DermaMNIST CC BY-NC 4.0. How large
the files are is said before the first is fetched. A fetch that was interrupted goes on where it ended, and a
file that is there is not fetched again. The files may be deleted once the collection is built."""

# The smallest set of each modality.
DEFAULT_SETS = (
    "pathmnist",
    "pneumoniamnist",
    "dermamnist",
    "octmnist",
    "retinamnist",
    "breastmnist",
    "organcmnist",
)
_OUT = Path("collections/medmnist")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("action", choices=["fetch"], help="what to do with the atlas")
    parser.add_argument(
        "--out",
        type=Path,
        default=_OUT,
        metavar="FOLDER",
        help="the collection; replaced as a whole (default: %(default)s)",
    )
    parser.add_argument(
        "--set",
        action="append",
        dest="sets",
        metavar="NAME",
        help=f"a set of MedMNIST; may be repeated (default: {', '.join(DEFAULT_SETS)})",
    )
    parser.add_argument(
        "--size", type=positive, default=224, metavar="PX", help="28, 64, 128 or 224 (default: %(default)s)"
    )
    parser.add_argument(
        "--most",
        type=positive,
        default=1000,
        metavar="N",
        help="images of a set that go into the collection, spread over its classes (default: %(default)s)",
    )
    parser.add_argument(
        "--files", type=Path, metavar="FOLDER", help="where the fetched files lie (default: ~/.medmnist)"
    )
    parser.add_argument(
        "--url",
        type=_address,
        metavar="BASE",
        help="a mirror: address of a folder with the same files (default: Zenodo)",
    )
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="default: MERMED_MODEL, else the bundled model"
    )
    add_workers(parser)
    parser.add_argument("--serve", action="store_true", help="serve the collection when it is built")


def run(options: argparse.Namespace) -> int:
    """Fetches, builds the collection and prints where it is; returns the exit code.

    Raises:
        DownloadError: a file cannot be fetched.
        ManifestError: no such set or size, or a file is damaged.
        OccupiedError: the place of the collection holds something else.
    """
    from mermed_core.collections.no_manifest import check_place
    from mermed_core.collections.store import build_collection
    from mermed_core.data.manifest import concatenate
    from mermed_core.data.sources.medmnist_files import fetch_sets, set_facts, set_modality, set_name
    from mermed_core.data.sources.medmnist_sets import read_medmnist
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.heads import HEADS_FOLDER
    from mermed_core.models.retrieval_space import load_retrieval_space
    from mermed_core.settings import Settings

    # Whatever may be refused is refused before hours of fetching.
    check_place(options.out)
    names = list(dict.fromkeys(set_name(name) for name in options.sets or DEFAULT_SETS))
    for name in names:
        set_modality(name)
    model = options.model or Settings.from_environment().model
    embedder = Embedder.load(model)
    space = load_retrieval_space(model / HEADS_FOLDER, embedder.backbone.dim)
    fetch_sets(names, size=options.size, root=options.files, url=options.url)
    parts = [read_medmnist(name, size=options.size, root=options.files, most=options.most) for name in names]
    collection = build_collection(
        options.out,
        embedder,
        concatenate(parts),
        space=space,
        name="MedMNIST+",
        text=_licences(names, options.size),
        synthetic=False,
        sources={name: set_facts(name) for name in names},
        workers=options.workers,
    )
    print(f"{len(collection)} cases in {options.out}; mermed serve --collection {options.out}")
    return _serve(options) if options.serve else 0


def _address(text: str) -> str:
    if not is_web_address(text):
        raise argparse.ArgumentTypeError(f"'{shown_url(text)}' does not start with http:// or https://")
    return text


def _licences(names: list[str], size: int) -> str:
    """Returns what the collection states: what is in it, and which licence each set has."""
    from mermed_core.data.sources.medmnist_files import DOI, set_information

    sets: dict[str, list[str]] = {}
    for name in names:
        information = set_information(name)
        sets.setdefault(information["license"], []).append(information["python_class"])
    licences = "; ".join(f"{', '.join(titles)}: {licence}" for licence, titles in sets.items())
    return f"Images of MedMNIST+ (doi:{DOI}) at {size} px. {licences}."


def _serve(options: argparse.Namespace) -> int:
    from mermed_core.cli import serve

    unsaid = dict.fromkeys(("host", "port", "language", "languages", "notes"))
    return serve.run(argparse.Namespace(**unsaid, model=options.model, collection=options.out))
