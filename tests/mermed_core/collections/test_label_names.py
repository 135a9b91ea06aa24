"""What labels are called: by their data sets, by the project's, or as one's own folder writes them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from app.texts.case_text import value_name
from mermed_core.collections import label_names
from mermed_core.collections.collection import LABEL, Collection, Description
from mermed_core.collections.label_names import label_name, project_names
from mermed_core.collections.quality.case_words import label_words
from mermed_core.collections.sources import SourceFacts
from mermed_core.files import BUNDLED_ATLAS
from mermed_core.languages.say import speaking
from mermed_core.reports.case.neighbour_wording import labels
from mermed_core.search.faiss_engine import FaissEngine

OWN = ("cnv", "hole_3", "kidney_tumour", "iC")


def collection_of(labels: list[list[str]], source: str | list[str]) -> Collection:
    names = [f"c{row}" for row in range(len(labels))]
    records = pd.DataFrame({"case_id": names, "modality": "oct", "group": names, "split": ""})
    records["source"] = source
    records["labels"] = labels
    vectors = np.eye(len(labels), dtype=np.float32)
    about = Description("", "", False, "")
    return Collection(about, records, vectors, vectors[:, :2].copy(), None, FaissEngine.build(vectors))


@pytest.fixture
def own() -> Collection:
    """Cases of a folder of which nothing is known."""
    return collection_of([[OWN[row % 4]] for row in range(8)], "Ward 7")


def test_a_key_of_ones_own_has_the_name_that_the_project_knows_and_stays_beside_it(own):
    assert own.own_labels == set(OWN)
    assert [labels(own, [key]) for key in OWN] == [
        "Choroidal neovascularisation (cnv)",
        "hole_3",
        "kidney_tumour",
        "iC",
    ]
    assert label_words(own)("cnv|hole_3") == "choroidal neovascularisation (cnv), hole_3"
    assert value_name(own, LABEL, "iC") == "iC"
    with speaking("de"):
        assert labels(own, ["cnv"]) == "Choroidale Neovaskularisation (cnv)"


def test_labels_of_data_sets_that_are_known_read_as_before(own):
    own.sources = {"Ward 7": SourceFacts(title="Ward 7", names={"cnv": "new vessels"})}
    for name in ("own_labels", "label_names"):
        vars(own).pop(name, None)
    assert not own.own_labels
    assert labels(own, ["cnv", "kidney_tumour"]) == "New vessels, Kidney tumour"
    assert label_words(own)("kidney_tumour") == "kidney tumour"


def test_a_label_that_a_known_data_set_has_as_well_is_not_ones_own():
    mixed = collection_of([["nv"], ["nv"], ["mole"], []], ["a", "b", "b", "b"])
    mixed.sources = {"a": SourceFacts(title="A set")}
    assert mixed.own_labels == {"mole"}
    assert label_name(mixed, "nv") == ("nv", "")


def test_names_on_which_data_sets_do_not_agree_are_left_out(monkeypatch):
    facts = {
        "a": SourceFacts(names={"nv": "melanocytic naevus", "mel": "melanoma", "x_y": "x y"}),
        "b": SourceFacts(names={"nv": "melanocytic naevus", "mel": "meltdown"}),
    }
    monkeypatch.setattr(label_names, "read_stated", lambda _: SimpleNamespace(facts=facts))
    assert project_names.__wrapped__() == {"nv": "melanocytic naevus"}
    monkeypatch.setattr(label_names, "BUNDLED_ATLAS", BUNDLED_ATLAS / "elsewhere")
    assert project_names.__wrapped__() == {}
