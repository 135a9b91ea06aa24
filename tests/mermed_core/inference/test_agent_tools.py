"""What an agent may ask, without the protocol around it."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from mermed_core.data.phantoms import FINDINGS, draw_phantom
from mermed_core.errors import CollectionError, ImageError
from mermed_core.inference.agent_tools import ABSTAINED, ANSWERED, AgentTools
from mermed_core.inference.predictor import Predictor
from mermed_core.modalities import UnknownModalityError
from mermed_core.records import Familiarity


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def fundus() -> str:
    return text(png(draw_phantom("fundus", FINDINGS["fundus"][0], seed=5, size=64).pixels))


@pytest.fixture
def tools(predictor) -> AgentTools:
    return AgentTools(predictor)


def test_status_follows_what_the_model_knows(tools, predictor, fundus, monkeypatch):
    said = tools.analyse(fundus, neighbours=2)
    analysis = predictor.analyse(predictor.read(base64.b64decode(fundus)), neighbours=2)
    assert said["status"] == (ANSWERED if analysis.familiarity is Familiarity.FAMILIAR else ABSTAINED)
    assert said["neighbours"] == analysis.to_dict()["neighbours"]
    for familiarity, reason in (
        (Familiarity.UNKNOWN, "not_an_image_the_model_recognises"),
        (Familiarity.UNLIKE, "unlike_what_findings_were_learned_on"),
    ):
        changed = type(analysis)(**(vars(analysis) | {"familiarity": familiarity, "findings": ()}))
        monkeypatch.setattr(Predictor, "analyse", lambda *_, changed=changed, **__: changed)
        said = tools.analyse(fundus)
        assert (said["status"], said["abstained_because"]) == (ABSTAINED, reason)
        said, overlay = tools.explain("fundus", "x", fundus)
        assert (said["status"], said["abstained_because"], overlay) == (ABSTAINED, reason, None)


def test_a_modality_that_is_none_is_a_mistake_and_no_abstaining(tools, fundus):
    with pytest.raises(UnknownModalityError, match="'heart' is not a modality"):
        tools.similar(fundus, modality="heart")
    assert {case["modality"] for case in tools.similar(fundus, modality="X-ray")["cases"]} == {"cxr"}


def test_similar_cases_take_marks_and_say_where_none_is_near(tools, predictor, monkeypatch):
    case_id = predictor.collection.records["case_id"].iloc[0]
    first = tools.similar(case_id=case_id, count=4)
    assert len(first["cases"]) == 4
    bad = first["cases"][0]["case_id"]
    again = tools.similar(case_id=case_id, count=4, bad=[bad])
    assert bad not in {case["case_id"] for case in again["cases"]}
    only = tools.similar(case_id=case_id, count=4, modality="oct")
    assert {case["modality"] for case in only["cases"]} == {"oct"}
    monkeypatch.setitem(vars(predictor.collection), "usual_similarity", 1.1)
    far = tools.similar(case_id=case_id)
    assert (far["status"], far["abstained_because"]) == (ABSTAINED, "no_similar_case")


def test_an_explanation_has_a_picture_and_a_place(tools, predictor, fundus, monkeypatch):
    analysis = predictor.analyse(predictor.read(base64.b64decode(fundus)))
    if not analysis.findings:
        pytest.skip("the tiny model knows nothing of it")
    first = analysis.findings[0]
    monkeypatch.setattr("mermed_core.inference.agent_tools.map_warnings", lambda heat: ("It is flat.",))
    said, overlay = tools.explain(first.task, first.label, fundus)
    assert said["warnings"] == ["It is flat."]
    assert said["hottest"]["where"].split()[0] in ("upper", "middle", "lower")
    assert Image.open(io.BytesIO(overlay)).size == (64, 64)


def test_an_image_is_like_itself(tools, predictor, fundus):
    said = tools.compare(fundus, other_image=fundus)
    assert said["similarity"] == pytest.approx(1, abs=1e-4)
    assert said["same_modality"] is True
    assert said["as_near_as_known_cases_are"] is True
    case_id = predictor.collection.records["case_id"].iloc[0]
    assert tools.compare(case_id=case_id, other_case_id=case_id)["status"] == ANSWERED


def test_the_collection_is_counted(tools, predictor):
    said = tools.collection_stats()
    assert sum(said["modalities"].values()) == said["cases"] == len(predictor.collection)
    assert sum(each["cases"] for each in said["sources"].values()) == said["cases"]
    assert said["of_patients"] is False
    assert (said["status"], said["abstained_because"]) == (ANSWERED, "")


def test_paths_are_read_only_where_the_host_allows(predictor, tmp_path):
    allowed, secret = tmp_path / "allowed", tmp_path / "secret"
    for folder in (allowed, secret):
        folder.mkdir()
        (folder / "a.png").write_bytes(png(draw_phantom("ct", FINDINGS["ct"][0], seed=1, size=64).pixels))
    (allowed / "link.png").symlink_to(secret / "a.png")
    tools = AgentTools(predictor, [allowed])
    assert tools.analyse(path=str(allowed / "a.png"))["modality"]
    refused = set()
    for path in (
        secret / "a.png",
        secret / "none.png",
        allowed / "link.png",
        allowed / ".." / "secret" / "a.png",
    ):
        with pytest.raises(ImageError, match="may be read") as raised:
            tools.analyse(path=str(path))
        refused.add(str(raised.value))
    assert len(refused) == 1
    with pytest.raises(ImageError, match="may be read"):
        AgentTools(predictor).analyse(path=str(allowed / "a.png"))


def test_what_is_missing_is_a_sentence(tools, model_folder):
    with pytest.raises(ImageError, match="Give one image"):
        tools.analyse()
    with pytest.raises(ImageError, match="not base64"):
        tools.analyse("§")
    with pytest.raises(CollectionError, match="no case"):
        tools.similar(case_id="none")
    with pytest.raises(CollectionError, match="No collection"):
        AgentTools(Predictor.load(model_folder)).collection_stats()
