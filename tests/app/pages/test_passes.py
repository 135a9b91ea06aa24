"""An upload is embedded once for all pages."""

import gradio as gr
import pytest
from torch.nn.modules.module import register_module_forward_hook

from app.components.examples import example_path
from app.heat_maps import pick
from app.pages.classify import ClassifyPage
from app.pages.explore import ExplorePage
from app.pages.similar import MY_IMAGE, SimilarPage
from mermed_core.models.backbone import Backbone


@pytest.fixture
def passes():
    """Grows by one with every pass through an encoder."""
    counted = []
    hook = register_module_forward_hook(
        lambda module, *_: counted.append(module) if isinstance(module, Backbone) else None
    )
    yield counted
    hook.remove()


def test_an_upload_costs_one_pass_over_all_pages_and_another_modality_none_more(
    services, passes, monkeypatch
):
    # The first heat map is begun with the answer; here it is not, so that what is asked for can be counted.
    monkeypatch.setattr("app.heat_maps.ahead", lambda work: None)
    with gr.Blocks():
        state = gr.State(None)
        classify, similar = ClassifyPage(services, state), SimilarPage(services, state)
        explore = ExplorePage(services, state)

    def visit_the_other_pages(query):
        assert "mm-case" in similar.search(query, MY_IMAGE, None, 8)[similar.results]
        assert "mm-case" in similar.search(query, MY_IMAGE, None, 8, modality=["oct"])[similar.results]
        assert explore.draw("label", query)[explore.map]["point"]

    query = classify.open(str(example_path("oct")), "")[state]
    visit_the_other_pages(query)
    assert len(passes) == 1  # the bundled model normalises every modality alike

    other = classify.change_modality(query, "fundus")[state]
    visit_the_other_pages(other)
    assert len(passes) == 1

    finding = services.predictor.analyse(query.embedding).findings[0]
    classify.answer.explain(query, pick(finding))
    assert len(passes) == 2  # a heat map needs gradients, so it takes a pass of its own
