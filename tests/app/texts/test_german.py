"""German has every English sentence once, with the same gaps; what is missing is named here."""

import ast
import importlib
import re
import tomllib
from itertools import chain
from pathlib import Path
from string import Formatter
from types import ModuleType

import pytest

from app.components.cases import shown
from mermed_core.cli.english import known_names, of_core, of_files, of_modules
from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_COLLECTION, BUNDLED_MODEL, DEFAULT_COLLECTION
from mermed_core.languages.catalogue import CORE, NAMES, PATTERN, languages
from mermed_core.languages.say import speaking

ROOT = Path(__file__).resolve().parents[3]
CODE = ("app", "mermed_core")
SAYING = sorted(
    [
        *(path for path in (ROOT / "app/texts").glob("*.py") if path.stem != "__init__"),
        *(ROOT / "mermed_core/reports/case").glob("*wording.py"),
    ]
)
GERMAN = languages()["de"]
ENGLISH = of_modules()
# Words that are the same in both languages.
SAME = {
    *("MerMED-FM Explorer", "DICOM", "CSV", "Label", "Lasso", "Manifest", "Mediastinum", "Server", "Tags"),
    *("CT", "OCT", "MR", "Abdomen", "COVID-19", "Drusen"),
}
LETTERS = re.compile(r"[^\W\d_]{4}")


def module_of(path: Path) -> ModuleType:
    return importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def gaps(sentence: str) -> list[str]:
    """Returns the names of a sentence's gaps, sorted; "" for those without a name."""
    return sorted(name for _, name, _, _ in Formatter().parse(sentence) if name is not None)


@pytest.mark.parametrize("path", SAYING, ids=lambda path: path.stem)
def test_every_sentence_has_a_german_one(path):
    missing = {each for each in ENGLISH[path.stem] if GERMAN.find(path.stem, each) is None}
    unsaid = {each for each in missing if LETTERS.search(re.sub(r"\{.*?\}", "", each))}
    assert {each for each in unsaid if GERMAN.recognise(each) == each} == set()


def test_no_german_sentence_is_left_over():
    assert set(GERMAN.tables) <= {*ENGLISH, NAMES, CORE}
    left = {name: set(GERMAN.tables.get(name, {})) - set(said) for name, said in ENGLISH.items()}
    assert {name: over for name, over in left.items() if over} == {}


def test_gaps_are_the_same_in_both_languages():
    pairs = chain.from_iterable(table.items() for table in GERMAN.tables.values())
    assert [english for english, german in pairs if gaps(english) != gaps(german)] == []


def test_no_german_sentence_is_empty_or_english():
    written = tomllib.loads(PATTERN.read_text(encoding="utf-8"))["sentences"]  # GERMAN leaves out empty ones
    pairs = chain.from_iterable(table.items() for table in written.values())
    wordless = re.compile(r"\{.*?\}|AUROC|\W")
    unsaid = {english for english, german in pairs if not german.strip() or english == german}
    assert {each for each in unsaid - SAME if LETTERS.search(wordless.sub("", each))} == set()


@pytest.mark.parametrize("path", SAYING, ids=lambda path: path.stem)
def test_a_module_of_sentences_says_them(path):
    assert module_of(path).say.table == path.stem
    tree = ast.parse(path.read_text(encoding="utf-8"))
    worded = {
        part.value
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
        if isinstance(part, ast.Constant) and LETTERS.search(str(part.value))
    }
    assert worded == set(), "an f-string cannot be translated: return say(…)"


def test_no_sentence_is_taken_out_of_its_module_before_it_is_read():
    names = {path.stem for path in SAYING}
    taken = []
    for path in chain.from_iterable((ROOT / room).rglob("*.py") for room in CODE):
        if path in SAYING:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2] in names:
                taken += [(path.name, each.name) for each in node.names if each.name.isupper()]
        taken += [(path.name, ast.unparse(each)) for each in _read_at_import(tree, names)]
    assert taken == [], "read it as module.NAME, in a function"


def _read_at_import(node: ast.AST, names: set[str]):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for default in (*child.args.defaults, *filter(None, child.args.kw_defaults)):
                yield from _read_at_import(ast.Expr(default), names)
            continue
        if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name) and child.value.id in names:
            yield from [child] * child.attr.isupper()
        yield from _read_at_import(child, names)


def test_every_name_of_the_bundled_model_and_collections_has_a_german_one():
    table = GERMAN.tables[NAMES]
    named = known_names([BUNDLED_MODEL], [BUNDLED_COLLECTION, DEFAULT_COLLECTION])
    assert {each for each in named if each not in table} == set()


def test_a_german_card_has_the_data_set_and_its_licence_in_german():
    collection = load_collection(DEFAULT_COLLECTION)
    records = collection.records
    case = collection.case(str(records.loc[records["source"] == "glas_colon", "case_id"].iloc[0]))
    assert shown(collection, case)["source"] == "GlaS colon H&E (2015)"
    with speaking("de"):
        german = shown(collection, case)
    assert german["source"] == "GlaS, Kolon in HE (2015)"
    assert german["origin"][-1] == "Forschung"
    assert "GlaS, Kolon in HE (2015)" in german["home_hint"]


def test_sentences_of_the_core_are_those_that_it_says():
    stale = set(GERMAN.tables[CORE]) - of_core()
    assert stale == set()


def test_what_is_said_of_files_has_german_words():
    assert {each for each in of_files() if each not in GERMAN.tables[CORE]} == set()


def test_every_module_of_sentences_is_found():
    """What the tests look at, by its name, is what `mermed translate` finds by its first line."""
    assert set(ENGLISH) == {path.stem for path in SAYING}
    assert min(map(len, ENGLISH.values())) > 2
