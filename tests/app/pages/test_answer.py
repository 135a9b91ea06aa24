"""The answer half of the page: second look, tried maps, vote and contrast, one case beside the image."""

import base64
import json
import re

import gradio as gr
import pytest

from app.pages.answer import CONTRAST, NEAREST, NEIGHBOURS, Answer
from app.pages.classify import ClassifyPage
from app.services import Services
from mermed_core.files import BUNDLED_MODEL
from mermed_core.inference.predictor import Predictor
from mermed_core.models.cam import METHODS


@pytest.fixture(scope="module")
def page(services) -> ClassifyPage:
    with gr.Blocks():
        return ClassifyPage(services, gr.State(None))


@pytest.fixture(scope="module")
def answer(page) -> Answer:
    return page.answer


@pytest.fixture(scope="module")
def shown(page):
    return page.open_example("oct", "")


@pytest.fixture(scope="module")
def query(page, shown):
    return shown[page.query]


def test_every_finding_has_a_word_and_nothing_drawn_is_likely(answer, shown):
    html = shown[answer.findings]
    words = re.findall(r'class="mm-word mm-(\w+)"', html)
    assert set(words) <= {"possible", "unlikely"}
    assert len(words) == html.count("data-pick")
    assert "What these words are worth" in html


def test_a_second_look_says_how_far_the_answer_moves(answer, query):
    html = answer.look_again(query)
    assert "small changes" in html
    assert ("The answer is steady" in html) != ("unstable" in html)
    assert answer.look_again(None) == ""


def test_a_heat_map_is_drawn_by_any_measured_method_and_tried(answer, shown, query, services):
    picked = shown[answer.explained]["value"]
    measured = services.predictor.metrics.pointing
    names = [value for _, value in answer.method.choices]
    assert set(names) == set(METHODS)
    assert names == sorted(names, key=lambda name: -measured.get(name, 0.0))
    html = answer.explain(query, picked, "LayerCAM")[answer.figure]
    assert "LayerCAM heat map" in html
    assert "raw peak" in html
    assert 'class="mm-shown"' in html
    checked = answer.check(query, picked, "LayerCAM")
    assert "hottest tenth blurred" in checked
    assert answer.check(None, picked) == ""


def test_above_the_cases_stands_what_their_nearness_means_and_how_they_vote(answer, shown):
    html = shown[answer.cases]
    assert "cases with one label are to each other" in html
    assert f"Of the {NEIGHBOURS} nearest cases in the set" in html
    assert html.count("mm-case") >= NEIGHBOURS


def test_the_contrast_has_cases_with_the_label_and_with_others(answer, shown, query):
    picked = shown[answer.explained]["value"]
    html = answer.arrange(query, CONTRAST, picked)
    assert html.count("<h3>") == 2
    assert "Nearest cases labelled" in html
    assert answer.arrange(query, NEAREST, picked) == shown[answer.cases]
    assert "appear here" in answer.arrange(None, CONTRAST, picked)
    assert answer.rearrange(query, CONTRAST, picked) == html
    assert answer.rearrange(query, NEAREST, picked) == gr.skip()


def test_a_case_stands_beside_the_image_with_both_maps(answer, query, services):
    case_id = services.predictor.similar(query.embedding, count=1)[0].case.case_id
    html = answer.compare(query, case_id)
    assert html.count("mm-heat") == 2
    assert f'data-pick="{case_id}"' in html
    assert answer.compare(query, "") == ""
    assert answer.compare(query, case_id) != html  # pressed again, it is shown again
    with pytest.raises(gr.Error, match="no case 'nothing'"):
        answer.compare(query, "nothing")


def test_the_place_is_a_star_within_the_map(answer, shown):
    left, top = map(float, re.findall(r"(?:left|top):([\d.]+)%", shown[answer.place]))
    assert 0 < left < 100
    assert 0 < top < 100
    assert "nearest to OCT" in shown[answer.place]


def test_without_a_collection_nothing_is_compared_or_placed():
    with gr.Blocks():
        page = ClassifyPage(Services(Predictor.load(BUNDLED_MODEL), "Build one."), gr.State(None))
    shown = page.open_example("oct", "")
    assert shown[page.answer.place] == ""
    assert page.answer.compare(shown[page.query], "case") == ""
    assert shown[page.answer.arranged]["visible"] is False


def test_nothing_is_computed_twice_and_a_report_repeats_what_was_shown(services, monkeypatch):
    with gr.Blocks():
        page = ClassifyPage(services, gr.State(None))
    opened = page.open_example("oct", "")
    query, picked, other = (
        opened[page.query],
        *[value for _, value in opened[page.answer.explained]["choices"][:2]],
    )
    page.answer.explain(query, picked)  # drawn already while the answer was shown, or soon
    drawn = []
    explain = Predictor.explain
    monkeypatch.setattr(
        Predictor, "explain", lambda self, *a, **b: drawn.append(b["label"]) or explain(self, *a, **b)
    )

    def report(*method: str) -> dict:
        made = page.answer.report("json", query, picked, "", *method)
        return json.loads(base64.b64decode(json.loads(made)["data"]))

    before = report()
    drawn.clear()
    shown = [page.answer.explain(query, each)[page.answer.figure] for each in (picked, other, picked)]
    page.answer.check(query, picked)
    assert len(drawn) == 1  # the other one's
    assert shown[0] == shown[2] != shown[1]
    looked = page.answer.look_again(query)
    assert page.answer.look_again(query) == looked
    after = report()
    assert all(each["said"].split(". ")[0] in looked for each in after["second_look"])
    assert after["second_look"] == before["second_look"] != []
    assert after["heat_map"]["trial"]["said"].split(",")[0] in page.answer.check(query, picked)
    assert after["heat_map"] == before["heat_map"]  # it was tried for the report
    chosen = report("Grad-CAM")["heat_map"]
    assert chosen["method"] == "Grad-CAM" != after["heat_map"]["method"]
    assert chosen["trial"]["said"].split(",")[0] in page.answer.check(query, picked, "Grad-CAM")
    again = query.read_as(services.predictor, "ct")  # another answer, of which nothing was made
    assert again.made is not query.made
