"""`mermed serve` hands its options to the page as settings."""

import gc
import sys
from types import SimpleNamespace

import pytest

from mermed_core.cli import main, serve
from mermed_core.settings import Settings


@pytest.fixture
def served(monkeypatch):
    """Stands in for the page; collects the settings that it would start with."""
    starts: list[Settings] = []

    def serve(_: str) -> int:
        starts.append(Settings.from_environment())
        return 0

    for variable in (
        "GRADIO_SERVER_NAME",
        "GRADIO_SERVER_PORT",
        "MERMED_MODEL",
        "MERMED_COLLECTION",
        "MERMED_LANGUAGE",
        "MERMED_LANGUAGES",
    ):
        monkeypatch.setenv(variable, "")  # so that what the command sets is undone
    monkeypatch.setitem(sys.modules, "app.ui", SimpleNamespace(serve=serve))
    return starts


def test_without_options_the_environment_decides(served, monkeypatch):
    monkeypatch.setenv("GRADIO_SERVER_PORT", "8001")
    assert main(["serve"]) == 0
    assert [(start.host, start.port) for start in served] == [("127.0.0.1", 8001)]


def test_options_win_over_the_environment(served, monkeypatch, tmp_path):
    monkeypatch.setenv("GRADIO_SERVER_PORT", "8001")
    options = ["--host", "0.0.0.0", "--port", "8002", "--model", str(tmp_path), "--collection", "mine"]
    assert main(["serve", *options]) == 0
    (start,) = served
    assert (start.host, start.port) == ("0.0.0.0", 8002)
    assert (start.model, str(start.collection)) == (tmp_path, "mine")


def test_the_page_speaks_the_language_that_is_asked_for(served, error_of):
    assert main(["serve", "--language", "de"]) == 0
    assert [start.language for start in served] == ["de"]
    code, sentence = error_of("serve", "--language", "tlh")
    assert code == 2
    assert "MERMED_LANGUAGE is 'tlh'; choose one of en, de" in sentence


def test_a_folder_of_languages_is_handed_on(served, tmp_path, error_of):
    assert main(["serve", "--languages", str(tmp_path), "--language", "de"]) == 0
    assert [(start.languages, start.language) for start in served] == [(tmp_path, "de")]
    (tmp_path / "fr.toml").write_text("name =", encoding="utf-8")
    code, sentence = error_of("serve", "--languages", tmp_path / ".." / tmp_path.name)
    assert code == 2
    assert "fr.toml' cannot be read" in sentence


def test_the_collector_rests_while_the_page_is_imported_and_no_longer(monkeypatch):
    resting = []
    monkeypatch.setattr(serve.importlib, "import_module", lambda _: resting.append(not gc.isenabled()))
    serve.page()
    assert resting == [True]
    assert gc.isenabled()


def test_a_port_that_cannot_be_is_refused(served, error_of):
    code, sentence = error_of("serve", "--port", "http")
    assert code == 2
    assert "GRADIO_SERVER_PORT is 'http'" in sentence


def test_installed_the_page_is_found_under_its_other_name(served, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "mermed_app.ui", SimpleNamespace(serve=lambda _: 7))
    monkeypatch.setitem(sys.modules, "mermed_app", SimpleNamespace())
    monkeypatch.setattr("mermed_core.__file__", str(tmp_path / "mermed_core" / "__init__.py"))
    assert main(["serve"]) == 7
    assert served == []
