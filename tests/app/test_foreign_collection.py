"""The page over vectors that another encoder made: a map and neighbours, and no image searched among them."""

import gradio as gr
import numpy as np
import pytest

from app.components.about import about_card
from app.components.header import header
from app.pages.explore import ExplorePage
from app.pages.similar import A_CASE, MY_IMAGE, SimilarPage
from app.services import Services
from app.ui import build_app
from app.uploads import open_upload
from mermed_core.collections import store
from mermed_core.collections.foreign_vectors import build_from_vectors
from mermed_core.data.phantoms import phantom_manifest
from mermed_core.data.vector_file import VectorFile
from mermed_core.files import ASSETS
from mermed_core.inference.own_collection import with_collection

SAID = "The vectors of “Theirs” were made elsewhere (theirs.npy, 12 numbers an image)"


@pytest.fixture(scope="module")
def foreign(services, tmp_path_factory) -> Services:
    manifest = phantom_manifest(3, seed=4)
    values = np.random.default_rng(0).normal(size=(len(manifest), 12)).astype(np.float32)
    vectors = VectorFile("theirs.npy", "0" * 64, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "compute_map", lambda vectors, _: vectors[:, :2].copy())
        collection = build_from_vectors(
            tmp_path_factory.mktemp("foreign") / "theirs",
            manifest,
            vectors,
            np.arange(len(manifest)),
            name="Theirs",
            text="",
            synthetic=True,
        )
    predictor = with_collection(services.predictor, collection)
    return Services(predictor, predictor.no_collection)


def test_its_map_is_explored_and_the_page_says_what_it_is(foreign):
    assert "<strong>Theirs</strong>: 21 " in header(foreign)
    assert SAID in header(foreign)
    assert SAID in about_card(foreign)
    with gr.Blocks():
        page = ExplorePage(foreign, gr.State(None))
    assert page.map is not None
    assert page.draw("modality", None)[page.map]["point"] is None
    assert build_app(foreign)


def test_neighbours_of_a_case_are_found_and_none_of_an_image(foreign, tmp_path):
    with gr.Blocks():
        page = SimilarPage(foreign, gr.State(None))
    assert page.by.value == A_CASE
    collection = foreign.predictor.explored
    assert collection is not None
    case_id = str(collection.records["case_id"].iloc[0])
    found = page.search(None, A_CASE, case_id, 4)[page.results]
    assert found.count("data-pick") >= 4
    path = tmp_path / "ct.png"
    path.write_bytes((ASSETS / "examples" / "ct.png").read_bytes())
    query = open_upload(foreign.predictor, str(path))
    assert SAID in page.search(query, MY_IMAGE, None, 4)[page.results]
