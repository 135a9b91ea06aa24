"""What rooms hand to each other, and what programs get of it."""

import json

import pytest

from mermed_core.records import Analysis, Case, Familiarity, Finding, MapPoint, Neighbour, caution_about

CASE = Case("set/1", "ct", ("benign", "small"), "set", "patient 1", "test")


def test_an_analysis_becomes_plain_json_with_the_promised_keys():
    analysis = Analysis(
        {"ct": 0.9, "oct": 0.1},
        Familiarity.FAMILIAR,
        "near",
        (Finding("lung", "benign", 0.8, elsewhere=0.7),),
        (Neighbour(CASE, 0.5),),
        MapPoint(1.5, -2.0),
        "tiny 0",
        ("Page 1 of 3.",),
        "oct",
        "chest",
        0.6,
    )
    value = json.loads(json.dumps(analysis.to_dict()))
    assert list(value) == [
        "modality",
        "familiarity",
        "in_distribution",
        "region",
        "region_probability",
        "reason",
        "findings",
        "neighbours",
        "map",
        "model",
        "notes",
        "header_modality",
    ]
    assert value["map"] == [1.5, -2.0]
    assert (value["notes"], value["header_modality"]) == (["Page 1 of 3."], "oct")
    assert (value["familiarity"], value["in_distribution"]) == ("familiar", True)
    assert (value["region"], value["region_probability"]) == ("chest", 0.6)
    (finding,) = value["findings"]
    assert "only 70% of the time" in finding.pop("caution")
    assert finding == {
        "task": "lung",
        "label": "benign",
        "probability": 0.8,
        "relevance": 1.0,
        "elsewhere": 0.7,
        "holds_elsewhere": False,
        "likelihood": "possible",
        "calibration_cases": None,
    }
    assert value["neighbours"] == [
        {"case_id": "set/1", "similarity": 0.5, "label": "benign, small", "modality": "ct", "source": "set"}
    ]


def test_without_a_collection_there_is_no_place():
    assert Analysis({"ct": 1.0}, Familiarity.UNKNOWN, "far", (), (), None, "tiny 0").to_dict()["map"] is None


@pytest.mark.parametrize(
    ("familiarity", "of_a_modality"),
    [
        (Familiarity.FAMILIAR, True),
        (Familiarity.UNUSUAL, True),
        (Familiarity.UNLIKE, True),
        (Familiarity.UNKNOWN, False),
    ],
)
def test_only_an_unknown_image_is_of_none_of_the_modalities(familiarity, of_a_modality):
    analysis = Analysis({"ct": 1.0}, familiarity, "", (), (), None, "tiny 0")
    assert analysis.in_distribution == of_a_modality
    assert analysis.to_dict()["familiarity"] == familiarity.value


@pytest.mark.parametrize(
    ("elsewhere", "holds", "caution"),
    [
        (0.75, True, ""),
        (0.95, True, ""),
        (0.74, False, "(AUROC 0.74)"),
        (0.18, False, "only 18% of the time"),
        (None, False, "learned in one hospital's images; elsewhere it may read the camera"),
    ],
)
def test_a_finding_holds_elsewhere_where_that_was_shown(elsewhere, holds, caution):
    finding = Finding("lung", "benign", 0.99, elsewhere=elsewhere)
    assert finding.holds_elsewhere == holds
    assert caution in finding.caution
    assert bool(finding.caution) != holds


def findings(*elsewhere: float | None, task: str = "lung") -> list[Finding]:
    return [Finding(task, "benign", 0.5, elsewhere=auroc) for auroc in elsewhere]


def test_one_sentence_can_stand_for_several_findings():
    assert "only 18% to 62% of the time" in caution_about(findings(0.62, 0.18))
    assert "(AUROC 0.18 to 0.62)" in caution_about(findings(0.62, 0.18))
    mixed = caution_about(findings(None, 0.62))
    assert "(AUROC 0.62); the rest was learned in one hospital's images" in mixed
    assert caution_about(findings(None, None)) == findings(None)[0].caution


def test_what_was_learned_on_drawn_images_says_nothing_of_a_hospital():
    (finding,) = findings(None, task="phantom_ct")
    assert "computer-drawn" in finding.caution
    assert "hospital" not in finding.caution


def test_a_case_without_labels_says_so():
    assert Case("1", "ct", (), "set", "g", "").label == "unlabelled"
