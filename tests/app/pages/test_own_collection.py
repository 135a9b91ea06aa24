"""Images of a visitor's own: unpacked, embedded a few at a time, stopped and taken up again, and explored."""

import html
import io
import re
import shutil
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import httpx2
import numpy as np
import pytest
from fastapi import FastAPI
from gradio_client import Client, handle_file
from PIL import Image

from app.own_pages import OwnPages
from app.pages.answer import Shown
from app.pages.own_collection import OwnCollectionPage, Work
from app.selection_files import manifest_file
from app.services import VISIT_SECONDS, Bringing
from app.texts import own_collection_text
from app.texts.case_text import cases_in
from app.ui import build_app, launch_options
from mermed_core.collections import store
from mermed_core.collections.collection import Collection
from mermed_core.collections.store import build_collection, load_collection
from mermed_core.collections.told import ToldCounts, told_by_model
from mermed_core.data.sources.opener import open_manifest
from mermed_core.inference import own_collection
from mermed_core.models.embedder import Embedder
from mermed_core.settings import Settings

IMAGES = 40


@pytest.fixture(autouse=True, scope="module")
def _quick_map() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "compute_map", lambda vectors, _: vectors[:, :2].copy())
        yield


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def archive(tmp_path) -> Path:
    path = tmp_path / "Doe Jane.zip"
    with zipfile.ZipFile(path, "w") as file:
        for number in range(IMAGES):
            file.writestr(f"ct/{'mass' if number % 2 else 'normal'}/{number:02d}.png", png(number))
        file.writestr("ct/mass/broken.png", b"no image")
        file.writestr("notes.txt", b"notes")
    return path


@pytest.fixture
def allowed(tmp_path) -> Path:
    folder = tmp_path / "allowed"
    (folder / "scans").mkdir(parents=True)
    for number in range(3):
        (folder / "scans" / f"{number}.png").write_bytes(png(number))
    return folder


@pytest.fixture
def pages() -> OwnPages:
    return OwnPages(VISIT_SECONDS)


@pytest.fixture
def page(services, pages, allowed) -> OwnCollectionPage:
    with gr.Blocks():
        # A test looks at the collection itself.
        return OwnCollectionPage(services.predictor, pages, lambda made: cast(FastAPI, made), (allowed,))


def unpacked(page: OwnCollectionPage, archive: Path) -> Work:
    return page.unpack(None, str(archive))[page._work]


def collection_of(pages: OwnPages) -> tuple[Collection, Path]:
    """Returns the one collection that was made, and where it lies."""
    (only,) = pages._pages.values()
    return only.collection, only.folder


def test_an_archive_becomes_the_collection_that_the_command_makes(page, pages, services, archive, tmp_path):
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "images")
    shown = page.unpack(None, str(archive))
    assert "42 files in Doe Jane." in shown[page.progress]
    work = shown[page._work]
    said = [step[page.progress] for step in page.run(work, "", "")]
    assert any(re.search(r"16 of 41 images, .* a second, about \d+ s left", each) for each in said)
    made, kept = collection_of(pages)
    assert len(made) == IMAGES
    assert made.name == "Doe Jane"
    assert "Doe" not in " ".join(made.records["case_id"])
    assert load_collection(kept).name == "Doe Jane"
    assert not work.images.folder.exists()  # the images themselves are gone
    predictor = services.predictor
    manifest = open_manifest(tmp_path / "images")
    options = {"space": predictor.parts.space, "name": "", "text": "", "synthetic": False}
    expected = build_collection(tmp_path / "expected", predictor.embedder, manifest, **options)
    assert made.records["case_id"].tolist() == expected.records["case_id"].tolist()
    assert made.records["labels"].tolist() == expected.records["labels"].tolist()
    np.testing.assert_allclose(made.vectors[:], expected.vectors[:], atol=0.01)
    assert made.thumbnail_at(3) == expected.thumbnail_at(3)
    assert made.fingerprint == expected.fingerprint


@pytest.fixture
def unstated(tmp_path) -> Path:
    path, inner = tmp_path / "mixed.zip", io.BytesIO()
    with zipfile.ZipFile(path, "w") as file, zipfile.ZipFile(inner, "w") as within:
        for number in range(3):
            within.writestr(f"ct/{number}.png", png(number))
            file.writestr(f"{number}.png", png(number + 3))
        within.close()
        file.writestr("inner.zip", inner.getvalue())
        file.writestr("notes.txt", b"notes")
    return path


def test_the_model_tells_the_modality_that_nothing_states_and_the_card_says_so(page, pages, unstated):
    *_, last = page.run(unpacked(page, unstated), "", "")
    made = collection_of(pages)[0]
    counts = ToldCounts.of(made.cases)
    assert (len(made), counts.told) == (6, 3)
    said = html.unescape(last[page.result])
    assert "Nothing states the modality of 3 of them, so it is the model's own answer; it takes" in said
    assert f"takes {counts.unknown} of these for none of the seven kinds" in said
    assert "nothing states the modality of 3 of them" in cases_in(made)
    beside = made.records.loc[told_by_model(made.cases)].iloc[0]
    files = made.records.assign(file="1.png")
    table = manifest_file(cast(Any, SimpleNamespace(records=files)), np.arange(6)).content.decode()
    (row,) = (line for line in table.splitlines() if beside["case_id"] in line)
    assert beside["modality"] not in row.split(",")


def test_an_archive_that_is_called_like_a_modality_is_of_it(page, pages, tmp_path):
    with zipfile.ZipFile(tmp_path / "Fundus.zip", "w") as file:
        for number in range(3):
            file.writestr(f"mine/{number}.png", png(number))
    list(page.run(unpacked(page, tmp_path / "Fundus.zip"), "", ""))
    made = collection_of(pages)[0]
    assert made.records["modality"].tolist() == ["fundus"] * 3
    assert not told_by_model(made.cases).any()


def test_pictures_whose_modality_nothing_tells_are_not_called_something_else(page, unstated, monkeypatch):
    monkeypatch.setattr(Embedder, "preprocessing_is_shared", False)
    *_, last = page.run(unpacked(page, unstated), "", "")
    assert (
        "3 images are on the map. 3 were left out, as nothing states their modality: choose it to take them "
        "in. 1 files are no images of a modality that the model knows."
    ) in last[page.result]


def test_the_card_says_what_was_made_and_leads_to_the_page(page, pages, archive):
    *_, last = page.run(unpacked(page, archive), "", "")
    card = last[page.result]
    assert "40 images are on the map. 1 could not be read. 1 files are no images of a modality" in card
    (address,) = re.findall(r'href="(own/[^"]+/)"', card)
    assert address == last[page._work].address
    assert last[page.forget]["visible"] is True
    *_, again = page.run(last[page._work], "", "")  # there is nothing new to explore
    assert own_collection_text.NOTHING_NAMED in again[page.notice]
    assert again[page.result] == card
    made = collection_of(pages)[0]
    gone = page.forgets(last[page._work])
    assert vars(made) == {}  # nothing of it stays in memory, whoever holds it
    assert own_collection_text.FORGOTTEN in gone[page.result]
    assert pages._pages == {}


def test_stopped_it_keeps_what_is_embedded_and_goes_on(page, pages, archive, services, monkeypatch):
    embedded = []
    embed = services.predictor.embedder.embed_tensors
    monkeypatch.setattr(
        services.predictor.embedder,
        "embed_tensors",
        lambda images, **options: (embedded.append(len(images)), embed(images, **options))[1],
    )
    work = unpacked(page, archive)
    running = page.run(work, "", "")
    next(running)
    next(running)
    running.close()
    stopped = page.stopped(work)
    assert "Stopped. 16 of 41 images." in stopped[page.progress]
    assert stopped[page.go_on]["visible"] is True
    assert stopped[page.part]["visible"] is True
    list(page.resume(work))
    assert len(collection_of(pages)[0]) == IMAGES
    assert sum(embedded) == IMAGES  # none of them twice


def test_the_last_that_a_stopped_embedding_shows_is_that_it_was_stopped(page, pages, archive):
    """Its progress may reach the page after the answer to the press, and would hide the way to go on."""
    work = unpacked(page, archive)
    running = page.run(work, "", "")
    next(running)
    next(running)
    page.stopped(work)
    *_, last = running
    assert "Stopped. 16 of 41 images." in last[page.progress]
    assert last[page.go_on]["visible"] is last[page.part]["visible"] is True
    assert last[page.stop]["visible"] is False
    list(page.resume(work))
    assert len(collection_of(pages)[0]) == IMAGES


def test_a_stop_while_the_images_are_listed_embeds_none(page, archive):
    work = unpacked(page, archive)
    running = page.run(work, "", "")
    next(running)
    page.stopped(work)
    *_, last = running
    assert "Stopped. 0 of 41 images." in last[page.progress]
    assert last[page.go_on]["visible"] is True


@pytest.mark.parametrize("how", ["forgotten", "another archive"])
def test_images_that_are_not_wanted_any_more_are_not_shown_again(page, archive, tmp_path, how):
    another = shutil.copy(archive, tmp_path / "another.zip")
    work = unpacked(page, archive)
    folder = work.images.folder
    running = page.run(work, "", "")
    next(running)
    next(running)
    shown: list[Shown] = []
    finishing = Thread(target=lambda: shown.extend(running))
    leaving = Thread(target=lambda: page.forgets(work) if how == "forgotten" else page.unpack(work, another))
    leaving.start()
    while not work.unwanted:
        time.sleep(0.01)
    finishing.start()
    for thread in (leaving, finishing):
        thread.join()
    assert shown[-1][page._work] is None
    assert len(shown) == 1  # not one image was embedded after that
    assert not folder.exists()


def test_what_is_embedded_can_be_explored_without_the_rest(page, pages, archive):
    work = unpacked(page, archive)
    running = page.run(work, "", "")
    next(running)
    next(running)
    running.close()
    *_, last = page.take_part(work)
    assert "16 images are on the map" in last[page.result] or "15 images" in last[page.result]
    assert work.gathering is not None
    assert len(collection_of(pages)[0]) == work.gathering.embedded


def test_a_folder_that_the_host_opens_is_left_as_it_is(page, pages, allowed):
    *_, last = page.run(None, "scans", "ct")
    assert "3 images are on the map" in last[page.result]
    assert len(list((allowed / "scans").iterdir())) == 3
    assert set(collection_of(pages)[0].records["modality"]) == {"ct"}


def test_what_cannot_be_used_is_a_sentence(page, archive, allowed, tmp_path, monkeypatch):
    def problem(*given):
        *_, last = page.run(*given)
        return last[page.notice]

    assert own_collection_text.NOTHING_NAMED in problem(None, "", "")
    assert "none that this server opens" in problem(None, "/etc", "ct")
    with monkeypatch.context() as patch:
        patch.setattr(Embedder, "preprocessing_is_shared", False)  # so that it cannot tell the modality
        assert own_collection_text.NO_MODALITY in problem(None, "scans", "")
    (tmp_path / "picture.zip").write_bytes(png(0))
    refused = page.unpack(None, str(tmp_path / "picture.zip"))
    assert own_collection_text.NO_ARCHIVE in refused[page.notice]
    (allowed / "broken").mkdir()
    (allowed / "broken" / "1.png").write_bytes(b"no image")
    assert "Not one of the images could be read" in problem(None, "broken", "ct")
    assert not list(page._pages.room().parent.glob("*/collection"))
    monkeypatch.setattr(own_collection, "MOST_IMAGES", 10)
    assert "41 images, and a collection that is made on the page" in problem(unpacked(page, archive), "", "")


def test_a_visit_that_is_over_leaves_nothing_unpacked(page, archive):
    work = unpacked(page, archive)
    room = work.images.room
    assert room is not None
    assert room.is_dir()
    page._work.delete_callback(work)
    assert not room.exists()


@pytest.fixture(scope="module")
def own_address(services, uploads, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """A served page that takes images, and where a folder of the server lies."""
    folder = tmp_path_factory.mktemp("allowed")
    for number in range(5):
        (folder / f"{number}.png").write_bytes(png(number))
    blocks = build_app(replace(services, bringing=Bringing((folder,), OwnPages(VISIT_SECONDS))))
    options = launch_options(Settings()) | {"server_port": None, "prevent_thread_lock": True}
    yield blocks.launch(**options)[1].rstrip("/"), folder
    blocks.close()


def test_the_new_page_explores_the_visitors_images_and_nobody_elses(own_address, uploads, archive):
    address, _ = own_address
    client = Client(address, verbose=False)
    client.predict(handle_file(archive), api_name="/own_unpack")
    assert [file for file in uploads.rglob("*") if file.is_file() and file.stat().st_size > 0] == []
    shown = client.predict("", "", api_name="/own_explore")
    (own,) = re.findall(r'href="(own/[^"]+/)"', str(shown))
    with httpx2.Client(base_url=f"{address}/{own}") as visitor:
        start = visitor.get("")
        assert start.status_code == 200
        assert "Doe Jane" in start.text
        assert "40 known cases" in start.text
        assert own_collection_text.OWN_PAGE in start.text
        assert "images-archive" not in start.text  # the page that takes images is the one they came from
        rows = visitor.post("explore-data/records", json={"points": [0, 1, 2]})
        assert rows.status_code == 200
        assert len(rows.json()) >= 1
        assert visitor.get("config").json()["root"] == f"{address}/{own}".rstrip("/")
    assert len(Client(f"{address}/{own}", verbose=False).predict("", api_name="/selection")) >= 0
    assert httpx2.get(f"{address}/own/guess/").status_code == 404
    with httpx2.Client(base_url=address) as host:  # the host's own collection is what it was
        assert "Doe Jane" not in host.get("/").text


def test_off_unless_the_host_says_so(address):
    assert "images-archive" not in httpx2.get(address).text
    assert httpx2.get(f"{address}/own/guess/").status_code == 404


def test_no_part_of_the_page_has_the_name_of_another(own_address):
    address, _ = own_address
    parts = httpx2.get(f"{address}/config").json()["components"]
    names = [part["props"]["elem_id"] for part in parts if part["props"].get("elem_id")]
    assert sorted(names) == sorted(set(names))
    assert {"images-archive", "own-load", "batch-files"} <= set(names)
