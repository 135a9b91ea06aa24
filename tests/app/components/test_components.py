"""What the parts of the page say, and that no name from a collection or model can become markup."""

from dataclasses import replace
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.components import (
    about,
    cases,
    evidence,
    figure,
    findings,
    header,
    modality,
    notice,
    query_view,
    unseen_source,
)
from app.components.place import place
from app.components.second_look import looking
from app.services import Services
from mermed_core.collections.collection import Collection, Description
from mermed_core.data.manifest import LabelSet
from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.predictor import Predictor
from mermed_core.modalities import MODALITIES
from mermed_core.models.model_metrics import (
    ClassMetrics,
    Estimate,
    FindingMetrics,
    KindMetrics,
    ModelMetrics,
    SourceMetrics,
    TaskMetrics,
    UnseenSourceMetrics,
    WholeModelMetrics,
)
from mermed_core.records import (
    Analysis,
    Case,
    Familiarity,
    Finding,
    Likelihood,
    MapPoint,
    Neighbour,
    Saliency,
)
from mermed_core.search.faiss_engine import FaissEngine

NASTY = '<img src=x onerror="alert(1)">'
IMAGE = MedicalImage(np.zeros((20, 30, 3), np.uint8), 1, 0, "PNG", ())
MEASURED = TaskMetrics(
    modality="oct", n_test=40, n_groups=9, auroc=0.9, auroc_low=0.8, auroc_high=0.95, ece=0.05
)
RETINA = LabelSet("retina", "multiclass", ("drusen", "normal"))
CHEST = LabelSet("chest", "multilabel", ("mass", "edema"))
DRUSEN = (
    Finding("retina", "drusen", 0.93, elsewhere=0.84, likelihood=Likelihood.LIKELY, calibration_cases=31),
    Finding("retina", "normal", 0.07, elsewhere=0.84, likelihood=Likelihood.UNLIKELY, calibration_cases=7),
)
FAMILIAR, UNUSUAL, UNLIKE, UNKNOWN = Familiarity
NOT_HELD = "Learned in one hospital&#39;s images; elsewhere it may read the camera."


def analysis(
    *found: Finding, familiarity: Familiarity = FAMILIAR, stated: str | None = None, region: str = ""
) -> Analysis:
    shares = {"oct": 0.97, "cxr": 0.02, "ct": 0.01}
    return Analysis(shares, familiarity, "Because.", found, (), None, "model", (), stated, region, 0.88)


def rows_of(html: str) -> list[str]:
    return [part.split("</button>")[0] for part in html.split("<button")[1:]]


def retina(**changes: object) -> ModelMetrics:
    return ModelMetrics(tasks={"retina": MEASURED.model_copy(update=changes)})


def collection_of(names: list[str], labels: list[tuple[str, ...]]) -> Collection:
    count = len(names)
    records = pd.DataFrame(
        {
            "case_id": names,
            "modality": ["oct" if i % 2 else "ct" for i in range(count)],
            "labels": labels,
            "source": [f"source {i}" for i in range(count)],
            "group": names,
            "split": [""] * count,
        }
    )
    vectors = np.eye(count, dtype=np.float32)
    description = Description(NASTY, NASTY, False, "")
    places = np.zeros((count, 2), np.float32)
    return Collection(
        description, records, vectors, places, [b"\xff\xd8\xff"] * count, FaissEngine.build(vectors)
    )


@pytest.fixture
def collection() -> Collection:
    made = collection_of([f"{NASTY}{i}" for i in range(30)], [(NASTY, f"label {i % 20}") for i in range(30)])
    made.usual_similarity = 0.6
    return made


def test_findings_are_buttons_with_probability_and_evidence():
    html = findings.findings_card(
        analysis(*DRUSEN), [RETINA], retina(title="Retina set"), findings.pick("retina", "drusen")
    )
    assert "Likely: Drusen" in html
    assert "93%" in html
    assert "On held-out images of the same source: AUROC 0.90 (95% CI 0.80 to 0.95), 40 images" in html
    assert "Retina set" in html
    assert html.count('aria-pressed="true"') == 1
    assert "Do not rely" not in html


def test_findings_warn_of_bad_calibration_and_of_a_label_set_that_fits_badly():
    found = (Finding("retina", "drusen", 0.6, 0.3, 0.8), Finding("retina", "normal", 0.4, 0.3, 0.8))
    html = findings.findings_card(
        analysis(*found), [RETINA], retina(ece=0.4, auroc_low=None, auroc_high=None)
    )
    assert "Do not rely on these probabilities" in html
    assert "no confidence interval: too few patients" in html
    assert "only a 30% match" in html


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
    html = findings.findings_card(analysis(*DRUSEN), [RETINA], retina(**change))
    assert ("No verdict" in html) == withheld
    assert ("Likely: Drusen" in html) != withheld
    assert "93%" in html


@pytest.mark.parametrize(
    ("elsewhere", "sentence"),
    [
        ((None, None), NOT_HELD),
        ((0.27, 0.27), "only 27% of the time, where guessing gets 50% (AUROC 0.27)."),
        ((0.7, 0.62), "only 62% to 70% of the time"),
        ((0.7, None), "(AUROC 0.70); the rest was learned in one hospital&#39;s images"),
    ],
)
@pytest.mark.parametrize("share", [0.99, 0.7, 0.5])
def test_where_no_finding_holds_elsewhere_none_is_likely_and_that_stands_once(elsewhere, sentence, share):
    found = (
        Finding("retina", "drusen", share, elsewhere=elsewhere[0]),
        Finding("retina", "normal", 1 - share, elsewhere=elsewhere[1]),
    )
    html = findings.findings_card(analysis(*found), [RETINA], ModelMetrics())
    assert html.count(sentence) == 1
    assert not any(sentence in row for row in rows_of(html))
    assert all("mm-unproven" in row for row in rows_of(html))
    assert "Possible: Drusen" in html
    assert 'id="mm-elsewhere-1"' in html
    assert all('aria-describedby="mm-elsewhere-1"' in row for row in rows_of(html))
    assert not any(word in html for word in ("Likely", "mm-likely"))
    assert f"{100 * share:.0f}%" in html


def test_findings_learned_on_drawn_images_say_so():
    found = (
        Finding("phantom_oct", "synthetic fluid", 0.99),
        Finding("phantom_oct", "synthetic normal", 0.01),
    )
    drawn = LabelSet("phantom_oct", "multiclass", ("synthetic fluid", "synthetic normal"))
    html = findings.findings_card(analysis(*found), [drawn], ModelMetrics())
    assert html.count("Learned on computer-drawn images") == 1
    assert "hospital" not in html
    assert "Likely" not in html


def test_each_finding_says_for_itself_where_only_some_hold_elsewhere():
    found = (
        Finding("retina", "drusen", 0.93, elsewhere=0.84, likelihood=Likelihood.LIKELY),
        Finding("retina", "normal", 0.07, likelihood=Likelihood.UNLIKELY),
    )
    html = findings.findings_card(analysis(*found), [RETINA], ModelMetrics())
    assert "Likely: Drusen" in html
    drusen, normal = rows_of(html)
    assert "Held in other hospitals&#39; images (AUROC 0.84)." in drusen
    assert "mm-unproven" not in drusen
    assert NOT_HELD in normal
    assert "mm-unproven" in normal


def test_each_finding_has_its_word_and_what_the_words_are_worth_can_be_opened():
    known = {"drusen": ClassMetrics(threshold=0.12, shown=20, found=18, absent=20, ruled_out=15)}
    html = findings.findings_card(analysis(*DRUSEN), [RETINA], retina(classes=known))
    drusen, normal = rows_of(html)
    assert ">likely<" in drusen
    assert ">unlikely<" in normal
    assert "in 90% or more" in html
    assert "calibrated on 31 patients of each" in html
    assert "which takes 9 (Normal 7)" in html
    assert "90% (70 to 97), 18 of 20" in html
    assert "75% (53 to 89), 15 of 20" in html
    assert "12%" in html


def test_a_class_that_is_possible_below_an_unlikely_one_says_why():
    found = (
        Finding("retina", "drusen", 0.08, likelihood=Likelihood.UNLIKELY, calibration_cases=31),
        Finding("retina", "normal", 0.02, likelihood=Likelihood.POSSIBLE, calibration_cases=31),
    )
    html = findings.findings_card(analysis(*found), [RETINA], ModelMetrics())
    assert "Normal is possible at 2%, although Drusen is unlikely at 8%" in html
    assert "although" not in findings.findings_card(analysis(*DRUSEN), [RETINA], ModelMetrics())


def test_what_the_nearest_cases_say_against_a_set_stands_with_it():
    html = findings.findings_card(
        analysis(*DRUSEN), [RETINA], ModelMetrics(), doubts={"retina": "No case is near.", "other": "Else."}
    )
    assert html.index("No case is near.") < html.index("<button")
    assert "Else." not in html


def test_a_model_without_calibration_cases_promises_nothing():
    found = (Finding("retina", "drusen", 0.93, elsewhere=0.84), Finding("retina", "normal", 0.07))
    html = findings.findings_card(analysis(*found), [RETINA], ModelMetrics())
    assert "promise nothing" in html
    assert "Possible: Drusen or Normal" in html


def test_a_note_that_all_findings_share_stands_once():
    html = findings.findings_card(analysis(*DRUSEN), [RETINA], ModelMetrics())
    assert html.count("Held in other hospitals&#39; images (AUROC 0.84).") == 1
    assert "mm-unproven" not in html


def test_findings_that_do_not_exclude_each_other_get_no_common_verdict_whatever_their_sum():
    for shares in ((0.9, 0.8), (0.9, 0.1)):
        found = (Finding("chest", name, share) for name, share in zip(CHEST.classes, shares, strict=True))
        html = findings.findings_card(analysis(*found), [RETINA, CHEST], ModelMetrics())
        assert "Mass" in html
        assert "Likely" not in html


def test_the_findings_of_an_unusual_image_are_given_with_a_caution():
    caution = "The image is unusual, so that none is called likely"
    usual, unusual = (
        findings.findings_card(analysis(*DRUSEN, familiarity=each), [RETINA], ModelMetrics())
        for each in (FAMILIAR, UNUSUAL)
    )
    assert caution in unusual
    assert caution not in usual
    assert "Drusen" in unusual
    assert findings.none_given(analysis(*DRUSEN, familiarity=UNUSUAL)) == ""


def test_an_unknown_image_gets_no_findings():
    unknown = analysis(*DRUSEN, familiarity=UNKNOWN)
    assert findings.findings_card(unknown, [RETINA], ModelMetrics()) == ""
    assert "none of the seven kinds" in findings.none_given(unknown)
    html = modality.modality_card(unknown, None)
    assert "Not an image the model recognises" in html
    assert "Because." in html


def test_the_modality_says_whether_it_was_detected_or_set():
    assert "97%, a known kind of image" in modality.modality_card(analysis(), None)
    assert "set by you" in modality.modality_card(analysis(), "ct")
    assert "97%, an unusual image" in modality.modality_card(analysis(familiarity=UNUSUAL), None)
    assert "97%, but unlike what findings were learned on" in modality.modality_card(
        analysis(familiarity=UNLIKE), None
    )


def test_the_place_of_an_image_that_is_not_recognised_names_no_kind(collection):
    near = Neighbour(Case("c", "ct", (), "source 0", "g", ""), 0.9)
    known = replace(analysis(), neighbours=(near,), point=MapPoint(0.0, 0.0))
    assert "nearest to CT" in place(collection, known)
    said = place(collection, replace(known, familiarity=UNKNOWN))
    assert "means little" in said
    assert "nearest to" not in said


def test_the_room_of_the_second_look_is_kept_before_it_comes():
    assert "--sets:2" in looking(2)
    assert looking(0) == ""


def test_an_image_unlike_what_the_findings_were_learned_on_gets_modality_and_region_but_no_findings():
    unlike = analysis(*DRUSEN, familiarity=UNLIKE, region="macula")
    assert findings.findings_card(unlike, [RETINA], ModelMetrics()) == ""
    assert "Look at the similar cases" in findings.none_given(unlike)
    assert findings.none_given(analysis(*DRUSEN)) == ""
    html = modality.modality_card(unlike, None)
    assert "This looks like OCT, but unlike the images that the findings were learned on. No findings" in html
    assert "Of the parts of the body that the model knows, it is nearest to the macula." in html
    assert "mm-body-part" not in html  # it is not said to show the macula
    assert "97%" in html
    assert "Because." in html
    assert "mm-unknown" not in html
    assert "Read as CT, set by you, but unlike" in modality.modality_card(unlike, "ct")
    assert "is nearest to" not in modality.modality_card(analysis(familiarity=UNLIKE), None)


@pytest.mark.parametrize(
    ("region", "shown"), [("upper_abdomen", "Upper abdomen"), ("", "mm-how"), ("oct", "mm-how")]
)
def test_a_region_stands_beside_the_modality_unless_its_name_says_it(region, shown):
    html = modality.modality_card(analysis(region=region), None)
    assert shown in html
    assert ("88%" in html) == (region == "upper_abdomen")
    assert "unlike" not in html


def test_an_unknown_image_says_what_it_was_read_as_and_by_whose_choice():
    unknown = analysis(familiarity=UNKNOWN)
    assert "set by you" not in modality.modality_card(unknown, None)
    assert "Read as skin, set by you" in modality.modality_card(unknown, "dermatology")


@pytest.mark.parametrize(
    ("stated", "familiarity", "sentence", "contradicted"),
    [
        ("ct", FAMILIAR, "header says CT; the pixels look like OCT", True),
        ("ct", UNLIKE, "header says CT; the pixels look like OCT", True),
        ("oct", FAMILIAR, "header also says OCT", False),
        ("ct", UNKNOWN, "header says CT.", False),
        ("MR", FAMILIAR, "header says MR, which is none of the seven kinds. Do not rely", True),
        ("MR", UNKNOWN, "header says MR, which is none of the seven kinds.", False),
        (None, FAMILIAR, "", False),
    ],
)
def test_the_modality_of_the_header_is_a_hint_that_is_compared(stated, familiarity, sentence, contradicted):
    html = modality.modality_card(analysis(familiarity=familiarity, stated=stated), None)
    assert sentence in html
    assert ("header" in html) == bool(sentence)
    assert ("mm-contradiction" in html) == contradicted


def test_every_note_on_how_an_image_was_read_is_shown():
    notes = ("Window 40/400.", "Page 1 of 3.", "Names.")
    html = notice.file_notes("DICOM", notes)
    assert all(note in html for note in notes)
    assert notice.file_notes("PNG", ()) == ""


def test_a_faint_map_says_so():
    saliency = Saliency(np.zeros((20, 30), np.float32), 0.0, "retina", "drusen", "Grad-CAM")
    assert "means little" in figure.figure(IMAGE, saliency, "Drusen", picture="")
    strong = Saliency(np.ones((20, 30), np.float32), 0.4, "retina", "drusen", "Grad-CAM")
    assert "means little" not in figure.figure(IMAGE, strong, "Drusen", picture="")


def test_a_map_that_is_still_to_come_has_its_room_which_nobody_can_reach():
    saliency = Saliency(np.ones((20, 30), np.float32), 0.4, "retina", "drusen", "Grad-CAM")
    before, after = (figure.figure(IMAGE, each, "Drusen", picture="") for each in (None, saliency))
    assert before.count("<label") == after.count("<label") == 2
    assert ("inert" in before, "inert" in after) == (True, False)
    assert "<label" not in figure.figure(IMAGE, picture="")


@pytest.mark.parametrize(("best", "far"), [(0.59, True), (0.61, False)])
def test_it_is_said_that_no_hit_is_near(collection, best, far):
    hits = [Neighbour(case, best - place) for place, case in enumerate(collection.cases_at([0, 1]))]
    html = cases.neighbour_grid(collection, hits)
    assert ("No similar case: the highest similarity is 0.59" in html) == far
    assert ("another at 0.60 or above" in html) == far
    assert html.count("data-pick") == 2


def test_no_hit_is_a_sentence(collection):
    assert "No case matches" in cases.neighbour_grid(collection, [])


def services_with(collection: Collection | None, missing: str = "") -> Services:
    predictor = Mock(Predictor, collection=collection, explored=collection, model_name=NASTY, device=NASTY)
    return Services(predictor, missing)


def pages_with(value: str, collection: Collection) -> list[str]:
    """Every part of the page with a value from outside wherever there can be one."""
    found = (Finding(value, value, 0.9), Finding(value, value, 0.1))
    measured = MEASURED.model_copy(update={"title": value, "caveat": value, "names": {value: value}})
    unseen = UnseenSourceMetrics(
        sources={value: SourceMetrics(modality="ct", images=1, title=value)},
        kinds={value: KindMetrics(images=1)},
        findings={value: {value: FindingMetrics(auroc=Estimate(value=0.8), sources=(value,))}},
    )
    metrics = ModelMetrics(tasks={value: measured}, unseen_source=unseen)
    saliency = Saliency(np.ones((20, 30), np.float32), 0.4, value, value, value)
    case = Case(value, "ct", (value,), value, value, value)
    return [
        findings.findings_card(analysis(*found), [LabelSet(value, "multiclass", (value,))], metrics),
        figure.figure(IMAGE, saliency, value, picture=""),
        cases.neighbour_grid(collection_of([value], [(value,)]), [Neighbour(case, 0.5)]),
        cases.nothing(value),
        query_view.case_view(collection_of([value], [(value,)]), value),
        evidence.evidence(metrics),
        header.header(services_with(collection)),
        header.header(services_with(None, value)),
        about.about_card(services_with(collection)),
        about.about_card(services_with(None, value)),
        *(
            modality.modality_card(
                Analysis({"oct": 1.0}, degree, value, (), (), None, "", region=value), None
            )
            for degree in Familiarity
        ),
        unseen_source.unseen_source(metrics),
        notice.problem(value),
        notice.file_notes(value, (value,)),
    ]


def test_names_from_outside_never_become_markup(collection):
    for page in pages_with(NASTY, collection):
        assert "&lt;img src=x" in page
        assert "<img src=x" not in page
        assert 'onerror="' not in page


@given(st.text(st.sampled_from("<>\"'&{}%$x"), min_size=1))
def test_a_sentence_holds_nothing_that_html_could_run(value):
    inner = notice.problem(value).partition(">")[2].rpartition("</p>")[0]
    assert not set(inner) & set("<>\"'")


def test_the_banner_says_what_is_loaded(services):
    assert "420 computer-drawn cases" in header.header(services)
    html = header.header(services_with(None, "Build one."))
    assert "No collection is loaded" in html
    assert "Build one." in html


def test_evidence_shows_intervals_and_says_where_there_are_none():
    whole = WholeModelMetrics(modality_accuracy=0.99, known_accepted=0.98)
    html = evidence.evidence(ModelMetrics(tasks={"retina": MEASURED}, model=whole))
    assert "left:60.0%;right:10.0%" in html.replace(" ", "")
    assert "99.00%" in html
    assert "98.0%" in html
    assert "This is not what you get" in html
    assert "No evaluation results" in evidence.evidence(ModelMetrics())


def test_a_modality_has_a_bar_for_each_kind_that_was_asked_about_and_room_for_those_that_count():
    html = modality.modality_card(analysis(), None)
    assert html.count('class="mm-bar"') == len(analysis().modality)
    counted = sum(share >= 0.005 for share in list(analysis().modality.values())[:3])
    assert f"--bars:{counted}" in html
    assert modality.empty().count('class="mm-bar"') == len(MODALITIES)
