"""`mermed collect push`: a collection is brought to a search server, where any number of pages search it."""

import argparse
from pathlib import Path

SUMMARY = "Bring a collection to a Milvus server, or up to date there."
DETAILS = """\
    MERMED_SEARCH=milvus+http://127.0.0.1:19530 mermed collect push collections/mine
    MERMED_SEARCH=milvus+http://127.0.0.1:19530 mermed serve --collection collections/mine

The folder stays what counts; the server gets vectors and the columns to filter by, and neither names of cases
and patients nor pictures. Run it again after every change of the folder: it sends what is new or changed and
takes away what is gone, goes on where it was stopped, and does nothing where nothing has changed. Needs
pip install '.[milvus]'."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the collection")
    parser.add_argument(
        "--search",
        metavar="SERVER",
        help="milvus+http://HOST:PORT, or with /NAME behind it; default: MERMED_SEARCH. What opens it is "
        "taken from MERMED_SEARCH_TOKEN alone",
    )
    parser.add_argument(
        "--check", action="store_true", help="compare every case, even where the server should have all"
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="take away the cases that another collection has put there under the same name",
    )


def run(options: argparse.Namespace) -> None:
    """Pushes the collection and prints what was sent.

    Raises:
        CollectionError: there is no usable collection.
        SearchServerError: the server cannot be used.
        SettingsError: no server is named.
    """
    from mermed_core.collections.folder import open_folder
    from mermed_core.collections.on_server import content_to_send, name_on_server
    from mermed_core.collections.store import case_columns
    from mermed_core.errors import SettingsError
    from mermed_core.progress_bar import progress_bar
    from mermed_core.search.milvus_push import push
    from mermed_core.search.milvus_server import MilvusServer
    from mermed_core.settings import Settings

    settings = Settings.from_environment()
    named = options.search or settings.search
    if not named:
        raise SettingsError("No search server is named; set MERMED_SEARCH to milvus+http://HOST:PORT.")
    server = MilvusServer.parse(named, settings.search_token)
    opened = open_folder(options.folder)
    content = content_to_send(case_columns(opened), opened.vectors, opened.stated.state)
    with progress_bar("comparing", "case", total=opened.stated.cases) as bar:
        done = push(
            server,
            name_on_server(options.folder),
            content,
            check=options.check,
            replace=options.replace,
            progress=bar.update,
        )
    how = (
        "all vectors are compared"
        if not done.state.probes
        else f"{done.state.recall:.1%} of the nearest are found"
    )
    print(f"{server}: {done.sent:,} cases sent, {done.removed:,} removed, {done.kept:,} were there; {how}")
