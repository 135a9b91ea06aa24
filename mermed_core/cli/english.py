"""Every English sentence that a visitor may read, by the tables of a language's file."""

import re
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import mermed_core
from mermed_core.cli.serve import page_package
from mermed_core.languages.catalogue import CORE, NAMES, Catalogue, shipped_languages
from mermed_core.languages.extraction import sentences, speaking_modules, templates

if TYPE_CHECKING:
    from mermed_core.collections.collection import Collection

REPORTS = "mermed_core.reports.case"
# Constants in capitals that no visitor reads as they are: programs know columns and files by these names.
NOT_SENTENCES = {
    "batch_text": frozenset({"FILE_NAME"}),
    "cluster_text": frozenset({"_COARSE", "_MIDDLE", "_FINE", "PLACED"}),
}
# Where the core speaks to visitors in whole sentences, which all belong into a language's file.
SPOKEN_OF_FILES = (
    *("imaging/*.py", "collections/quality/*.py"),
    *("models/few_shot_head.py", "fitting/few_shot.py"),
)
# Data sets whose names are the same in every language, and licences that are known by their letters.
_PROPER = {
    *("COVID-CT (UCSD-AI4H)", "COVID-19 Radiography Database", "PALM (iChallenge-PM)", "NIH ChestX-ray14"),
    *("HAM10000 (Tschandl 2018)", "Ultrasound Nerve Segmentation (2016)"),
}
_LETTERS_OF_LICENCES = re.compile(r"(CC0|CC BY(-NC)?(-SA)?( 4\.0)?|ODbL|unknown)?")
_WHOLE = re.compile(r"[A-Z][a-z]+ .* .*\.$")
_GAP = re.compile(r"\{.*?\}")
_WORD = re.compile(r"[^\W\d_]{4}")
_CORE = Path(mermed_core.__file__).parent


def english(models: list[Path], collections: list[Path]) -> dict[str, list[str]]:
    """Returns every English sentence by its table.

    Args:
        models: folders of models whose findings have names.
        collections: folders whose labels, sources and licences have names.

    Raises:
        MermedError: one of them cannot be read.
    """
    shipped = [each for each in shipped_languages().values() if each.tables]
    tables = {name: _needing_words(name, said, shipped) for name, said in of_modules().items()}
    names = dict.fromkeys(chain(_kept(shipped, NAMES), sorted(known_names(models, collections))))
    core = of_core()
    spoken = [each for each in _kept(shipped, CORE) if each in core]
    return {**tables, NAMES: list(names), CORE: list(dict.fromkeys([*spoken, *of_files()]))}


def of_modules() -> dict[str, list[str]]:
    """Returns what the modules of sentences say: those of the page, and those of reports."""
    modules = [*speaking_modules(f"{page_package()}.texts"), *speaking_modules(REPORTS)]
    named = {module.__name__.rpartition(".")[2]: module for module in modules}
    return {name: sentences(module, NOT_SENTENCES.get(name, frozenset())) for name, module in named.items()}


def of_core() -> set[str]:
    """Returns every string of the core, and of what the page is built with: some of them reach a visitor."""
    page = _CORE.parent / page_package()
    return set(chain.from_iterable(map(templates, [*_CORE.rglob("*.py"), *page.glob("*.py")])))


def of_files() -> list[str]:
    """Returns the whole sentences of the core that say what is wrong with files, cases and collections."""
    paths = chain.from_iterable(sorted(_CORE.glob(pattern)) for pattern in SPOKEN_OF_FILES)
    return [each for each in chain.from_iterable(map(templates, paths)) if _WHOLE.match(each)]


def known_names(models: list[Path], collections: list[Path]) -> set[str]:
    """Returns all names of modalities, of what models find, and in collections."""
    from mermed_core.collections.store import load_collection
    from mermed_core.modalities import MODALITIES
    from mermed_core.models.model_metrics import METRICS, ModelMetrics
    from mermed_core.reports.text import humanise

    named = {modality.name for modality in MODALITIES.values()}
    tasks = chain.from_iterable(ModelMetrics.load(model / METRICS).tasks.items() for model in models)
    for task, measured in tasks:
        named |= {measured.title or humanise(task), measured.caveat}
        named |= {humanise(measured.names.get(label, label)) for label in measured.classes}
    return {each for each in named.union(*map(_of_collection, map(load_collection, collections))) if each}


def _of_collection(collection: "Collection") -> set[str]:
    from mermed_core.reports.text import humanise

    labels = {
        str(label) for names in collection.records["labels"] for label in (() if names is None else names)
    }
    named = {humanise(collection.label_names.get(label, label)) for label in labels}
    named |= {collection.name, collection.description}
    sources = [collection.source(str(name)) for name in collection.values("source")]
    stated = {each.title for each in sources if each.title not in collection.values("source")}
    licences = {each.licence for each in sources if not _LETTERS_OF_LICENCES.fullmatch(each.licence)}
    return named | (stated - _PROPER) | licences


def _needing_words(table: str, said: list[str], shipped: list[Catalogue]) -> list[str]:
    """Leaves out signs and short names, unless a language has words for them, and what the core says too."""

    def needs(sentence: str) -> bool:
        if any(each.find(table, sentence) is not None for each in shipped):
            return True
        has_word = _WORD.search(_GAP.sub("", sentence)) is not None
        return has_word and all(each.recognise(sentence) == sentence for each in shipped)

    return [sentence for sentence in said if needs(sentence)]


def _kept(shipped: list[Catalogue], table: str) -> list[str]:
    return [sentence for each in shipped for sentence in each.tables.get(table, {})]
