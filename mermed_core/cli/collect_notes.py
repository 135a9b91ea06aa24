"""`mermed collect tag`, `note` and `tags`: what people write beside the cases of a collection."""

import argparse
import csv
import sys
from pathlib import Path

from mermed_core.cli.collect_changes import Action, InPlace

_TAG = """\
    mermed collect tag collections/mine "look again" --case CASE --case ANOTHER
    mermed collect tag collections/mine "look again" --group PATIENT
    mermed collect tag collections/mine "look again" --table cases.csv
    mermed collect tag collections/mine "look again" --case CASE --remove

A case may have any number of tags. The page shows them, filters and colours by them. The table is one that
the page or `mermed collect tags` wrote, or any CSV with a column "case"."""
_NOTE = """\
    mermed collect note collections/mine --case CASE "Another scanner than the rest"
    mermed collect note collections/mine --case CASE ""

A case has one note; another takes its place, and an empty one removes it."""
_TAGS = """\
    mermed collect tags collections/mine
    mermed collect tags collections/mine --out tags.csv

Prints how many cases have each tag and how many have a note, or writes a table of the cases that have either.
Tags and notes stand in annotations.json in the collection's folder. `mermed collect remove` removes those of
who is removed; a collection that is built again begins without any."""


def _tag_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tag", metavar="TAG", help="a word or a few")
    parser.add_argument("--case", action="append", default=[], metavar="ID", help="a case; may be repeated")
    parser.add_argument(
        "--group", action="append", default=[], metavar="NAME", help="all cases of a group, such as a patient"
    )
    parser.add_argument("--source", metavar="NAME", help="the data set that the groups are of")
    parser.add_argument("--table", type=Path, metavar="CSV", help='a table with a column "case"')
    parser.add_argument("--remove", action="store_true", help="take the tag from them")


def _tag(options: argparse.Namespace) -> None:
    from mermed_core.collections.annotations import tag_cases
    from mermed_core.collections.chosen_cases import ids_of

    if not (options.case or options.group or options.table):
        options.refuse("one of the arguments --case, --group and --table is required")
    listed = _listed(options.table) if options.table else []
    cases = ids_of(
        options.collection, cases=[*options.case, *listed], groups=options.group, source=options.source
    )
    changed = len(tag_cases(options.collection, options.tag, cases, on=not options.remove))
    how = "lose the tag" if options.remove else "get the tag"
    print(f"{changed} cases of {options.collection} {how}; {len(cases) - changed} were so already")


def _listed(path: Path) -> list[str]:
    from mermed_core.errors import ManifestError

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"'{path}' cannot be read ({error}).") from error
    if not rows or "case" not in rows[0]:
        raise ManifestError(f"'{path}' is no table of cases.", column="case")
    return [row["case"] for row in rows]


def _note_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("text", metavar="TEXT", help="of the note; empty to remove it")
    parser.add_argument("--case", required=True, metavar="ID", help="the case")


def _note(options: argparse.Namespace) -> None:
    from mermed_core.collections.annotations import write_note

    before = write_note(options.collection, options.case, options.text)
    done = "written" if options.text.strip() else "removed"
    print(f"note on {options.case} {done}{f'; before it said: {before}' if before else ''}")


def _tags_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="CSV", help="write a table of the cases; - prints it")


def _tags(options: argparse.Namespace) -> None:
    from mermed_core.collections.annotations import read_annotations
    from mermed_core.collections.stated import read_stated
    from mermed_core.files import write_bytes
    from mermed_core.reports.spreadsheet import to_csv

    read_stated(options.collection)
    found = read_annotations(options.collection)
    if options.out is None:
        for tag, cases in sorted(found.tags.items()):
            print(f"{len(cases):>8}  {tag}")
        print(f"{len(found.notes):>8}  cases with a note")
        return
    text = to_csv(found.table())
    if str(options.out) == "-":
        sys.stdout.write(text)
    else:
        write_bytes(options.out, text.encode())
        print(f"{len(found.cases)} cases in {options.out}")


ACTIONS = (
    Action("tag", "Give cases a tag, or take it from them.", _TAG, InPlace(_tag_options, _tag)),
    Action("note", "Write a note on a case.", _NOTE, InPlace(_note_options, _note)),
    Action("tags", "Show the tags and notes of a collection.", _TAGS, InPlace(_tags_options, _tags)),
)
