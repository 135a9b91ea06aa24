import json

from mermed_core.records import Analysis, Case, Finding, MapPoint, Neighbour

CASE = Case("set/1", "ct", ("benign", "small"), "set", "patient 1", "test")


def test_an_analysis_becomes_plain_json_with_the_promised_keys():
    analysis = Analysis(
        {"ct": 0.9, "oct": 0.1},
        True,
        "near",
        (Finding("lung", "benign", 0.8),),
        (Neighbour(CASE, 0.5),),
        MapPoint(1.5, -2.0),
        "tiny 0",
        ("Page 1 of 3.",),
        "oct",
    )
    value = json.loads(json.dumps(analysis.to_dict()))
    assert list(value) == [
        "modality",
        "in_distribution",
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
    assert (
        value["findings"][0] | {"task": "lung", "label": "benign", "probability": 0.8} == value["findings"][0]
    )
    assert value["neighbours"] == [
        {"case_id": "set/1", "similarity": 0.5, "label": "benign, small", "modality": "ct", "source": "set"}
    ]


def test_without_a_collection_there_is_no_place():
    assert Analysis({"ct": 1.0}, False, "far", (), (), None, "tiny 0").to_dict()["map"] is None


def test_a_case_without_labels_says_so():
    assert Case("1", "ct", (), "set", "g", "").label == "unlabelled"
