"""The heat map of a known case that is open: the one that Classify draws of the same picture."""

import re

import gradio as gr
import pytest

from app.components.pictures import heat_uri
from app.pages.case_map import CaseMap
from app.uploads import Query, open_fetched


@pytest.fixture(scope="module")
def page(services) -> CaseMap:
    with gr.Blocks():
        return CaseMap(services.predictor)


@pytest.fixture(scope="module")
def case_ids(services) -> list[str]:
    records = services.predictor.collection.records
    return records.groupby("modality")["case_id"].first().tolist()


@pytest.fixture(scope="module")
def query(services, case_ids) -> Query:
    collection = services.predictor.collection
    picture = collection.picture(case_ids[0])
    return open_fetched(services.predictor, [("picture", picture)], collection.case(case_ids[0]).modality)


def test_a_case_with_a_picture_offers_its_map_and_is_not_searched_for_before(page, case_ids):
    shown = page.offer(None, case_ids[0])
    assert shown[page.draws]["visible"]
    assert (shown[page.figure], shown[page.said]) == ("", "")
    assert not page.offer(None, None)[page.draws]["visible"]


def test_the_map_is_that_of_the_most_probable_finding_in_the_same_colours(page, services, case_ids, query):
    shown = page.draw(None, case_ids[0])
    finding = services.predictor.analyse(query.embedding, neighbours=1).findings[0]
    expected = services.predictor.explain(
        query.image, task=finding.task, label=finding.label, embedding=query.embedding
    )
    assert heat_uri(expected.heat) in shown[page.figure]
    assert expected.method in shown[page.figure]
    assert shown[page.explained]["value"] == shown[page.explained]["choices"][0][1]
    caption = services.predictor.collection.case(case_ids[0])
    assert f'alt="{", ".join(caption.labels)}'.casefold() in shown[page.figure].casefold()
    assert "160 px long" in shown[page.said]


def test_a_map_that_was_drawn_is_there_at_once_with_its_finding(page, services, case_ids, monkeypatch):
    opened = page.draw(None, case_ids[0])[page.opened]
    second = page.offer(opened, case_ids[0])[page.explained]["choices"][1][1]
    drawn = page.explain(opened, case_ids[0], second)
    monkeypatch.setattr(services.predictor, "explain", None)  # nothing is drawn twice
    again = page.offer(opened, case_ids[0])
    assert again[page.figure] == drawn[page.figure] != ""
    assert again[page.explained]["value"] == second
    assert not again[page.draws]["visible"]
    assert page.offer(opened, case_ids[1])[page.draws]["visible"]


def test_a_visit_keeps_the_maps_of_a_few_cases(page, case_ids):
    opened = None
    for case_id in case_ids[:5]:
        opened = page.draw(opened, case_id)[page.opened]
    assert [page.offer(opened, case_id)[page.draws]["visible"] for case_id in case_ids[:5]] == [
        True,
        *[False] * 4,
    ]


def test_the_map_is_tried_as_on_classify(page, case_ids):
    opened = page.draw(None, case_ids[0])[page.opened]
    assert "Does the map mean anything?" in page.check(opened, case_ids[0])
    assert page.check(opened, case_ids[1]) == page.check(None, case_ids[0]) == ""


def test_without_a_picture_or_a_finding_a_sentence_says_why(page, services, case_ids, monkeypatch):
    without = page.draw(None, case_ids[0])
    monkeypatch.setattr(page._maps, "choices", lambda _: [])
    shown = page.draw(None, case_ids[0])
    assert "the model finds nothing that it knows" in shown[page.said]
    assert shown[page.figure] == page.check(shown[page.opened], case_ids[0]) == ""
    monkeypatch.setattr(services.predictor.collection, "thumbnail_at", lambda _: None)
    said = page.offer(None, case_ids[0])
    assert not said[page.draws]["visible"]
    assert "the picture of this case is not here" in said[page.said]
    assert "the picture of this case is not here" in page.draw(None, case_ids[0])[page.said]
    assert re.search("the model finds", without[page.said]) is None
