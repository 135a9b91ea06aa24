"""What a report says, and its JSON."""

import json
from dataclasses import replace

from mermed_core.records import RESEARCH_ONLY, Familiarity
from mermed_core.reports.case.trials import Look, MapTrial
from mermed_core.reports.case.wording import EDGE_MAP, FAINT_PEAK, STABLE, UNKNOWN_IMAGE


def test_the_first_line_is_the_modality_and_how_sure_it_is(make_report):
    report = make_report()
    assert report.modality == "Pathology (97%)"
    assert report.region == "Colon (90%)"
    assert make_report(chosen="dermatology").modality == "Skin (set by the user)"
    assert report.remarks == (
        "The file's header says CT; the pixels look like pathology.",
        "Frame 2 of 3 is shown.",
    )
    assert report.image_caption == "DICOM, 120 × 90 pixels, frame 2 of 3"


def test_unlike_and_unknown_images_are_said_to_be_so(make_report):
    analysis = make_report().analysis
    unlike = make_report(analysis=replace(analysis, familiarity=Familiarity.UNLIKE))
    assert unlike.familiarity[0].startswith("This looks like pathology, but unlike")
    assert unlike.familiarity[0].endswith("it is nearest to the colon.")
    assert unlike.region == ""
    unknown = make_report(analysis=replace(analysis, familiarity=Familiarity.UNKNOWN), chosen="ct")
    assert unknown.modality == UNKNOWN_IMAGE
    assert unknown.familiarity == (analysis.reason, "Read as CT, set by the user.")
    assert unknown.remarks[0] == "The file's header says CT."


def test_a_faint_map_is_called_one(make_report):
    heat = make_report().heat
    assert "means little" not in make_report().heat_caption
    assert "means little" in make_report(heat=replace(heat, peak=FAINT_PEAK / 2)).heat_caption
    assert make_report(heat=None).heat_caption == ""


def test_what_the_page_warns_of_a_map_is_in_the_report(make_report):
    warned = make_report(heat_warnings=(EDGE_MAP,))
    assert EDGE_MAP in warned.heat_caption
    assert json.loads(json.dumps(warned.to_dict()))["heat_map"]["warnings"] == [EDGE_MAP]
    assert EDGE_MAP not in make_report().heat_caption


def test_a_slice_of_a_series_is_named(make_report):
    slice_3 = make_report(frame=1, frames=1, place=(3, 5))
    assert slice_3.image_caption == "DICOM, 120 × 90 pixels, slice 3 of 5"
    assert slice_3.to_dict()["image"]["slice"] == 3
    assert slice_3.to_dict()["image"]["slices"] == 5


def test_json_holds_all_that_is_said_and_no_pixels(make_report):
    values = json.loads(json.dumps(make_report().to_dict()))
    assert values["intended_use"] == RESEARCH_ONLY
    assert values["created"] == "2026-11-28T12:30:00+00:00"
    size = {"height": 90, "width": 120}
    assert values["image"] == {"kind": "DICOM", "frame": 2, "frames": 3, "slice": None, "slices": None} | size
    assert values["finding_sets"][0]["lines"][0]["probability"] == 0.93
    assert values["heat_map"]["caption"].startswith("Grad-CAM heat map for Malignant (raw peak 0.4).")
    assert values["neighbours"][0]["source"] == "GlaS <b>"
    assert "thumbnail" not in values["neighbours"][0]
    assert values["modality"] == {"pathology": 0.97, "dermatology": 0.03}


LOOKS = (
    Look("colon", "malignant", "Malignant", 0.81, 0.95, 7, (), True),
    Look("tissue", "gland", "Gland", 0.2, 0.9, 7, (("darker", "Stroma"),), False),
)


def test_what_trying_the_answer_gave_is_in_the_report_where_it_was_tried(make_report):
    plain = make_report().to_dict()
    assert plain["second_look"] == []
    assert plain["heat_map"]["trial"] is None
    assert "shuffled" not in make_report().heat_caption
    tried = make_report(looks=LOOKS, map_trial=MapTrial(0.1, 0.93, 0.4, False))
    values = json.loads(json.dumps(tried.to_dict()))
    assert values["second_look"][0]["said"].startswith(f"{STABLE} Malignant gets 81% to 95% under 7")
    assert "Stroma comes first under 1 of them (darker)" in values["second_look"][1]["said"]
    assert values["second_look"][1]["stable"] is False
    assert values["heat_map"]["trial"]["after"] == 0.4
    assert tried.heat_caption.endswith("the probability goes from 93% to 40%.")
