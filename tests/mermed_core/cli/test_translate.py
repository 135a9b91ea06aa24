"""`mermed translate` writes every English sentence into one file, and keeps that file up to date."""

import tomllib

import pytest

from mermed_core.cli import main
from mermed_core.languages.catalogue import PATTERN, languages_with, read_catalogue, shipped_file


@pytest.fixture(autouse=True)
def _shipped_alone(monkeypatch):
    monkeypatch.setenv("MERMED_LANGUAGES", "")


def test_the_shipped_german_has_every_sentence_and_nothing_more(tmp_path, capsys):
    """What is new, no longer said or moved would change a byte of it."""
    assert main(["translate", "de", "--folder", str(tmp_path)]) == 0
    assert (tmp_path / "de.toml").read_bytes() == PATTERN.read_bytes()
    assert "0 of them without words yet" in capsys.readouterr().out


def test_the_shipped_english_has_every_sentence_and_nothing_more(tmp_path, capsys):
    assert main(["translate", "en", "--folder", str(tmp_path)]) == 0
    written, shipped = tmp_path / "en.toml", shipped_file("en")
    assert shipped is not None
    assert written.read_bytes() == shipped.read_bytes()
    sides = [tomllib.loads(path.read_text(encoding="utf-8"))["sentences"] for path in (shipped, PATTERN)]
    english, german = ({name: set(table) for name, table in each.items()} for each in sides)
    assert english == german
    assert "0 of them with words of their own" in capsys.readouterr().out


def test_words_of_english_are_kept_and_what_is_new_has_no_mark(tmp_path, capsys):
    assert main(["translate", "en", "--folder", str(tmp_path)]) == 0
    path = tmp_path / "en.toml"
    text = path.read_text(encoding="utf-8").replace('"Explore" = ""', '"Explore" = "Walk the map"', 1)
    path.write_text(text.replace('"About" = ""\n', "", 1), encoding="utf-8")
    capsys.readouterr()
    assert main(["translate", "en", "--folder", str(tmp_path)]) == 0
    assert "1 of them with words of their own" in capsys.readouterr().out
    assert path.read_text(encoding="utf-8") == text
    assert languages_with(tmp_path)["en"].find("text", "Explore") == "Walk the map"


def test_a_language_is_begun_served_and_continued(tmp_path, capsys):
    assert main(["translate", "fr", "--folder", str(tmp_path)]) == 0
    path = tmp_path / "fr.toml"
    begun = path.read_text(encoding="utf-8")
    german = tomllib.loads(PATTERN.read_text(encoding="utf-8"))["sentences"]
    sides = tomllib.loads(begun)["sentences"]
    assert {name: set(table) for name, table in sides.items()} == {
        name: set(table) for name, table in german.items()
    }
    assert {said for table in sides.values() for said in table.values()} == {""}
    assert "\n# new\n" not in begun
    path.write_text(
        begun.replace('"Explore" = ""', '"Explore" = "Explorer"', 1).replace('"About" = ""\n', "", 1),
        encoding="utf-8",
    )
    capsys.readouterr()
    assert main(["translate", "fr", "--folder", str(tmp_path)]) == 0
    assert "1 are new (# new), 0 are no longer said (#~)" in capsys.readouterr().out
    assert '\n# new\n"About" = ""\n' in path.read_text(encoding="utf-8")
    said = languages_with(tmp_path)["fr"]
    assert (said.find("text", "Explore"), said.find("text", "About")) == ("Explorer", None)


def test_it_is_written_where_the_page_reads_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MERMED_LANGUAGES", str(tmp_path))
    assert main(["translate", "pt-BR"]) == 0
    assert read_catalogue(tmp_path / "pt-BR.toml").code == "pt-BR"


@pytest.mark.parametrize("code", ["English", "French", "../fr", ""])
def test_what_is_no_code_is_refused(tmp_path, error_of, code):
    ended, sentence = error_of("translate", code, "--folder", tmp_path)
    assert ended == 2
    assert "code of a language" in sentence
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_read_is_left_alone(tmp_path, error_of):
    path = tmp_path / "fr.toml"
    path.write_text('name = "Français"\n"mine', encoding="utf-8")
    ended, sentence = error_of("translate", "fr", "--folder", tmp_path)
    assert ended == 2
    assert "fr.toml' cannot be read" in sentence
    assert path.read_text(encoding="utf-8") == 'name = "Français"\n"mine'
    assert list(tmp_path.iterdir()) == [path]
