"""What the parts of the page say, and that no name from a collection or model can become markup."""

import numpy as np
import pytest

from app.components import cases, evidence, figure, findings, header, modality, query_view
from app.components.collection_map import map_value
from app.services import Services
from mermed_core.inference.predictor import MedicalImage
from mermed_core.records import Analysis, Case, Finding, MapPoint, Neighbour, Saliency

NASTY = '<img src=x onerror="alert(1)">'
IMAGE = MedicalImage(np.zeros((20, 30, 3), np.uint8), 1, 0, "PNG", ())
FIGURE = {
    "modality": "oct",
    "n_test": 40,
    "n_groups": 9,
    "auroc": 0.9,
    "auroc_low": 0.8,
    "auroc_high": 0.95,
    "ece": 0.05,
}


def analysis(*found: Finding, known: bool = True) -> Analysis:
    shares = {"oct": 0.97, "cxr": 0.02, "ct": 0.01}
    return Analysis(shares, known, "Because.", found, (), None, "model")


class FakeCollection:
    name, description, synthetic, usual_similarity = NASTY, NASTY, False, 0.6
    cases = tuple(
        Case(f"{NASTY}{i}", "oct" if i % 2 else "ct", (NASTY, f"label {i % 20}"), f"source {i}", "g", "")
        for i in range(30)
    )

    def __len__(self) -> int:
        return len(self.cases)

    def thumbnail(self, case_id: str) -> bytes:
        return b"\xff\xd8\xff"

    def case(self, case_id: str) -> Case:
        return next(case for case in self.cases if case.case_id == case_id)


def test_findings_are_buttons_with_probability_and_evidence():
    html = findings.findings_card(
        analysis(Finding("retina", "drusen", 0.93), Finding("retina", "normal", 0.07)),
        {"retina": FIGURE | {"title": "Retina set"}},
        "retina:drusen",
    )
    assert "Likely: Drusen" in html
    assert "93 %" in html
    assert "AUROC 0.90 (95 % interval 0.80 to 0.95) on 40 test images" in html
    assert "Retina set" in html
    assert html.count('aria-pressed="true"') == 1
    assert "Do not trust" not in html


def test_findings_warn_of_bad_calibration_and_of_a_label_set_that_fits_badly():
    found = (Finding("retina", "drusen", 0.6, 0.3), Finding("retina", "normal", 0.4, 0.3))
    html = findings.findings_card(
        analysis(*found), {"retina": FIGURE | {"ece": 0.4, "auroc_low": None, "auroc_high": None}}
    )
    assert "Do not trust these probabilities" in html
    assert "no interval: too few patients" in html
    assert "read it with that doubt" in html


@pytest.mark.parametrize(
    ("change", "withheld"),
    [
        ({"auroc": 0.398, "auroc_low": None}, True),
        ({"auroc": 0.6, "auroc_low": 0.42}, True),
        ({"auroc": 0.6, "auroc_low": None}, False),
        ({"auroc": 0.9, "auroc_low": 0.8}, False),
        ({"auroc": None, "auroc_low": None}, False),
    ],
)
def test_no_verdict_is_given_where_the_model_is_no_better_than_chance(change, withheld):
    found = analysis(Finding("retina", "drusen", 0.93), Finding("retina", "normal", 0.07))
    html = findings.findings_card(found, {"retina": FIGURE | change})
    assert ("No verdict" in html) == withheld
    assert ("Likely: Drusen" in html) != withheld
    assert "93 %" in html


def test_findings_that_do_not_exclude_each_other_get_no_common_verdict():
    html = findings.findings_card(analysis(Finding("chest", "mass", 0.9), Finding("chest", "edema", 0.8)), {})
    assert "Likely" not in html


def test_an_unknown_image_gets_no_findings():
    unknown = analysis(Finding("retina", "drusen", 0.93), known=False)
    assert findings.findings_card(unknown, {}) == ""
    html = modality.modality_card(unknown, None)
    assert "Not an image I know" in html
    assert "Because." in html


def test_the_modality_says_whether_it_was_detected_or_set():
    assert "97 %" in modality.modality_card(analysis(), None)
    assert "set by you" in modality.modality_card(analysis(), "ct")


def test_a_faint_map_says_so():
    saliency = Saliency(np.zeros((20, 30), np.float32), 0.0, "retina", "drusen", "Grad-CAM")
    assert "says little" in figure.figure(IMAGE, saliency, "Drusen")
    strong = Saliency(np.ones((20, 30), np.float32), 0.4, "retina", "drusen", "Grad-CAM")
    assert "says little" not in figure.figure(IMAGE, strong, "Drusen")


def test_a_selection_is_shown_spread_over_all_of_it():
    collection = FakeCollection()
    html = cases.case_grid(collection, collection.cases, 10)  # pyright: ignore[reportArgumentType]
    assert html.count("mm-case") == 10
    assert "10 of the 30, spread evenly" in html


@pytest.mark.parametrize(("best", "far"), [(0.59, True), (0.61, False)])
def test_hits_that_are_all_far_are_told(best, far):
    collection = FakeCollection()
    hits = [Neighbour(case, best - place) for place, case in enumerate(collection.cases[:2])]
    html = cases.neighbour_grid(collection, hits)  # pyright: ignore[reportArgumentType]
    told = (
        "None is near: the best similarity is 0.59, while nearly every case here has another at 0.60 or more."
    )
    assert (told in html) == far
    assert ("None is near" in html) == far
    assert html.count("data-pick") == 2


def test_no_hit_is_a_sentence():
    assert "No case passes" in cases.neighbour_grid(FakeCollection(), [])  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("colour_by", ["modality", "label", "source"])
def test_the_map_shows_every_case_once(colour_by):
    collection = FakeCollection()
    value = map_value(collection, colour_by, MapPoint(1.0, 2.0))  # pyright: ignore[reportArgumentType]
    assert sorted(i for group in value["groups"] for i in group["positions"]) == list(range(30))
    assert len(value["groups"]) <= 13
    assert len({group["colour"] for group in value["groups"]}) == len(value["groups"])
    assert value["point"] == [1.0, 2.0]
    assert not any("<" in group["name"] for group in value["groups"])
    assert [group["last"] for group in value["groups"]] == sorted(
        (g["last"] for g in value["groups"]), reverse=True
    )


def test_names_from_outside_never_become_markup(services):
    collection = FakeCollection()
    found = (Finding(NASTY, NASTY, 0.9), Finding(NASTY, NASTY, 0.1))
    metrics = {NASTY: FIGURE | {"title": NASTY, "caveat": NASTY, "names": {NASTY: NASTY}}}
    saliency = Saliency(np.ones((20, 30), np.float32), 0.4, NASTY, NASTY, NASTY)

    class FakePredictor:
        pass

    predictor = FakePredictor()
    predictor.collection = collection  # pyright: ignore[reportAttributeAccessIssue]
    pages = [
        findings.findings_card(analysis(*found), metrics),
        figure.figure(IMAGE, saliency, NASTY),
        cases.neighbour_grid(collection, [Neighbour(collection.cases[0], 0.5)]),  # pyright: ignore[reportArgumentType]
        query_view.query_view(collection, collection.cases[0].case_id),  # pyright: ignore[reportArgumentType]
        evidence.evidence(metrics, {}),
        header.header(Services(predictor)),  # pyright: ignore[reportArgumentType]
        modality.modality_card(Analysis({"oct": 1.0}, False, NASTY, (), (), None, ""), None),
    ]
    for page in pages:
        assert "<img src=x" not in page
        assert 'onerror="' not in page


def test_the_banner_says_what_is_loaded(services):
    assert "synthetic" in header.header(services)
    bare = type("Bare", (), {"collection": None})()
    missing = Services(bare, "Build one.")  # pyright: ignore[reportArgumentType]
    assert "No collection is loaded" in header.header(missing)
    assert "Build one." in header.header(missing)


def test_evidence_shows_intervals_and_says_where_there_are_none():
    html = evidence.evidence({"retina": FIGURE}, {"modality_accuracy": 0.99, "known_accepted": 0.98})
    assert "left:60.0%;right:10.0%" in html.replace(" ", "")
    assert "99.00%" in html
    assert "No figures were measured" in evidence.evidence({}, {})


def test_an_unknown_image_says_what_it_was_read_as_by_whose_will():
    unknown = analysis(known=False)
    assert "set by you" not in modality.modality_card(unknown, None)
    assert "Read as Skin, set by you" in modality.modality_card(unknown, "dermatology")
