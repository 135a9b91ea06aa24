"""A classifier of a visitor's own, as a program drives the page: label, make, ask, save, load, forget."""

import base64
import json
import zipfile
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from PIL import Image

from mermed_core.data.phantoms import FINDINGS, NORMAL, draw_phantom
from mermed_core.files import ASSETS


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> dict[str, list[Path]]:
    """Three drawn fundus images without and with exudates."""
    folder = tmp_path_factory.mktemp("pictures")
    found = {}
    for label, finding in (("healthy", NORMAL), ("exudates", FINDINGS["fundus"][0])):
        found[label] = [folder / f"{label}{seed}.png" for seed in range(3)]
        for seed, path in enumerate(found[label]):
            Image.fromarray(draw_phantom("fundus", finding, seed=seed, size=96).pixels).save(path)
    return found


@pytest.fixture
def client(address) -> Client:
    return Client(address, verbose=False)


def add(client: Client, label: str, paths: list[Path]) -> tuple:
    return client.predict(label, [handle_file(path) for path in paths], api_name="/own_files")


def test_a_few_images_become_a_classifier_that_can_be_kept_and_forgotten(client, pictures, tmp_path, uploads):
    for label, paths in pictures.items():
        notice, _, shelf, result, _, _ = add(client, label, paths)
        assert notice == ""
        assert f"Remove your image from {label}" in shelf
    assert [file for file in uploads.rglob("*") if file.is_file() and file.stat().st_size > 0] == []
    client.predict(handle_file(pictures["exudates"][0]), "", api_name="/classify")
    _, _, _, result, answer = client.predict(api_name="/own_learn")
    assert "of 6 right" in result
    assert "95% CI" in result
    assert "exudates" in answer
    assert "%" in answer
    saved = json.loads(client.predict(api_name="/own_save"))
    path = tmp_path / saved["name"]
    path.write_bytes(base64.b64decode(saved["data"]))
    assert "appear here" in client.predict(api_name="/own_forget")[2]
    assert client.predict(api_name="/own_save") == ""
    loaded = client.predict(handle_file(path), api_name="/own_load")
    assert "of 6 right" in loaded[3]
    assert "exudates" in loaded[4]


def test_cases_of_the_collection_can_be_labelled(client, services):
    ids = list(services.predictor.collection.records["case_id"])
    fundus = [each for each in ids if "fundus" in each][:4]
    skin = [each for each in ids if "dermatology" in each][:4]
    client.predict("a", fundus, api_name="/own_cases")
    shelf = client.predict("b", skin, api_name="/own_cases")[2]
    assert all(each in shelf for each in [*fundus, *skin])
    assert "8 of 8 right" in client.predict(api_name="/own_learn")[3]
    client.predict(handle_file(ASSETS / "examples" / "ct.png"), "", api_name="/classify")
    assert "No answer" in client.predict(api_name="/own_ask")[4]


def test_wrong_ids_are_named_and_stay_in_the_field_while_right_ones_are_added(client, services):
    right = list(services.predictor.collection.records["case_id"])[:2]
    mixed = ["nobody", *right, "none"]
    notice, *_, left = client.predict("", mixed, api_name="/own_cases")
    assert "Name the label first" in notice
    assert left == {"__type__": "update"}  # as it was
    notice, _, shelf, *_, left = client.predict("a", mixed, api_name="/own_cases")
    assert "no case nobody, none." in notice
    assert "2 images" in shelf
    assert left == ["nobody", "none"]


def test_every_image_of_an_archive_gets_the_label(client, pictures, tmp_path):
    with zipfile.ZipFile(tmp_path / "many.zip", "w") as archive:
        archive.writestr("broken.png", b"no image")
        for path in pictures["healthy"]:
            archive.write(path, path.name)
    notice, _, shelf, *_ = add(client, "healthy", [tmp_path / "many.zip"])
    assert "3 images" in shelf
    assert "One file is no image" in notice


def test_what_is_missing_gets_a_sentence(client, pictures, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    assert "Name the label first" in add(client, " ", pictures["healthy"])[0]
    assert "broken.png" in add(client, "a", [broken, *pictures["healthy"]])[0]
    assert "there already" in add(client, "a", pictures["healthy"][:1])[0]
    assert "at least two labels" in client.predict(api_name="/own_learn")[0]
    assert "No image is open" in client.predict("a", api_name="/own_image")[0]
    assert "no case" in client.predict("a", ["none"], api_name="/own_cases")[0]
    assert "not a classifier" in client.predict(handle_file(broken), api_name="/own_load")[0]
