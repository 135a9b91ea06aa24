import gradio as gr
import pytest

from app.answers import Answers, example_names
from app.services import Services
from mermed_core.modalities import MODALITY_KEYS


@pytest.fixture
def answers(services) -> Answers:
    return Answers(services)


def test_there_is_an_example_of_each_modality():
    assert example_names() == sorted(MODALITY_KEYS)


@pytest.mark.parametrize("key", MODALITY_KEYS)
def test_every_example_is_known_and_gets_its_modality_and_a_finding(answers, services, key):
    query, note, shown, modality, findings, explained, cases, point, frame = answers.open_example(key, "")
    assert services.predictor.analyse(query.image).known
    assert next(iter(services.predictor.analyse(query.image).modality)) == key
    assert explained["value"].startswith(f"phantom_{key}:")
    assert "data-pick" in findings
    assert "data-pick" in cases
    assert point is not None
    assert frame["visible"] is False
    assert (note, "mm-base" in shown, "Modality" in modality) == ("", True, True)


def test_an_example_that_does_not_exist_is_a_sentence(answers):
    shown = answers.open_example("../../etc/passwd", "")
    assert "There is no example" in shown[1]


def test_nothing_to_do_changes_nothing(answers):
    assert answers.open(None, "")[0] is None
    assert answers.change_modality(None, "ct")[1] == ""
    assert answers.change_frame(None, 1, "")[1] == ""
    assert "Your image appears here" in answers.explain(None, "task:label")


def test_a_modality_that_is_set_is_obeyed(answers):
    query = answers.open_example("fundus", "")[0]
    shown = answers.change_modality(query, "dermatology")
    assert "set by you" in shown[3]


def test_without_a_collection_there_are_no_cases(services):
    bare = Services(type(services.predictor).load(_model()), "Build one.")
    shown = Answers(bare).open_example("ct", "")
    assert "No collection is loaded" in shown[6]
    assert shown[7] is None


def _model():
    from app.services import ASSETS

    return ASSETS / "model"


def test_what_was_shown_is_kept_when_a_file_is_refused(answers, tmp_path):
    path = tmp_path / "scan.png"
    path.write_bytes(b"")
    cleared, query, note, *rest = answers.open(str(path), "")
    assert cleared is None
    assert "empty" in note
    assert query == gr.skip()
    assert all(part == gr.skip() for part in rest)


def test_a_finding_that_the_model_does_not_have_is_a_sentence(answers):
    query = answers.open_example("ct", "")[0]
    with pytest.raises(gr.Error, match="no finding 'nothing:here'"):
        answers.explain(query, "nothing:here")


def test_an_upload_that_is_gone_is_a_sentence_without_its_path(answers, tmp_path):
    gone = str(tmp_path / "gone.png")
    assert answers.analyse(gone) == {"error": "The upload did not arrive whole. Send the file again."}
    assert "gone.png" not in answers.open(gone, "")[2]
