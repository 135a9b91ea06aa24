"""A report on the visitor's image as a file that is made in memory and travels inside the answer."""

import base64
import io
import json
import zipfile
from collections.abc import Callable

from mermed_core.reports.case.case_dicom import render_dicom
from mermed_core.reports.case.case_pdf import render_pdf
from mermed_core.reports.case.case_report import CaseReport


def _as_json(report: CaseReport) -> bytes:
    return (json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n").encode()


def _as_dicom(report: CaseReport) -> bytes:
    """Returns a ZIP of the DICOM files; they name nobody, as the header was dropped on arrival."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in render_dicom(report).items():
            archive.writestr(name, data)
    return buffer.getvalue()


_KINDS: dict[str, tuple[str, str, Callable[[CaseReport], bytes]]] = {
    "pdf": ("report.pdf", "application/pdf", render_pdf),
    "json": ("report.json", "application/json", _as_json),
    "dicom": ("report_dicom.zip", "application/zip", _as_dicom),
}
KINDS = tuple(_KINDS)


def report_file(report: CaseReport, kind: str) -> str:
    """Returns a file as JSON for `save_file.js`: name, media type and the bytes in base64.

    Args:
        report: what is reported.
        kind: one of `KINDS`.
    """
    name, media_type, render = _KINDS[kind]
    return json.dumps({"name": name, "type": media_type, "data": base64.b64encode(render(report)).decode()})
