"""Sentences in the language that is spoken: constants, gaps, numbers, and what nobody has translated."""

import sys
import threading
from types import ModuleType

import numpy as np
import pytest

from mermed_core.languages import catalogue, say
from mermed_core.languages.catalogue import Catalogue
from mermed_core.languages.say import Say, in_readers_words, name_of, speaking, speaks, spoken

MADE_UP = Catalogue(
    "xx",
    "Made up",
    decimal=",",
    thousands=".",
    percent=" %",
    tables={
        "shelf": {
            "A title": "Ein Titel",
            "Move": "Verschieben",
            "{share:.0%} of {count:,} cases": "von {count:,} Fällen {share:.0%}",
        },
        "other": {"A title": "Ein anderer Titel", "Only there": "Nur dort"},
        "names": {"Chest X-ray": "Röntgen-Thorax"},
        "core": {
            "The file has {} MB; at most {} MB are read.": "Sie hat {} MB; höchstens {} MB werden gelesen.",
            "It looks like {}.": "Es sieht nach {} aus.",
            "Right in {} of cases.": "Richtig in {} der Fälle.",
            "Shown through a window{}.": "Gezeigt durch ein Fenster{}.",
            ", the first of several": ", das erste von mehreren",
        },
    },
)


@pytest.fixture(autouse=True)
def _made_up(monkeypatch: pytest.MonkeyPatch):
    found = {"en": Catalogue("en", "English"), "xx": MADE_UP}
    monkeypatch.setattr(say, "languages", lambda: found)


@pytest.fixture
def shelf():
    module = ModuleType("made.shelf")
    sys.modules["made.shelf"] = module
    vars(module)["say"] = speaks("made.shelf")
    yield module
    del sys.modules["made.shelf"]


def test_a_constant_is_read_in_the_language_that_is_spoken(shelf: ModuleType):
    vars(shelf)["TITLE"] = "A title"
    assert shelf.TITLE == "A title"
    with speaking("xx"):
        assert shelf.TITLE == "Ein Titel"
    assert shelf.TITLE == "A title"


def test_english_is_said_as_its_own_file_words_it(shelf: ModuleType, monkeypatch: pytest.MonkeyPatch):
    tables = {"shelf": {"A title": "A heading"}, "core": {"It looks like {}.": "This may be {}."}}
    monkeypatch.setattr(say, "languages", lambda: {"en": Catalogue("en", "English", tables=tables)})
    vars(shelf).update(TITLE="A title", PLAIN="Move")
    assert (shelf.TITLE, shelf.PLAIN) == ("A heading", "Move")
    assert Say("shelf")("A title") == "A heading"
    assert in_readers_words("It looks like CT.") == "This may be CT."


def test_keys_stay_as_they_are(shelf: ModuleType):
    vars(shelf).update(
        ROWS=(("Move", "Move", "A title"), (0, "Only there")),
        WORDS={"Move": "Move"},
        PLAIN=("Move", "A title"),
        LIMIT=7,
    )
    with speaking("xx"):
        assert shelf.ROWS == (("Move", "Verschieben", "Ein Titel"), (0, "Nur dort"))
        assert shelf.WORDS == {"Move": "Verschieben"}
        assert shelf.PLAIN == ("Verschieben", "Ein Titel")
        assert shelf.LIMIT == 7


def test_the_modules_own_table_comes_first():
    with speaking("xx"):
        assert Say("shelf")("A title") == "Ein Titel"
        assert Say("other")("A title") == "Ein anderer Titel"
        assert Say("elsewhere")("Only there") == "Nur dort"


def test_what_nobody_has_said_yet_stays_english():
    with speaking("xx"):
        assert Say("shelf")("Quite new") == "Quite new"
        assert Say("shelf")("{count:,} new", count=1234) == "1.234 new"
        assert in_readers_words("A disk is full.") == "A disk is full."
        assert name_of("Femur") == "Femur"


def test_numbers_are_written_as_the_language_writes_them():
    said = Say("shelf")
    values = {"share": 0.456, "count": 12345}
    assert said("{share:.0%} of {count:,} cases", **values) == "46% of 12,345 cases"
    assert said("{a:.2f} {b}", a=0.5, b="0.5") == "0.50 0.5"
    with speaking("xx"):
        assert said("{share:.0%} of {count:,} cases", **values) == "von 12.345 Fällen 46 %"
        assert said("{a:.2f} {b} {c}", a=np.float32(0.5), b="0.5", c=True) == "0,50 0.5 True"


def test_braces_in_a_value_and_in_a_sentence_without_values_are_left_alone():
    assert Say("shelf")("{name} here", name="{count}") == "{count} here"
    assert Say("shelf")("{} of {}") == "{} of {}"


def test_sentences_of_the_core_are_recognised_with_what_fills_them():
    assert in_readers_words("It looks like chest X-ray.") == "It looks like chest X-ray."
    with speaking("xx"):
        assert in_readers_words("The file has 12.5 MB; at most 1,000 MB are read.") == (
            "Sie hat 12,5 MB; höchstens 1.000 MB werden gelesen."
        )
        assert in_readers_words("It looks like chest X-ray.") == "Es sieht nach Röntgen-Thorax aus."
        assert in_readers_words("Shown through a window.") == "Gezeigt durch ein Fenster."
        assert in_readers_words("Shown through a window, the first of several.") == (
            "Gezeigt durch ein Fenster, das erste von mehreren."
        )


def test_sentences_in_a_row_are_recognised_one_by_one():
    with speaking("xx"):
        assert in_readers_words("It looks like Chest X-ray. Shown through a window. Something new.") == (
            "Es sieht nach Röntgen-Thorax aus. Gezeigt durch ein Fenster. Something new."
        )


def test_the_language_ends_with_its_context_and_belongs_to_it_alone():
    heard = []
    with pytest.raises(ValueError, match="stop"), speaking("xx"):
        thread = threading.Thread(target=lambda: heard.append(spoken().code))
        thread.start()
        thread.join()
        heard.append(spoken().code)
        raise ValueError("stop")
    assert heard == ["en", "xx"]
    assert spoken().code == "en"


def test_names_of_modules_are_the_names_of_tables(shelf: ModuleType):
    assert shelf.say.table == "shelf"
    assert set(catalogue.languages()["de"].tables) >= {"text", "wording", "names", "core"}
