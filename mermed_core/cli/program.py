"""What all commands share: parsing, logging, errors as sentences, exit codes."""

import argparse
import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from types import ModuleType
from typing import NoReturn

from mermed_core import __version__
from mermed_core.cli import (
    analyse,
    atlas,
    check,
    collect,
    compare_maps,
    doctor,
    draw_examples,
    embed,
    evaluate,
    explore,
    export,
    fit,
    head,
    import_official,
    mcp,
    model_report,
    pack_shards,
    pool_stages,
    pretrain,
    report,
    serve,
    translate,
)
from mermed_core.cli.arguments import add_log_level
from mermed_core.errors import (
    DicomReportError,
    FewShotError,
    ImageError,
    ManifestError,
    MermedError,
    RecipeError,
    SettingsError,
    VectorsError,
)
from mermed_core.modalities import UnknownModalityError

DONE, FAILED, REFUSED, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

# The input itself cannot be used; every other error is of something that the input needs.
_REFUSED_ERRORS = (
    DicomReportError,
    FewShotError,
    ImageError,
    ManifestError,
    RecipeError,
    SettingsError,
    UnknownModalityError,
    VectorsError,
)

_COMMANDS = {
    "use a model": (serve, explore, analyse, head, mcp, collect, check, compare_maps, export, atlas, doctor),
    "train a model": (pretrain, report, pool_stages, fit),
    "evaluate models": (evaluate, model_report),
    "prepare": (embed, pack_shards, import_official, draw_examples, translate),
}

# Packages that only some commands need, and the extra that brings each.
EXTRAS = {
    "accelerate": "train",
    "tensorboard": "train",
    "medmnist": "data",
    "open_clip": "eval",
    "pymilvus": "milvus",
    "mcp": "mcp",
}

_INTRODUCTION = """\
One foundation model for seven kinds of medical images (CT, chest X-ray, ultrasound, pathology, fundus, OCT,
skin): see what it finds in an image, explore a collection, train and evaluate your own.
Research use only; not for diagnosis."""

_EPILOG = """\
examples:
  mermed serve                                             the explorer on http://127.0.0.1:7860
  mermed analyse scan.dcm                                  add --json for one JSON object
  mermed explore my/images --modality cxr                  your own images on the page
  mermed collect --data my/images --modality cxr --out collections/mine
  mermed serve --collection collections/mine
  mermed collect add collections/mine --data more/images --modality cxr
  mermed atlas fetch --serve                               explore openly licensed images, about 19 GB
  mermed pretrain cpu data.manifest=my/images              the same command resumes a run that was stopped

exit codes:
  0    done
  1    something is missing or in the way: a model, a collection, a package, a place to write to
  2    the input was refused: an argument, an image, a table of images, a recipe, an environment variable
  130  stopped by Ctrl-C
  143  stopped by SIGTERM (except `serve`, which ends with 0)
An error is one sentence on stderr; with --json it is an object with the key "error" on stdout.

`mermed COMMAND --help` has the options of a command. The documentation is in docs/ of the repository:
clinician.md, researcher.md, engineer.md and host.md (every environment variable)."""


class _UsageError(Exception):
    """The arguments cannot be parsed."""


class _Parser(argparse.ArgumentParser):
    """Raises what argparse would print, so that a wrong option ends like every other error."""

    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message.removeprefix('argument ')}; see {self.prog} --help.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    Args:
        arguments: the command and its options; default: the process's arguments.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    as_json = "--json" in arguments
    try:
        options = _parser().parse_args(arguments)
        _configure_logging(options.log_level)
        with _sigterm_ends_the_program():
            return options.run(options) or DONE
    except _UsageError as error:
        return _ended(str(error), REFUSED, as_json)
    except MermedError as error:
        return _ended(str(error), REFUSED if isinstance(error, _REFUSED_ERRORS) else FAILED, as_json)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        extra = EXTRAS[package]
        how = f"pip install '.[{extra}]' in the project's folder"
        return _ended(f"This needs {package}, which the extra '{extra}' brings: {how}.", FAILED, as_json)
    except OSError as error:
        return _ended(str(error), FAILED, as_json)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return INTERRUPTED


def step(command: str) -> Callable[..., int]:
    """Returns a `main` that runs one command, for `python -m train.STEP`."""

    def run(arguments: Sequence[str] | None = None) -> int:
        return main([command, *(sys.argv[1:] if arguments is None else arguments)])

    return run


def _parser() -> argparse.ArgumentParser:
    table = [_INTRODUCTION]
    for group, modules in _COMMANDS.items():
        table.append(f"\n{group}:")
        table += [f"  {_name(module):<18}{module.SUMMARY}" for module in modules]
    parser = _Parser(
        prog="mermed",
        usage="mermed COMMAND [options]",
        description="\n".join(table),
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"mermed {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", help=argparse.SUPPRESS)
    for module in chain(*_COMMANDS.values()):
        command = commands.add_parser(
            _name(module),
            prog=f"mermed {_name(module)}",
            description=f"{module.SUMMARY}\n\n{module.DETAILS}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(run=module.run, log_level=logging.INFO)
        module.add_arguments(command)
        add_log_level(command)
    return parser


def _name(command: ModuleType) -> str:
    return command.__name__.rpartition(".")[2].replace("_", "-")


def _configure_logging(level: int) -> None:
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    logging.getLogger("faiss").setLevel(logging.WARNING)  # it lists the libraries that it tried to load


@contextmanager
def _sigterm_ends_the_program() -> Iterator[None]:
    """Lets SIGTERM unwind the stack, so that half-written folders are removed."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _ended(sentence: str, code: int, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"error": sentence}, ensure_ascii=False))
    else:
        print(f"error: {sentence}", file=sys.stderr)
    return code
