import shutil
import socket

import gradio as gr
import pytest

from app.services import begin_warm_up, load_services
from app.texts import text
from app.ui import build_app, serve
from app.uploads import FOLDER_VARIABLE
from mermed_core.collections.changes import remove_cases
from mermed_core.collections.folder import changing
from mermed_core.errors import ModelError, SearchServerError, SettingsError
from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.settings import Settings


def test_the_bundled_model_and_collection_are_the_default():
    services = load_services(Settings.from_environment({}))
    assert services.predictor.collection is not None
    assert services.missing_collection == ""


def test_all_pages_of_a_collection_share_its_checks():
    services = load_services(Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)}))
    collection = services.predictor.explored
    assert collection is not None
    assert services.checks_of(collection) is services.checks_of(collection)


def test_without_a_collection_the_page_still_classifies(tmp_path):
    services = load_services(Settings.from_environment({"MERMED_COLLECTION": str(tmp_path / "none")}))
    assert services.predictor.collection is None
    assert "There is no collection" in services.missing_collection


def test_a_damaged_collection_is_not_loaded_and_said(tmp_path):
    folder = tmp_path / "collection"
    shutil.copytree(BUNDLED_COLLECTION, folder)
    next(folder.glob("segment-*/vectors.npy")).write_bytes(b"damaged")
    services = load_services(Settings.from_environment({"MERMED_COLLECTION": str(folder)}))
    assert services.predictor.collection is None
    assert "damaged" in services.missing_collection


def test_a_page_tells_who_opens_it_that_its_collection_was_changed_since(tmp_path):
    folder = shutil.copytree(BUNDLED_COLLECTION, tmp_path / "collection")
    services = load_services(Settings.from_environment({"MERMED_COLLECTION": str(folder)}))
    blocks = build_app(services)
    (event,) = [each for each in blocks.fns.values() if each.name == "changes"]
    (said,), tells = event.outputs, event.fn
    assert isinstance(said, gr.HTML)
    assert tells is not None
    assert text.COLLECTION_CHANGED in said.value
    assert said.visible is tells()["visible"] is False
    collection = services.predictor.collection
    assert collection is not None
    remove_cases(folder, cases=[collection.records["case_id"].iloc[0]])
    assert tells()["visible"] is True
    again = load_services(Settings.from_environment({"MERMED_COLLECTION": str(folder)})).watched
    assert again is not None
    assert not again.changed
    shutil.rmtree(folder)
    assert again.changed


def test_the_first_visitor_finds_all_set_up(services, monkeypatch):
    predictor, explained = services.predictor, []
    monkeypatch.setattr(predictor, "explain", lambda *_, **asked: explained.append(asked["task"]))
    begin_warm_up(predictor).join()
    assert explained == [predictor.tasks[0].task]
    assert "closeness" in vars(predictor)


def test_what_fails_before_anybody_asks_is_a_sentence_in_the_log(services, monkeypatch, caplog):
    def refuse(*_):
        raise SearchServerError("The search server is away.")

    monkeypatch.setattr(services.predictor, "analyse", refuse)
    begin_warm_up(services.predictor).join()
    assert [record.message for record in caplog.records] == ["The search server is away."]


def test_the_host_says_where_pictures_are(tmp_path):
    examples = str(ASSETS / "examples")
    services = load_services(Settings.from_environment({"MERMED_PICTURES": examples}))
    assert services.predictor.collection is not None
    with pytest.raises(SettingsError, match="MERMED_PICTURES cannot be used: there is no file or folder"):
        load_services(Settings.from_environment({"MERMED_PICTURES": f"{examples}:{tmp_path / 'none'}"}))


def test_a_second_collection_may_be_of_another_model_but_must_be_there(tmp_path):
    folder = shutil.copytree(BUNDLED_COLLECTION, tmp_path / "collection")
    with changing(folder) as change:
        change.commit(change.stated.changed(fingerprint="another model"))
    services = load_services(Settings.from_environment({"MERMED_BESIDE": str(folder)}))
    assert services.beside is not None
    assert services.beside.fingerprint == "another model"
    with pytest.raises(SettingsError, match="MERMED_BESIDE cannot be used: There is no collection"):
        load_services(Settings.from_environment({"MERMED_BESIDE": str(tmp_path / "none")}))


def test_without_a_model_there_is_a_sentence(tmp_path):
    with pytest.raises(ModelError, match="model"):
        load_services(Settings.from_environment({"MERMED_MODEL": str(tmp_path)}))


@pytest.mark.parametrize("port", ["many", "0", "70000", "-1"])
def test_a_port_that_is_none_is_a_sentence(port, monkeypatch, capsys):
    monkeypatch.setenv("GRADIO_SERVER_PORT", port)
    monkeypatch.setenv(FOLDER_VARIABLE, "unused")
    assert serve() == 1
    assert f"GRADIO_SERVER_PORT is '{port}'" in capsys.readouterr().err


def test_a_port_that_is_taken_is_a_sentence(monkeypatch, capsys, services):
    monkeypatch.setenv(FOLDER_VARIABLE, "unused")
    monkeypatch.setattr("app.ui.load_services", lambda _: services)
    monkeypatch.setattr("app.ui.signal.signal", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("GRADIO_SERVER_PORT", str(taken.getsockname()[1]))
        assert serve() == 1
    assert "PORT=7861" in capsys.readouterr().err


def test_without_a_model_the_app_ends_with_a_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, "unused")
    monkeypatch.setenv("MERMED_MODEL", str(tmp_path))
    assert serve() == 1
    assert "error: There is no model" in capsys.readouterr().err
