from unittest.mock import Mock

import gradio as gr
import pytest

from app.components.examples import example_path
from app.pages.similar import A_CASE, FILTERS, MY_IMAGE, SimilarPage
from app.services import Services
from app.uploads import Query, open_upload
from mermed_core.collections.collection import Neighbours
from mermed_core.inference.predictor import Predictor


@pytest.fixture(scope="module")
def page(services) -> SimilarPage:
    with gr.Blocks():
        return SimilarPage(services, gr.State(None))


@pytest.fixture(scope="module")
def query(services) -> Query:
    return open_upload(services.predictor, str(example_path("ct")))


def test_there_is_a_filter_for_each_declared_column_with_every_value(page, services):
    assert list(page.filters) == list(FILTERS)
    for column, dropdown in page.filters.items():
        assert [value for _, value in dropdown.choices] == list(services.predictor.collection.values(column))
    assert ("Chest X-ray", "cxr") in page.filters["modality"].choices


@pytest.mark.parametrize(
    "filters", [{"modality": ["oct"]}, {"source": ["phantom_oct"]}, {"label": ["synthetic fluid"]}]
)
def test_every_filter_filters(page, services, query, filters):
    shown = page.search(query, MY_IMAGE, None, 8, **filters)
    ((column, values),) = filters.items()
    case_ids = [part.split('"')[0] for part in shown[page.results].split('data-pick="')[1:]]
    assert len(case_ids) == 8
    for case_id in case_ids:
        case = services.predictor.collection.case(case_id)
        assert values[0] in (case.labels if column == "label" else [getattr(case, column)])


def test_filters_that_nothing_passes_are_a_sentence(page, query):
    shown = page.search(query, MY_IMAGE, None, 8, modality=["oct"], source=["phantom_ct"])
    assert "No case matches these filters" in shown[page.results]


def test_a_case_is_searched_with_and_named(page, services):
    case_id = services.predictor.collection.records["case_id"][0]
    shown = page.search(None, A_CASE, case_id, 4)
    assert f"case {case_id}" in shown[page.query_view]
    assert shown[page.results].count("data-pick") == 4
    assert f'data-pick="{case_id}"' not in shown[page.results]


def test_a_case_with_a_picture_can_be_searched_with_in_part(page, services, query, monkeypatch):
    collection = services.predictor.collection
    case_id = collection.records["case_id"][0]
    assert page.search(None, A_CASE, case_id, 4)[page.part]["visible"]
    assert not page.search(query, MY_IMAGE, case_id, 4)[page.part]["visible"]
    assert not page.search(None, A_CASE, None, 4)[page.part]["visible"]
    monkeypatch.setattr(collection, "thumbnail", lambda _: None)
    assert not page.search(None, A_CASE, case_id, 4)[page.part]["visible"]


def test_a_search_in_part_says_so(page, services, monkeypatch):
    collection = services.predictor.collection
    case_id = collection.records["case_id"][0]
    assert "in part" not in page.search(None, A_CASE, case_id, 4)[page.notice]
    nearest = collection.nearest
    monkeypatch.setattr(
        collection, "nearest", lambda *query, **how: Neighbours(nearest(*query, **how), exact=False)
    )
    monkeypatch.setattr(type(collection.engine), "recall", 0.9967)
    shown = page.search(None, A_CASE, case_id, 4)[page.notice]
    assert "searched in part: 99.6 % of the nearest cases are found" in shown


def test_a_case_that_does_not_exist_is_a_sentence_and_loses_nothing(page):
    shown = page.search(None, A_CASE, "nobody", 4)
    assert "no case 'nobody'" in shown.pop(page.notice).replace("&#39;", "'")
    assert shown == {}


def test_without_an_image_or_a_collection_it_says_what_to_do(page, services):
    assert "Drop an image" in page.search(None, MY_IMAGE, None, 4)[page.results]
    services = Services(Mock(Predictor, collection=None, explored=None), "Build one.")
    with gr.Blocks():
        empty = SimilarPage(services, gr.State(None))
    assert "Build one." in empty.search(None, MY_IMAGE, None, 4)[empty.results]


def test_marks_are_kept_searched_with_and_forgotten_with_another_search(page, services, query):
    shown = page.search(query, MY_IMAGE, None, 8)
    before = [part.split('"')[0] for part in shown[page.results].split('data-pick="')[1:]]
    good, bad = before[2], before[0]
    marking = page.mark(shown[page._marking], {good: "good", bad: ""})[page._marking]
    marked = page.mark(marking, {bad: "bad"})
    assert "Marked: 1 like what you look for, 1 not." in marked[page.marked]
    assert marked[page.again]["visible"] is True
    again = page.search(query, MY_IMAGE, None, 8, marking=marked[page._marking])
    after = [part.split('"')[0] for part in again[page.results].split('data-pick="')[1:]]
    assert bad not in after
    assert good in after
    assert f'data-mark="good" data-case="{good}" aria-pressed="true"' in again[page.results]
    assert "Ordered by your marks" in again[page.results]
    taken_back = page.mark(page.mark(marked[page._marking], {bad: ""})[page._marking], {good: ""})
    assert "Mark cases" in taken_back[page.marked]
    assert taken_back[page.again] == taken_back[page.clear] == {**marked[page.again], "interactive": False}
    other = page.search(None, A_CASE, before[1], 8, marking=marked[page._marking])
    assert other[page._marking].marks.good == ()
    assert "Ordered by" not in other[page.results]


def test_without_a_search_nothing_is_marked(page):
    assert page.mark(None, {"a": "good"}) == {}
