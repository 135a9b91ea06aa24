"""One page, whatever stands on it; text from elsewhere is text."""

import io
from dataclasses import replace

import pytest
from PIL import Image
from pypdf import PdfReader

from mermed_core.records import RESEARCH_ONLY, Familiarity
from mermed_core.reports.case.case_pdf import render_pdf
from mermed_core.reports.case.trials import Look, MapTrial


def page_of(data: bytes):
    pages = PdfReader(io.BytesIO(data)).pages
    assert len(pages) == 1
    return pages[0]


def words(data: bytes) -> str:
    return " ".join(page_of(data).extract_text().split())


def test_the_page_says_what_the_report_says(make_report):
    report = make_report()
    text = words(render_pdf(report))
    for said in (
        *("Report on one image", RESEARCH_ONLY, "2026-11-28 12:30 UTC", "DICOM, 120 × 90 pixels"),
        *("Pathology (97%)", "Colon (90%)", *report.remarks, *report.familiarity),
        *("Likely: Malignant", "93%", "unlikely", "Possible: Drüsengewebe", "Gewebe, Köln", "(AUROC 0.79)"),
        *("it may read the camera", "60% match", "0.98 to 1.00", "raw peak 0.4"),
        *("glas/12", "0.83", "GlaS <b>, CC BY 4.0", "Nearest known cases in “Atlas”"),
        *("model tiny 0123abcd", "Not checked by a person"),
    ):
        assert said in text, said


def test_the_name_of_a_case_is_never_broken(make_report):
    case = replace(make_report().cases[0], case_id="chest_ct_cancer/000606")
    text = words(render_pdf(make_report(cases=(case,))))
    assert "chest_ct_cancer/000606" in text


def test_image_heat_map_scale_and_thumbnail_are_on_the_page(make_report):
    images = page_of(render_pdf(make_report())).images
    assert sorted(Image.open(io.BytesIO(image.data)).size for image in images) == [
        (64, 48),
        (120, 90),
        (120, 90),
        (128, 1),
    ]
    assert len(page_of(render_pdf(make_report(heat=None, cases=()))).images) == 1


def test_without_findings_it_says_why(make_report):
    analysis = make_report().analysis
    nothing = {"findings": (), "heat": None, "heat_class": "", "cases": (), "collection": ""}
    unlike = make_report(analysis=replace(analysis, familiarity=Familiarity.UNLIKE), **nothing)
    assert "but unlike the images that the findings were learned on" in words(render_pdf(unlike))
    unknown = make_report(analysis=replace(analysis, familiarity=Familiarity.UNKNOWN), **nothing)
    assert "There is no heat map, since no findings are given." in words(render_pdf(unknown))
    assert "Not an image the model recognises" in words(render_pdf(unknown))


@pytest.mark.parametrize("shape", [(8, 2000), (2000, 8), (1, 1)])
def test_any_shape_fits(make_report, shape):
    report = make_report()
    pixels = report.pixels[:1, :1].repeat(shape[0], 0).repeat(shape[1], 1)
    heat = replace(report.heat, heat=report.heat.heat[:1, :1].repeat(shape[0], 0).repeat(shape[1], 1))
    page_of(render_pdf(make_report(pixels=pixels, heat=heat)))


def test_much_text_is_set_smaller_and_many_classes_are_counted(make_report):
    first = make_report().findings[0]
    many = replace(first, lines=first.lines * 6, evidence="A long sentence on how good it is. " * 8)
    cases = make_report().cases * 6
    text = words(render_pdf(make_report(findings=(many,) * 5, cases=cases)))
    assert "6 less probable classes are left out here." in text
    assert text.count("glas/13") == 6
    one = replace(first, lines=first.lines[:1] * 7)
    assert "One less probable class is left out here." in words(render_pdf(make_report(findings=(one,))))


def test_what_is_set_smaller_still_begins_at_the_margin(make_report):
    left = {}

    def visit(text, outer, inner, *_):
        if text.strip():
            left[text.strip()] = inner[4] * outer[0] + inner[5] * outer[2] + outer[4]

    first = make_report().findings[0]
    page = page_of(render_pdf(make_report(findings=(replace(first, lines=first.lines * 3),) * 5)))
    page.extract_text(visitor_text=visit)
    for words_there in ("What the model sees", "Nearest known cases in “Atlas”"):
        assert left[words_there] == pytest.approx(34.0, abs=0.5)


@pytest.mark.parametrize(
    "label", ['<img src="/etc/passwd"/>', "<b>bold", "a & b </para>", "Ωμέγα Зрение", "x" * 300, ""]
)
def test_text_from_elsewhere_is_shown_as_it_is(make_report, label):
    report = make_report()
    case = replace(report.cases[0], label=label, case_id=label, source=label)
    shown = "".join(words(render_pdf(make_report(cases=(case,)))).split())
    assert "".join(label.split()) in shown


def test_what_trying_the_answer_gave_stands_on_the_one_page(make_report):
    look = Look("colon", "malignant", "Malignant", 0.81, 0.95, 7, (("darker", "Benign"),), False)
    report = make_report(looks=(look,) * 3, map_trial=MapTrial(0.1, 0.93, 0.4, False))
    text = words(render_pdf(report))
    assert f"A second look {look.verdict} {look.said}" in text
    assert "the probability goes from 93% to 40%." in text
    assert "A second look" not in words(render_pdf(make_report()))
