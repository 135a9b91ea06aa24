"""German has every English sentence once, with the same gaps; what is missing is named here."""

import ast
import importlib
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from string import Formatter
from types import ModuleType
from typing import Any

import pytest

from app.components.cases import shown
from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_COLLECTION, BUNDLED_MODEL, DEFAULT_COLLECTION
from mermed_core.languages.catalogue import CORE, NAMES, languages
from mermed_core.languages.say import speaking
from mermed_core.modalities import MODALITIES
from mermed_core.models.model_metrics import METRICS, ModelMetrics
from mermed_core.reports.text import humanise

ROOT = Path(__file__).resolve().parents[3]
CODE = ("app", "mermed_core")
SAYING = sorted(
    [
        *(path for path in (ROOT / "app/texts").glob("*.py") if path.stem != "__init__"),
        *(ROOT / "mermed_core/reports/case").glob("*wording.py"),
    ]
)
# Constants in capitals that no visitor reads as they are: programs know columns and files by these names.
NOT_SENTENCES = {
    "batch_text": {"FILE_NAME"},
    "cluster_text": {"_COARSE", "_MIDDLE", "_FINE", "PLACED"},
}
GERMAN = languages()["de"]
# Words that are the same in both languages.
SAME = {
    *("MerMED-FM Explorer", "DICOM", "CSV", "Label", "Lasso", "Manifest", "Mediastinum", "Server", "Tags"),
    *("CT", "OCT", "MR", "Abdomen", "COVID-19", "COVID-CT (UCSD-AI4H)", "Drusen"),
}
# Data sets whose names are the same in German, and licences that are known by their letters.
PROPER = {
    *("COVID-CT (UCSD-AI4H)", "COVID-19 Radiography Database", "PALM (iChallenge-PM)", "NIH ChestX-ray14"),
    *("HAM10000 (Tschandl 2018)", "Ultrasound Nerve Segmentation (2016)"),
}
LETTERS_OF_LICENCES = re.compile(r"(CC0|CC BY(-NC)?(-SA)?( 4\.0)?|ODbL|unknown)?")
LETTERS = re.compile(r"[^\W\d_]{4}")
SPOKEN_OF_FILES = (
    *("imaging/*.py", "collections/quality/*.py"),
    *("models/few_shot_head.py", "fitting/few_shot.py"),
)


def module_of(path: Path) -> ModuleType:
    return importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))


def sentences(path: Path) -> set[str]:
    """Returns the English sentences of a module: its constants, and what its functions say."""
    module = module_of(path)
    skipped = NOT_SENTENCES.get(path.stem, set())
    defined = {
        name.id
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        for name in ast.walk(target)
        if isinstance(name, ast.Name) and name.id.isupper()
    }
    values = [vars(module)[name] for name in sorted(defined - skipped)]
    values += [vars(module)[name] for name in vars(module).get("__all__", ()) if name.isupper()]
    return {each for each in [*_leaves(values), *_said(path)] if each.strip()}


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, tuple):
        for each in value:
            yield from _leaves(each[1:] if isinstance(each, tuple) else each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)


def _said(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def gaps(sentence: str) -> list[str]:
    """Returns the names of a sentence's gaps, sorted; "" for those without a name."""
    return sorted(name for _, name, _, _ in Formatter().parse(sentence) if name is not None)


def templates(path: Path) -> set[str]:
    """Returns the strings in a file of the core with {} for what fills them, without docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    within = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
    }
    idle = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
            found.add("".join(parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in idle:
            found |= set() if id(node) in within else {node.value}
    return found


@pytest.mark.parametrize("path", SAYING, ids=lambda path: path.stem)
def test_every_sentence_has_a_german_one(path):
    missing = {each for each in sentences(path) if GERMAN.find(path.stem, each) is None}
    unsaid = {each for each in missing if LETTERS.search(re.sub(r"\{.*?\}", "", each))}
    assert {each for each in unsaid if GERMAN.recognise(each) == each} == set()


def test_no_german_sentence_is_left_over():
    english = {path.stem: sentences(path) for path in SAYING}
    assert set(GERMAN.tables) <= {*english, NAMES, CORE}
    left = {name: set(GERMAN.tables.get(name, {})) - said for name, said in english.items()}
    assert {name: over for name, over in left.items() if over} == {}


def test_gaps_are_the_same_in_both_languages():
    pairs = chain.from_iterable(table.items() for table in GERMAN.tables.values())
    assert [english for english, german in pairs if gaps(english) != gaps(german)] == []


def test_no_german_sentence_is_empty_or_english():
    pairs = chain.from_iterable(table.items() for table in GERMAN.tables.values())
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


def _known_names() -> set[str]:
    """Returns all names of the bundled model and collections, of modalities and of columns."""
    metrics = ModelMetrics.load(BUNDLED_MODEL / METRICS)
    collections = [load_collection(folder) for folder in (BUNDLED_COLLECTION, DEFAULT_COLLECTION)]
    named = {modality.name for modality in MODALITIES.values()}
    for task, measured in metrics.tasks.items():
        named |= {measured.title or humanise(task), measured.caveat}
        named |= {humanise(measured.names.get(label, label)) for label in measured.classes}
    for collection in collections:
        labels = {
            str(label) for names in collection.records["labels"] for label in (() if names is None else names)
        }
        named |= {humanise(collection.label_names.get(label, label)) for label in labels}
        named |= {collection.name, collection.description}
        sources = [collection.source(str(name)) for name in collection.values("source")]
        stated = {each.title for each in sources if each.title not in collection.values("source")}
        licences = {each.licence for each in sources if not LETTERS_OF_LICENCES.fullmatch(each.licence)}
        named |= (stated - PROPER) | licences
    return {each for each in named if each}


def test_every_name_of_the_bundled_model_and_collections_has_a_german_one():
    table = GERMAN.tables[NAMES]
    assert {each for each in _known_names() if each not in table} == set()


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
    said = set().union(*(templates(path) for path in (ROOT / "mermed_core").rglob("*.py")))
    said |= set().union(*(templates(path) for path in (ROOT / "app").glob("*.py")))
    stale = {each for each in GERMAN.tables[CORE] if each not in said}
    assert stale == set()


def test_what_is_said_of_files_has_german_words():
    paths = chain.from_iterable((ROOT / "mermed_core").glob(pattern) for pattern in SPOKEN_OF_FILES)
    said = set().union(*(templates(path) for path in paths))
    whole = {each for each in said if re.match(r"[A-Z][a-z]+ .* .*\.$", each)}
    assert {each for each in whole if each not in GERMAN.tables[CORE]} == set()
