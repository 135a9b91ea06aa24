"""`mermed translate`: one file with every English sentence, to be said in another language or otherwise."""

import argparse
from pathlib import Path

from mermed_core.cli.arguments import add_served

SUMMARY = "Write every English sentence into one file to be translated, or update that file."
DETAILS = """\
    mermed translate fr                                   begins fr.toml
    mermed serve --languages . --language fr              serves what of it is translated

The file has the English on the left and is to have the other language on the right; what is empty is said as
on the left. Given again, after a new release or for another model or collection, the command keeps every word
and comment, marks sentences that are new with `# new`, and keeps those that are no longer said behind `#~`.
`mermed translate en` writes a file of the same kind in which English can be worded otherwise.
docs/languages.md tells more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("code", help="of the language, such as fr or pt-BR; names the file")
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="FOLDER",
        help="where the file is or is to be; default: MERMED_LANGUAGES, else the current folder",
    )
    add_served(parser)


def run(options: argparse.Namespace) -> None:
    """Writes the file and says how much of it there is to do.

    Raises:
        SettingsError: it is no code of a language, or the file that is there cannot be read.
        MermedError: the model or a collection, whose names it has, cannot be read.
    """
    from mermed_core.cli.english import english
    from mermed_core.files import BUNDLED_COLLECTION, BUNDLED_MODEL, DEFAULT_COLLECTION, write_file
    from mermed_core.languages.catalogue import ENGLISH, PATTERN, check_code
    from mermed_core.languages.translation import begun, update
    from mermed_core.settings import Settings

    check_code(options.code)
    settings = Settings.from_environment()
    models = [BUNDLED_MODEL, options.model or settings.model]
    collections = [BUNDLED_COLLECTION, DEFAULT_COLLECTION, options.collection or settings.collection]
    path = (options.folder or settings.languages or Path()) / f"{options.code}.toml"
    text = _before(path)
    said = english(list(dict.fromkeys(models)), list(dict.fromkeys(collections)))
    mark = bool(text) and options.code != ENGLISH  # of English nothing has to be written
    updated = update(text or begun(options.code, PATTERN.read_text(encoding="utf-8")), said, mark=mark)
    with write_file(path) as staging:
        staging.write_text(updated.text, encoding="utf-8")
    if options.code == ENGLISH:
        reworded = updated.sentences - updated.unsaid
        print(f"{path}: {updated.sentences:,} sentences, {reworded:,} of them with words of their own")
        return
    print(f"{path}: {updated.sentences:,} sentences, {updated.unsaid:,} of them without words yet")
    if text:
        print(f"{len(updated.new):,} are new (# new), {len(updated.gone):,} are no longer said (#~)")


def _before(path: Path) -> str:
    """Returns the file as it is; where none is there the shipped one of the language, "" where none is."""
    from mermed_core.languages.catalogue import read_catalogue, shipped_file

    source = path if path.exists() or path.is_symlink() else shipped_file(path.stem)
    if source is None:
        return ""
    read_catalogue(source)  # refuses what is no file of a language
    return source.read_text(encoding="utf-8")
