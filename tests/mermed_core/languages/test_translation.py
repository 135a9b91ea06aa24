"""A translator's file is begun, and brought up to date without losing a word, a comment or its order."""

import tomllib

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from mermed_core.errors import SettingsError
from mermed_core.languages.catalogue import read_catalogue
from mermed_core.languages.translation import begun, update

HEAD = """\
# mine
name = "Français" # so
decimal = ","
thousands = " "
percent = " %"
nouns_are_capital = false

"""
FILE = f"""{HEAD}[sentences.text]
# how the page begins
"Yes" = "Oui" # short

# what it answers
"No" = 'Non\\u00a0'
"Old" = "Vieux"
# the end

[sentences.names]
"Heart" = "Cœur"
"Of my own" = "À moi"
"""
SAID = {"text": ["Yes", "Maybe", "No"], "names": ["Heart"]}


def sides(text: str) -> dict[str, dict[str, str]]:
    return tomllib.loads(text)["sentences"]


def test_a_file_that_has_all_stays_as_it_is():
    said = {"text": ["Yes", "No", "Old"], "names": ["Heart"]}
    assert update(FILE, said).text == FILE


def test_what_is_new_stands_where_it_is_said_and_is_marked():
    updated = update(FILE, SAID)
    assert updated.text == FILE.replace("\n\n# what", '\n# new\n"Maybe" = ""\n\n# what').replace(
        '"Old" = "Vieux"\n# the end\n', '# the end\n#~ "Old" = "Vieux"\n'
    )
    assert (updated.new, updated.gone, updated.unsaid, updated.sentences) == (["Maybe"], ["Old"], 1, 5)
    assert update(updated.text, SAID).text == updated.text


def test_the_mark_goes_once_there_are_words():
    text = update(FILE, SAID).text.replace('"Maybe" = ""', '"Maybe" = "Peut-être"')
    updated = update(text, SAID)
    assert "# new" not in updated.text
    assert sides(updated.text)["text"]["Maybe"] == "Peut-être"


def test_what_is_said_again_comes_back_with_its_words():
    gone = update(FILE, {"text": ["Yes", "No"]}).text
    updated = update(gone, {"text": ["Yes", "No", "Old"]})
    assert sides(updated.text)["text"]["Old"] == "Vieux"
    assert (updated.new, "#~" in updated.text) == ([], False)


def test_what_another_module_says_now_moves_there_with_its_words():
    updated = update(FILE, {"text": ["Yes", "No"], "case_text": ["Old"], "names": []})
    assert sides(updated.text) == {
        "text": {"Yes": "Oui", "No": "Non\\u00a0"},
        "names": {"Heart": "Cœur", "Of my own": "À moi"},
        "case_text": {"Old": "Vieux"},
    }
    assert (updated.new, updated.gone) == ([], [])


def test_the_same_sentence_is_asked_for_once():
    updated = update(FILE, {"text": ["Yes", "No", "Old", "Both"], "case_text": ["Yes", "Both"]})
    assert updated.new == ["Both"]
    assert sides(updated.text)["case_text"] == {}


def test_a_sentence_without_words_that_is_no_longer_said_goes():
    text = update(FILE, SAID).text
    assert "Maybe" not in update(text, {"text": ["Yes", "No"]}).text


def test_a_new_language_has_every_sentence_and_no_words(tmp_path):
    updated = update(begun("it", FILE), SAID, mark=False)
    assert sides(updated.text) == {
        "text": {"Yes": "", "Maybe": "", "No": ""},
        "names": {"Heart": "", "Of my own": ""},
    }
    assert "# how the page begins" in updated.text
    assert "short" not in updated.text
    assert "Vieux" not in updated.text
    (tmp_path / "it.toml").write_text(updated.text, encoding="utf-8")
    assert read_catalogue(tmp_path / "it.toml").name == "it"


def test_a_table_that_is_written_inline_is_named():
    with pytest.raises(SettingsError, match=r"write \[sentences.text\]"):
        update(f'{HEAD}[sentences]\ntext = {{ "Yes" = "Oui" }}\n', SAID)


WORDS = st.dictionaries(st.text(min_size=1), st.text(min_size=1).filter(str.strip), max_size=4)


@given(words=WORDS, said=st.lists(st.text(min_size=1), max_size=4), again=st.booleans())
def test_no_words_are_ever_lost(words, said, again):
    """Whatever they are: they stand in the file, or in a comment from which they come back."""
    text = update(HEAD, {"text": list(words)}, mark=False).text
    for english, own in words.items():
        (line,) = [line for line in text.split("\n") if line.endswith('= ""') and _left(line) == english]
        text = text.replace(f"\n{line}\n", f"\n{line[:-2]}{_quoted(own)}\n", 1)
    assert sides(text)["text"] == words
    other = update(text, {"text": said}).text
    other = update(other, {"text": said}).text if again else other
    back = sides(update(other, {"text": [*words, *said]}).text)["text"]
    assert {english: back[english] for english in words} == words


def _left(line: str) -> str:
    ((english, _),) = tomllib.loads(line).items()
    return english


def _quoted(own: str) -> str:
    return tomlkit.string(own).as_string()
