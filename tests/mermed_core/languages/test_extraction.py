"""Which sentences a module says, and in which order."""

import sys
from pathlib import Path

import pytest

from mermed_core.languages.extraction import sentences, speaking_modules, templates

SOURCE = '''"""A module of sentences."""
from mermed_core.languages.say import speaks

say = speaks(__name__)

FIRST = "The first"
NAME = "file.csv"
ROWS = (("key", "A row", "Another"), (2, "A third"))
_HIDDEN: dict[str, str] = {"key": "A value"}


def said(count):
    """No sentence."""
    return say("{count} cases", count=count) + say(FIRST)


LISTED = ["The last", "The first", " "]
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "made_up_texts"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Begin with `say = speaks(__name__)`."""\n')
    (folder / "shelf_text.py").write_text(SOURCE)
    (folder / "silent.py").write_text('raise AssertionError("is imported")\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "made_up_texts"
    for name in [name for name in sys.modules if name.startswith("made_up_texts")]:
        del sys.modules[name]


def test_sentences_come_in_their_order_and_once(package):
    (module,) = speaking_modules(package)
    assert module.__name__ == "made_up_texts.shelf_text"
    assert sentences(module, frozenset({"NAME"})) == [
        *("The first", "A row", "Another", "A third", "A value", "{count} cases", "The last"),
    ]
    assert "file.csv" in sentences(module)


def test_strings_of_the_core_have_gaps_and_no_docstrings(tmp_path):
    path = tmp_path / "core.py"
    path.write_text(
        '"""Doc."""\n\ndef f(n):\n    """Doc too."""\n    return f"Has {n:,} of {len(n)}." + "Whole."\n'
    )
    assert templates(path) == ["Has {} of {}.", "Whole."]
