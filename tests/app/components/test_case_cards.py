"""Cases with and without pictures: what stands in for a picture, and where it leads."""

import io
from unittest.mock import Mock
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from app.components import case_table, cases, header, query_view
from app.components.collection_map import map_value
from app.components.drawing import drawing
from app.components.map_columns import MapColumns
from app.services import Services
from app.texts import case_text
from mermed_core.collections.annotations import Annotations
from mermed_core.collections.collection import Collection, Description
from mermed_core.collections.sources import SourceFacts
from mermed_core.inference.predictor import Predictor
from mermed_core.modalities import MODALITIES, MODALITY_KEYS
from mermed_core.records import Neighbour
from mermed_core.search.faiss_engine import FaissEngine

HOME = "https://www.example.org/breast?a=1&b=2"
FACTS = SourceFacts("Breast <set>", "CC BY 4.0", HOME, {"mal": "malignant tumour"})


def collection(
    thumbnails: list[bytes] | None = None, sources: dict[str, SourceFacts] | None = None
) -> Collection:
    records = pd.DataFrame(
        {
            "case_id": ["a", "b"],
            "modality": ["ultrasound", "ct"],
            "labels": [np.array(["mal"]), np.array([])],
            "source": ["breast", "ward"],
            "group": ["a", "b"],
            "split": ["train", "val"],
            "file": ["benign (1).png", ""],
            "checksum": ["0", "1"],
        }
    )
    vectors = np.eye(2, dtype=np.float32)
    description = Description("Atlas", "Real.", False, "", {"breast": FACTS} if sources is None else sources)
    places = np.zeros((2, 2), np.float32)
    return Collection(description, records, vectors, places, thumbnails, FaissEngine.build(vectors))


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    return buffer.getvalue()


def grid(searched: Collection) -> str:
    return cases.neighbour_grid(searched, [Neighbour(case, 0.99) for case in searched.cases_at([0, 1])])


@pytest.mark.parametrize("modality", MODALITY_KEYS)
def test_every_modality_has_a_drawing_of_its_own(modality):
    root = ElementTree.fromstring(drawing(modality))
    assert MODALITIES[modality].colour in root.attrib["style"]
    assert len(root[0]) > 3
    others = [drawing(key).partition("<svg")[2] for key in MODALITY_KEYS if key != modality]
    assert drawing(modality).partition("<svg")[2] not in others


def test_a_case_without_a_picture_says_what_it_is_and_where_its_picture_is():
    bare = collection()
    html = grid(bare)
    assert "<img" not in html
    assert html.count('class="mm-drawing"') == 2
    for words in ("Malignant tumour", "Breast &lt;set&gt;", "benign (1).png", "CC BY 4.0", "Picture at"):
        assert words in html.replace("\u00ad", "")  # where a long word may be broken
    assert "<span>example.org</span>" in html
    assert html.count("<a ") == 1  # of the ward nobody says where its pictures are
    link = html.partition("<a ")[2].partition(">")[0]
    assert 'href="https://www.example.org/breast?a=1&amp;b=2"' in link
    assert 'rel="noopener noreferrer"' in link
    assert html.index("</button>") < html.index("<a ")  # a link in a button could not be pressed


def test_a_case_with_a_picture_shows_it_and_no_link():
    html = grid(collection([jpeg(), jpeg()]))
    assert html.count('src="data:image/jpeg') == 2
    assert "mm-drawing" not in html
    assert "<a " not in html


def test_one_case_is_drawn_too():
    bare = collection()
    view = query_view.case_view(bare, "a")
    assert "mm-drawing" in view
    assert "Malignant tumour: Ultrasound, Breast &lt;set&gt;, case a" in view
    assert "mm-written" not in view


def test_what_people_wrote_about_a_case_stands_below_it_as_text():
    written = Annotations({"odd": frozenset("a"), "again": frozenset("ab")}, {"a": "a <b>note</b>"})
    view = query_view.case_view(collection(), "a", written)
    assert "Tags: again, odd" in view
    assert "Note: a &lt;b&gt;note&lt;/b&gt;" in view
    assert "Note" not in query_view.case_view(collection(), "b", written)


def test_the_banner_says_that_there_are_no_pictures():
    for thumbnails, expected in (
        (None, "2 known cases, without their pictures"),
        ([b"", b""], "2 known cases."),
    ):
        predictor = Mock(Predictor, explored=collection(thumbnails))
        assert expected in header.header(Services(predictor))


def test_names_for_people_come_from_the_data_sets():
    bare = collection()
    assert case_text.value_name(bare, "label", "mal") == "Malignant tumour"
    assert case_text.value_name(bare, "source", "breast") == "Breast <set>"
    assert case_text.value_name(bare, "source", "ward") == "ward"
    assert [group["name"] for group in map_value(MapColumns(bare), "label", None)["groups"]] == [
        "Malignant tumour",
        "Unlabelled",
    ]
    assert list(case_table.frame(bare, [0, 1])["file"]) == ["benign (1).png", ""]


def test_a_licence_that_nobody_knows_is_said():
    assert case_text.licence("unknown") == "licence unknown"
    assert case_text.licence("") == ""
