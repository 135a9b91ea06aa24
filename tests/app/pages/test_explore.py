from types import SimpleNamespace

import gradio as gr
import pytest

from app.pages.explore import ExplorePage


@pytest.fixture(scope="module")
def page(services) -> ExplorePage:
    with gr.Blocks():
        return ExplorePage(services, gr.State(None))


@pytest.mark.parametrize(("number", "colour"), [(1, "label"), (77, None), (-1, None), ("1", None)])
def test_an_address_colours_the_map_by_a_column_that_there_is(page, number, colour):
    shown = page.restore(SimpleNamespace(column=number))
    assert shown.get(page.colour) == colour
    assert bool(shown) == bool(colour)


def test_a_selection_is_a_table_and_csv_for_programs(page, services):
    ids = list(services.predictor.collection.records["case_id"][:2])
    assert [row["case"] for row in page.table("\n".join(ids))] == ids
    assert len(page.csv("\n".join(ids)).splitlines()) == 3


def test_a_case_that_does_not_exist_is_a_sentence(page):
    with pytest.raises(gr.Error, match="no case 'nobody'"):
        page.table("nobody")


def test_without_an_upload_the_map_has_no_star(page):
    assert page.draw("source", None)[page.map]["point"] is None
