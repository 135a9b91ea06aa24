from types import SimpleNamespace

import gradio as gr
import pytest

from app.pages.explore import ExplorePage


@pytest.fixture(scope="module")
def page(services) -> ExplorePage:
    with gr.Blocks():
        return ExplorePage(services, gr.State(None))


def test_a_selection_on_the_map_becomes_ids_and_what_is_no_case_is_left_out(page, services):
    ids = services.predictor.collection.records["case_id"]
    event = SimpleNamespace(positions=[3, 1, 3, -1, 10_000])
    assert page.ids(event).splitlines() == [ids[1], ids[3]]


def test_a_selection_is_shown_with_heading_images_and_table(page, services):
    ids = list(services.predictor.collection.records["case_id"][:2])
    shown = page.show("\n".join(ids))
    assert "2 cases selected" in shown[page.heading]
    assert shown[page.grid].count("data-pick") == 2
    assert list(shown[page.table]["value"]["case"]) == ids
    assert shown[page.table]["visible"]
    assert shown[page.download]["visible"]


def test_a_case_that_does_not_exist_is_a_sentence(page):
    with pytest.raises(gr.Error, match="no case 'nobody'"):
        page.show("nobody")


def test_without_an_upload_the_map_has_no_star(page):
    assert page.draw("source", None)[page.map]["point"] is None
