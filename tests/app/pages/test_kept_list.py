"""What a browser remembers of kept collections: listed to it, opened, taken off the list, deleted."""

import shutil
from pathlib import Path
from typing import Any, cast

import gradio as gr
import pytest
from fastapi import FastAPI

from app import own_pages
from app.own_pages import OwnPages, token_of
from app.pages.kept_list import KeptList
from app.services import VISIT_SECONDS
from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_COLLECTION


@pytest.fixture
def pages(tmp_path, monkeypatch) -> OwnPages:
    monkeypatch.setattr(own_pages, "private_folder", lambda prefix: tmp_path / prefix)
    (tmp_path / "mermed-own-").mkdir()
    return OwnPages(VISIT_SECONDS, tmp_path / "kept")


@pytest.fixture
def kept(pages) -> KeptList:
    with gr.Blocks():
        return KeptList(pages)


def keep(pages: OwnPages) -> tuple[str, Path]:
    place = pages.place(pages.room())
    shutil.copytree(BUNDLED_COLLECTION, place.folder)
    address = pages.add(lambda made: cast(FastAPI, made), load_collection(place.folder), place)
    return address, place.folder


def test_a_browser_is_shown_what_it_remembers_and_another_one_nothing(kept, pages):
    one, other = keep(pages)[0], keep(pages)[0]
    assert kept.shown([]) == ""
    mine = kept.remember([], one)
    shown = kept.shown(mine)
    assert f'href="{one}"' in shown
    assert token_of(other) not in shown
    assert "420 images, 20" in shown
    assert kept.remember(mine, one) == mine
    assert kept.remember(mine, "") == mine
    assert kept.remember(mine, other) == [token_of(other), token_of(one)]


def test_only_what_the_browser_remembers_is_deleted_and_only_when_that_was_pressed(kept, pages):
    (one, first), (other, second) = keep(pages), keep(pages)
    mine: list[str] = [token_of(one)]
    assert kept.forget(mine, f"delete {token_of(other)}") == (mine, "")
    assert second.exists()
    assert kept.forget(mine, f"unlist {token_of(one)}") == ([], "")
    assert first.exists()
    assert kept.forget(mine, f"delete {token_of(one)}") == ([], one)
    assert not first.exists()
    assert kept.shown(mine) == ""


@pytest.mark.parametrize("said", [None, "text", {"a": 1}, [1, None, "", "x" * 65, ["y"]], ["z"] * 5000])
def test_whatever_a_browser_says_is_harmless(kept, said: Any):
    assert kept.shown(said) == ""
    assert len(kept.remember(said, "own/token/")) <= 50
