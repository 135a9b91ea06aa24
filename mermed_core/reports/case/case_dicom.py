"""The report on one image as DICOM files: a picture for eyes, a structured report for programs."""

import io
import logging

from mermed_core.errors import DicomReportError
from mermed_core.reports.case.case_report import CaseReport
from mermed_core.reports.case.dicom_subject import Subject

CAPTURE, DOCUMENT = "heat_map.dcm", "report.dcm"


def render_dicom(report: CaseReport, subject: Subject | None = None) -> dict[str, bytes]:
    """Returns a Secondary Capture and a Comprehensive SR that refers to it, by file name.

    Both get new UIDs and series of their own.

    Args:
        report: what is reported.
        subject: patient and study; default: an empty patient in a new study.

    Raises:
        DicomReportError: the image came in no DICOM file, so no archive has a study that they belong to.
    """
    if report.kind != "DICOM":
        raise DicomReportError(
            "DICOM objects are made for images of DICOM files only. Take the report as PDF or JSON."
        )
    from mermed_core.reports.case.dicom_capture import secondary_capture  # highdicom takes seconds to import
    from mermed_core.reports.case.dicom_sr import structured_report

    logging.getLogger("highdicom").setLevel(logging.WARNING)  # it would log identifiers
    subject = subject or Subject.nobody()
    capture = secondary_capture(report, subject)
    document = structured_report(report, subject, capture)
    files = {}
    for name, dataset in ((CAPTURE, capture), (DOCUMENT, document)):
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        files[name] = buffer.getvalue()
    return files
