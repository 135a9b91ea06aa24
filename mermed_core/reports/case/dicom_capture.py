"""The report's picture as a DICOM Secondary Capture: the heat map and "research use only" are burned in."""

import numpy as np
from highdicom import UID, CoordinateSystemNames
from highdicom.sc import SCImage
from PIL import Image
from pydicom.dataset import Dataset

from mermed_core import __version__
from mermed_core.imaging.overlay import fitted, laid_over, with_words
from mermed_core.reports.case.case_report import PROGRAM, CaseReport
from mermed_core.reports.case.dicom_subject import Subject, new_uid

ALERT = "RESEARCH USE ONLY. NOT A MEDICAL DEVICE."
_SIDE = 2048  # pixels: what a reading screen shows
_SERIES_NUMBER = 9901


def secondary_capture(report: CaseReport, subject: Subject) -> SCImage:
    """Returns the image with the heat map as an object of the subject's study, in a series of its own."""
    pixels = burned_in(report)
    header = subject.header
    capture = SCImage.from_ref_dataset(
        ref_dataset=header,
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system=CoordinateSystemNames.PATIENT,
        patient_orientation=("L", "P"),
        series_instance_uid=UID(new_uid()),
        series_number=_SERIES_NUMBER,
        sop_instance_uid=UID(new_uid()),
        instance_number=1,
        manufacturer=PROGRAM,
        manufacturer_model_name=report.analysis.model,
        software_versions=__version__,
        series_description="Research use only: heat map",
        specific_character_set="ISO_IR 192",
    )
    # The library wants an orientation; only the file can state one, and empty means that none is known.
    capture.add_new("PatientOrientation", "CS", header.get("PatientOrientation") or None)
    capture.Laterality = header.get("Laterality") or ""  # of a paired organ or not: the standard wants it
    capture.ConversionType = "WSD"
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.DerivationDescription = (report.heat_caption or report.modality)[:1024]
    capture.ImageComments = ALERT
    # Whether the image itself has names burned in is not known, so nothing is said of it.
    if subject.source is not None:
        capture.SourceImageSequence = [source_reference(subject.source, report.frame, report.frames)]
    return capture


def burned_in(report: CaseReport) -> np.ndarray:
    """Returns the image with its heat map and the words around it, (height, width, 3) uint8."""
    pixels = fitted(report.pixels, _SIDE)
    lines = [report.modality]
    if report.heat is None:
        lines.append("No findings are given.")
    else:
        size = (pixels.shape[1], pixels.shape[0])
        heat = np.asarray(Image.fromarray(report.heat.heat).resize(size, Image.Resampling.BILINEAR))
        pixels = laid_over(pixels, np.clip(heat, 0, 1))
        lines.append(report.heat_caption)
    return with_words(pixels, ALERT, [*lines, f"{report.origin}. Not checked by a person."])


def source_reference(source: Dataset, frame: int, frames: int) -> Dataset:
    """Returns a reference to an image, and to one of its frames (from 1) where it has several."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = source.SOPClassUID
    reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
    if frames > 1:
        reference.ReferencedFrameNumber = frame
    return reference
