"""A report on a drawn image, made by hand: no model is needed for what it says."""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mermed_core.records import Analysis, Familiarity, Finding, Likelihood, Saliency
from mermed_core.reports.case.case_report import CaseReport, NearCase
from mermed_core.reports.case.findings import FindingLine, FindingSet

HELD = FindingSet(
    "colon",
    "Colon glands",
    "Likely: Malignant",
    True,
    "Held in other hospitals' images (AUROC 0.79).",
    (
        FindingLine("malignant", "Malignant", 0.93, "93%", True, "", Likelihood.LIKELY),
        FindingLine("benign", "Benign", 0.07, "7%", True, "", Likelihood.UNLIKELY),
    ),
    "",
    "On held-out images of the same source: AUROC 0.99 (95% CI 0.98 to 1.00), 80 images.",
    "",
)
UNPROVEN = FindingSet(
    "tissue",
    "Gewebe, Köln",
    "Possible: Drüsengewebe",
    False,
    "Learned in one hospital's images; elsewhere it may read the camera.",
    (FindingLine("gland", "Drüsengewebe", 0.99, ">99%", False, ""),),
    "The image is only a 60% match for this set of findings; read it with caution.",
    "",
    "",
)


def heat_of(pixels: np.ndarray) -> np.ndarray:
    rows, columns = np.indices(pixels.shape[:2])
    return np.exp(-((rows - 20) ** 2 + (columns - 30) ** 2) / 200).astype(np.float32)


def thumbnail() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 40, 90)).save(buffer, "JPEG")
    return buffer.getvalue()


def report(**changes: Any) -> CaseReport:
    pixels = np.random.default_rng(0).integers(60, 200, (90, 120, 3), dtype=np.uint8)
    analysis = Analysis(
        modality={"pathology": 0.97, "dermatology": 0.03},
        familiarity=Familiarity.FAMILIAR,
        reason="It is as near to known images of pathology as they are to each other.",
        findings=(
            Finding("colon", "malignant", 0.93, 1.0, 0.79),
            Finding("colon", "benign", 0.07, 1.0, 0.79),
        ),
        neighbours=(),
        point=None,
        model="tiny 0123abcd",
        notes=("Frame 2 of 3 is shown.",),
        header_modality="ct",
        region="colon",
        region_probability=0.9,
    )
    made = CaseReport(
        pixels=pixels,
        kind="DICOM",
        frame=2,
        frames=3,
        analysis=analysis,
        chosen=None,
        findings=(HELD, UNPROVEN),
        heat=Saliency(heat_of(pixels), 0.4, "colon", "malignant", "Grad-CAM"),
        heat_class="Malignant",
        cases=(
            NearCase("glas/12", 0.83, "Malignant", "Pathology", "GlaS <b>", "CC BY 4.0", "", thumbnail()),
            NearCase("glas/13", 0.81, "Benign", "Pathology", "GlaS", "", "", None),
        ),
        cases_note="",
        collection="Atlas",
        created=datetime(2026, 11, 28, 12, 30, tzinfo=UTC),
    )
    return replace(made, **changes)


@pytest.fixture
def make_report() -> Callable[..., CaseReport]:
    return report
