from types import SimpleNamespace

import gradio as gr
import pytest

from app.pages.explore import ExplorePage


@pytest.fixture(scope="module")
def page(services) -> ExplorePage:
    with gr.Blocks():
        return ExplorePage(services, gr.State(None))


def event(**parts: object) -> SimpleNamespace:
    return SimpleNamespace(**{"points": [], "bits": "", "all": False, **parts})


def test_a_selection_on_the_map_becomes_ids_and_what_is_no_case_is_left_out(page, services):
    ids = services.predictor.collection.records["case_id"]
    order = page.columns.order
    chosen = page.ids(event(points=[3, 1, 3, -1, 10_000]))
    assert chosen.splitlines() == list(ids.iloc[sorted(order[[1, 3]])])


def test_where_the_map_cannot_be_drawn_all_cases_are_in_the_table(page, services):
    shown = page.show(page.ids(event(all=True)))
    assert "420 cases selected" in shown[page.heading]
    assert len(shown[page.table]["value"]) == 420


def test_bits_that_do_not_fit_are_a_sentence(page):
    with pytest.raises(gr.Error, match="another collection"):
        page.ids(event(bits="AA=="))


def test_nothing_selected_says_what_to_do(page):
    shown = page.show("")
    assert "lasso" in shown[page.heading]
    assert shown[page.grid] == ""
    assert not shown[page.table]["visible"]
    assert not shown[page.download]["visible"]


def test_a_long_selection_is_listed_in_part_and_says_so(page, services, monkeypatch):
    monkeypatch.setattr("app.pages.explore._LISTED", 5)
    ids = "\n".join(services.predictor.collection.records["case_id"][:9])
    shown = page.show(ids)
    assert len(shown[page.table]["value"]) == 5
    assert "first 5 of the 9" in shown[page.grid]
    assert len(page.export(ids)[page._csv].splitlines()) == 10


@pytest.mark.parametrize(("number", "colour"), [(1, "label"), (77, None), (-1, None), ("1", None)])
def test_an_address_colours_the_map_by_a_column_that_there_is(page, number, colour):
    shown = page.restore(SimpleNamespace(column=number))
    assert shown.get(page.colour) == colour
    assert bool(shown) == bool(colour)


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
