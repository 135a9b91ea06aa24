"""The file of a language: what is in it, and what is wrong with it."""

import time
from pathlib import Path

import pytest

from mermed_core.errors import SettingsError
from mermed_core.languages.catalogue import (
    Catalogue,
    add_languages,
    languages,
    languages_with,
    read_catalogue,
)

HEAD = 'name = "Klingon"\ndecimal = ","\nthousands = "."\npercent = "%"\nnouns_are_capital = false\n'


def write(folder: Path, content: str) -> Path:
    path = folder / "tlh.toml"
    path.write_text(content, encoding="utf-8")
    return path


def test_english_comes_first_and_german_is_there():
    assert next(iter(languages())) == "en"
    german = languages()["de"]
    assert (german.code, german.name, german.decimal) == ("de", "Deutsch", ",")
    assert german.nouns_are_capital


def test_a_file_is_a_language(tmp_path):
    said = read_catalogue(write(tmp_path, f'{HEAD}[sentences.text]\n"Yes, {{a}}" = "HIja\', {{a}}"\n'))
    assert (said.code, said.name) == ("tlh", "Klingon")
    assert said.find("text", "Yes, {a}") == "HIja', {a}"
    assert said.find("text", "No") is None


def test_gaps_may_change_places(tmp_path):
    core, text = '"{} of {}" = "{1}: {0}"', '"{a} {b}" = "{b} {a}"'
    content = f"{HEAD}[sentences.core]\n{core}\n[sentences.text]\n{text}\n"
    assert read_catalogue(write(tmp_path, content)).recognise("3 of 4") == "4: 3"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("name =", "cannot be read"),
        ('name = "Klingon"\n', "cannot be read"),
        (f'{HEAD}extra = 1\n[sentences.text]\n"Yes" = "HIja"\n', "cannot be read"),
        (f'{HEAD}[sentences.text]\n"Yes" = "HIja\', {{name}}"\n', "fills a gap that is not there"),
        (f'{HEAD}[sentences.core]\n"{{}} MB" = "{{}} {{}} MB"\n', "fills a gap that is not there"),
        (f'{HEAD}[sentences.core]\n"{{}} MB" = "{{1}} MB"\n', "fills a gap that is not there"),
        (f'{HEAD}[sentences.text]\n"{{a}} MB" = "{{a}} {{ MB"\n', "fills a gap that is not there"),
        (f'{HEAD}[sentences.text]\n"{{a}} MB" = "{{a:.0f}} MB"\n', "fills a gap that is not there"),
        (f'{HEAD}[sentences.text]\n"{{a:.1%}}" = "{{a:.1q}}"\n', "fills a gap that is not there"),
        (f'{HEAD}[sentences.text]\n"{{a:.1%}}" = "{{a:{{b}}}}"\n', "fills a gap that is not there"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, problem):
    with pytest.raises(SettingsError, match=problem) as raised:
        read_catalogue(write(tmp_path, content))
    assert "tlh.toml" in str(raised.value)


def test_a_number_may_be_written_otherwise_than_in_english(tmp_path):
    sides = '"{a:.1%}" = "{a:.0%}"\n"{b:,}" = "{b}"\n'
    assert read_catalogue(write(tmp_path, f"{HEAD}[sentences.text]\n{sides}")).find("text", "{b:,}") == "{b}"


def test_a_sentence_without_words_is_english(tmp_path):
    sides = '"Yes" = ""\n"No" = " "\n"Never" = "not"\n'
    said = read_catalogue(write(tmp_path, f"{HEAD}[sentences.text]\n{sides}[sentences.core]\n{sides}"))
    assert (said.find("text", "Yes"), said.find("text", "No"), said.find("text", "Never")) == (
        None,
        None,
        "not",
    )
    assert said.recognise("Yes") == "Yes"


def test_a_folder_adds_languages_and_its_files_win(tmp_path):
    write(tmp_path, f'{HEAD}[sentences.text]\n"Yes" = "HIja\'"\n')
    for code, yes in (("de", "Jo"), ("en", "Aye")):
        own = f'{HEAD}[sentences.text]\n"Yes" = "{yes}"\n'
        (tmp_path / f"{code}.toml").write_text(own, encoding="utf-8")
    shipped = languages()
    add_languages(tmp_path)
    try:
        assert list(languages()) == ["en", "de", "tlh"]
        assert languages()["de"].find("text", "Yes") == "Jo"
        assert languages()["en"].find("text", "Yes") == "Aye"
    finally:
        add_languages(None)
    assert languages() == shipped


@pytest.mark.parametrize("name", ["eng_lish", "pyproject", "Fr", "de de"])
def test_a_file_that_is_not_called_after_a_language_is_named(tmp_path, name):
    (tmp_path / f"{name}.toml").write_text(f"{HEAD}[sentences]\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="cannot be read"):
        languages_with(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"There is no folder .*nowhere"):
        add_languages(tmp_path / "nowhere")


def test_what_is_far_too_long_is_not_looked_up():
    core = {"{} {} cases lie {} times as far ({})": "{} {} {} {}", "{} {} {}.": "{} {} {}."}
    catalogue = Catalogue("xx", "Made up", tables={"core": core})
    began = time.perf_counter()
    assert catalogue.recognise(" " * 10**6) == " " * 10**6
    assert time.perf_counter() - began < 1


def test_numbers_and_spans_within_a_sentence_are_the_languages():
    core = {"Right in {} of cases.": "Richtig in {} der Fälle."}
    shared = {"wording": {"{low} to {high}": "{low} bis {high}"}, "core": core}
    catalogue = Catalogue("xx", "Made up", ",", ".", " %", tables=shared)
    assert catalogue.recognise("Right in 1,234.5% of cases.") == "Richtig in 1.234,5 % der Fälle."
    assert catalogue.recognise("Right in 49% to 63% of cases.") == "Richtig in 49 % bis 63 % der Fälle."
    assert catalogue.recognise("Right in most to all of cases.") == "Richtig in most to all der Fälle."
