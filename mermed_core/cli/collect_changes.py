"""`mermed collect add`, `remove`, `compact`, `verify` and `migrate`: what changes a collection in place."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mermed_core.cli.arguments import DATASETS_HELP, add_data, add_log_level, add_workers
from mermed_core.cli.unsorted import add_modality, open_images, print_told, teller_of

_ADD = """\
    mermed collect add collections/mine --data more/images --modality cxr

An image that the collection holds already, whatever it is called there, is not embedded again. New cases are
placed on the map among their nearest cases, and no other point moves; `mermed collect compact --new-map`
computes the map again. The columns that the collection keeps are taken from the images' table where it has
them. The same command goes on where it was stopped, with --cache without embedding anything twice."""
_REMOVE = """\
    mermed collect remove collections/mine --group PATIENT
    mermed collect remove collections/mine --case CASE --case ANOTHER

Records, vectors, pictures, points of the map, entries of the index, tags and notes are gone from the
collection's files when the command ends. With --later they are only taken out, which takes moments in a large
collection, and `mermed collect compact` erases them. A folder given as --cache to `mermed collect` keeps
vectors of its own: name it here, and what it holds is deleted. Backups, pages that are being served, and what
was exported or pushed to a server before, are not reached: start the pages again, and push again."""
_COMPACT = """\
    mermed collect compact collections/mine

Erases what was taken out, and puts the small segments that additions leave together, so that a search has
fewer to go through. No case and no point of the map changes. Vectors that are put together are rounded
to eight bits once more, so that cases which are about as near may change places."""
_VERIFY = """\
    mermed collect verify collections/mine

Opening a collection checks the size of each file and a sample of it; this reads all of every file, tags and
notes too. Ends with an error where one is damaged."""
_MIGRATE = """\
    mermed collect migrate collections/mine

Nothing is embedded again; vectors, map and pictures stay what they were."""


class _Command(Protocol):
    """What a module of a command offers."""

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Adds the options."""
        ...

    def run(self, options: argparse.Namespace, /) -> int | None:
        """Runs; returns the exit code."""
        ...


@dataclass(frozen=True)
class Action:
    """One thing to do to a collection that is there.

    Attributes:
        name: on the command line.
        summary: one sentence.
        details: examples, and what else is worth knowing.
        command: adds its options and runs.
    """

    name: str
    summary: str
    details: str
    command: _Command


@dataclass(frozen=True)
class InPlace:
    """A command whose first argument is the collection.

    Attributes:
        options: adds the others.
        run: runs it; returns the exit code.
    """

    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int | None]

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds the collection's folder and the options."""
        parser.add_argument("collection", type=Path, metavar="COLLECTION", help="folder of the collection")
        self.options(parser)


def add_actions(parser: argparse.ArgumentParser, actions: Sequence[Action]) -> None:
    """Adds actions to a command that also runs without any."""
    added = parser.add_subparsers(metavar="ACTION", help=", ".join(action.name for action in actions))
    for action in actions:
        command = added.add_parser(
            action.name,
            prog=f"{parser.prog} {action.name}",
            description=f"{action.summary}\n\n{action.details}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=action.command.run, refuse=command.error)
        action.command.add_arguments(command)
        add_log_level(command)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="default: MERMED_MODEL, else the bundled model"
    )
    add_data(parser)
    add_modality(parser)
    parser.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="keeps embeddings, so that none is made twice"
    )
    parser.add_argument("--datasets", type=Path, metavar="FILE", help=DATASETS_HELP)
    add_workers(parser)


def _add(options: argparse.Namespace) -> None:
    from mermed_core.collections.changes import add_cases
    from mermed_core.collections.folder import check_made_by, open_folder
    from mermed_core.data.file_names import with_file_names
    from mermed_core.fitting.datasets import DATASETS, read_datasets
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.embedding_cache import EmbeddingCache
    from mermed_core.models.heads import HEADS_FOLDER
    from mermed_core.models.retrieval_space import load_retrieval_space
    from mermed_core.settings import Settings

    stated = open_folder(options.collection).stated  # what is to be refused is so before images are read
    model = options.model or Settings.from_environment().model
    embedder = Embedder.load(model)
    space = load_retrieval_space(model / HEADS_FOLDER, embedder.backbone.dim)
    check_made_by(options.collection, stated, space.fingerprint(embedder.fingerprint))
    manifest = with_file_names(open_images(options, model), options.data)
    added = add_cases(
        options.collection,
        embedder,
        manifest,
        space=space,
        sources=read_datasets(options.datasets or DATASETS),
        cache=EmbeddingCache(options.cache / "vectors") if options.cache else None,
        workers=options.workers,
        teller=teller_of(model, embedder, manifest),
    )
    print(f"{added.cases} cases added to {options.collection}; {added.there} were there already")
    print_told(options.collection)
    for reason, count in added.left_out.items():
        print(f"left out: {count} ({reason})")
    if added.broken:
        print(f"left out: {len(added.broken)} (cannot be read)")


def _remove_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--case", action="append", default=[], metavar="ID", help="a case to remove; may be repeated"
    )
    parser.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="NAME",
        help="a group, such as a patient by the identifier in the images' table or DICOM files, whose cases "
        "are removed; may be repeated",
    )
    parser.add_argument("--source", metavar="NAME", help="the data set that the groups are of")
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="FOLDER",
        help="a cache of embeddings, all of which are deleted: they do not say whose they are",
    )
    parser.add_argument(
        "--later", action="store_true", help="take the cases out now, and erase them with `compact`"
    )


def _remove(options: argparse.Namespace) -> None:
    from mermed_core.collections.changes import cache_beside, clear_cache, remove_cases

    if not options.case and not options.group:
        options.refuse("one of the arguments --case and --group is required")
    count = remove_cases(
        options.collection,
        cases=options.case,
        groups=options.group,
        source=options.source,
        erase=not options.later,
    )
    clear_cache(cache_beside(options.collection))  # what a killed `mermed explore` left, nobody else knows of
    how = "taken out of" if options.later else "removed from"
    print(f"{count} cases {how} {options.collection}")
    if options.cache:
        print(f"{clear_cache(options.cache / 'vectors')} files deleted in {options.cache}")


def _compact_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--new-map", action="store_true", help="compute the map again, which moves all of its points"
    )


def _compact(options: argparse.Namespace) -> None:
    from mermed_core.collections.changes import compact

    before, after = compact(options.collection, new_map=options.new_map)
    print(f"{before} segments in {options.collection} before, {after} now")


def _verify(options: argparse.Namespace) -> int:
    from mermed_core.collections.annotations import read_annotations
    from mermed_core.collections.folder import verify_folder
    from mermed_core.collections.stated import building

    size, wrong = verify_folder(options.collection)
    for path in wrong:
        print(f"damaged: {path}")
    if wrong:
        print(f"build it again: {building(options.collection)}")
        return 1
    read_annotations(options.collection)  # says itself what to do where they are damaged
    print(f"{size / 1e6:.1f} MB in {options.collection}, every file as it was written")
    return 0


def _migrate(options: argparse.Namespace) -> None:
    from mermed_core.collections.migration import migrate_collection

    print(f"{len(migrate_collection(options.collection))} cases in {options.collection}, up to date")


def _no_options(_: argparse.ArgumentParser) -> None:
    """The collection is all that is needed."""


ACTIONS = (
    Action("add", "Add images to a collection, in place.", _ADD, InPlace(_add_options, _add)),
    Action("remove", "Remove cases or patients from every file.", _REMOVE, InPlace(_remove_options, _remove)),
    Action(
        "compact",
        "Erase what was taken out, and join segments.",
        _COMPACT,
        InPlace(_compact_options, _compact),
    ),
    Action(
        "verify", "Read every file whole and say what is damaged.", _VERIFY, InPlace(_no_options, _verify)
    ),
    Action(
        "migrate",
        "Bring a collection of the format before up to date.",
        _MIGRATE,
        InPlace(_no_options, _migrate),
    ),
)
