"""`mermed serve`: the explorer in the browser."""

import argparse
import gc
import importlib
import os
from pathlib import Path
from types import ModuleType

import mermed_core
from mermed_core.cli.arguments import add_served

SUMMARY = "Serve the explorer, a page in the browser."
DETAILS = """\
    mermed serve
    mermed serve --model runs/cpu/served --collection collections/mine --port 8080
    mermed serve --collection collections/ours --beside collections/theirs

The page is reached from this machine only unless --host says otherwise. Uploads are deleted as soon as they
are read. Every option has an environment variable; docs/host.md lists them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_address(parser)
    add_served(parser)


def add_address(parser: argparse.ArgumentParser) -> None:
    """Adds --host, --port, --language, --languages, --notes and --beside."""
    parser.add_argument(
        "--host", metavar="ADDRESS", help="default: GRADIO_SERVER_NAME, else 127.0.0.1; 0.0.0.0 is everywhere"
    )
    parser.add_argument("--port", metavar="PORT", help="default: GRADIO_SERVER_PORT, else 7860")
    parser.add_argument(
        "--language", metavar="CODE", help="of the page, such as de; default: MERMED_LANGUAGE, else en"
    )
    parser.add_argument(
        "--languages",
        type=Path,
        metavar="FOLDER",
        help="language files of your own (mermed translate); default: MERMED_LANGUAGES, else none",
    )
    parser.add_argument(
        "--notes",
        action=argparse.BooleanOptionalAction,
        help="let visitors tag cases and write notes beside the collection",
    )
    parser.add_argument(
        "--beside",
        type=Path,
        metavar="FOLDER",
        help="second collection, whose map stands beside the first; default: MERMED_BESIDE, else none",
    )


def run(options: argparse.Namespace, at: str = "") -> int:
    """Serves until it is stopped; returns the exit code.

    Args:
        options: of the command.
        at: end of the address that is said; see `app.ui.serve`.

    Raises:
        SettingsError: the port or another variable has a value that cannot be used.
    """
    set_served(options)
    return page().serve(at)


def set_served(options: argparse.Namespace) -> None:
    """Lets the environment, which the page reads, say what the options say.

    Raises:
        SettingsError: the port or another variable has a value that cannot be used.
    """
    from mermed_core.settings import Settings

    given = {
        "GRADIO_SERVER_NAME": options.host,
        "GRADIO_SERVER_PORT": options.port,
        "MERMED_MODEL": options.model,
        "MERMED_COLLECTION": options.collection,
        "MERMED_BESIDE": vars(options).get("beside"),
        "MERMED_NOTES": None if options.notes is None else int(options.notes),
        "MERMED_LANGUAGES": options.languages,
        "MERMED_LANGUAGE": options.language,
    }
    os.environ.update({name: str(value) for name, value in given.items() if value is not None})
    Settings.from_environment()  # refuses a wrong value before the page takes seconds to import


def page() -> ModuleType:
    """Imports the page, which takes seconds.

    The garbage collector rests meanwhile: it would take a fifth of them, and what is imported stays.
    """
    gc.disable()
    try:
        return importlib.import_module(f"{page_package()}.ui")
    finally:
        gc.enable()


def page_package() -> str:
    """Returns the name of the page's package: `app` in a checkout, `mermed_app` where it is installed."""
    checkout = Path(mermed_core.__file__).resolve().parent.parent / "app" / "ui.py"
    return "app" if checkout.is_file() else "mermed_app"
