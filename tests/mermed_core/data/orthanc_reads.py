"""Stores two studies in an Orthanc of its own, finds and fetches them with our client, and prints what came.

Runs in a network of its own, as `orthanc_round_trip.py` says, which starts the server. Argument: a folder.
"""

import io
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pydicom
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid

from mermed_core.data.dicomweb import DicomwebServer, FoundStudy
from mermed_core.errors import StudyServerError

ORTHANC = runpy.run_path(str(Path(__file__).parents[1] / "reports" / "case" / "orthanc_round_trip.py"))
STUDIES = {"1.2.826.0.1": ("A1", "20240102", 3), "1.2.826.0.2": ("A2", "20250102", 1)}


def slices() -> list[pydicom.Dataset]:
    """Returns two studies of one patient; the last image of the first is compressed, a series of its own."""
    made = []
    for study, (accession, date, count) in STUDIES.items():
        for number in range(count):
            dataset = pydicom.Dataset()
            dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.{1 + number // 2}"
            dataset.AccessionNumber, dataset.StudyDate, dataset.Modality = accession, date, "CT"
            dataset.PatientID, dataset.PatientName, dataset.InstanceNumber = "P1", "Doe^Jane", number + 1
            dataset.ensure_file_meta()
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            dataset.set_pixel_data(np.full((16, 16), 100 * number, np.uint16), "MONOCHROME2", 12)
            if number == 2:
                dataset.compress(RLELossless)
            made.append(dataset)
    return made


def said(call: object) -> str:
    try:
        call()  # pyright: ignore[reportCallIssue]
    except StudyServerError as error:
        return str(error)
    return ""


def asked(server: DicomwebServer, sent: list[pydicom.Dataset]) -> dict[str, object]:
    (found,) = server.find("A1")
    files = [pydicom.dcmread(io.BytesIO(data), force=True) for data in server.fetch(found)]
    pixels = {each.SOPInstanceUID: each.pixel_array for each in sent}
    return {
        "by_accession": [found.study],
        "by_patient": [each.study for each in server.find("P1")],
        "told": [found.date, found.modalities, found.images],
        "same_pixels": len(files) == 3
        and all(np.array_equal(each.pixel_array, pixels[each.SOPInstanceUID]) for each in files),
        "syntaxes": sorted({each.file_meta.TransferSyntaxUID for each in files}),
        "one_series": len(server.fetch(FoundStudy("1.2.826.0.1", "1.2.826.0.1.2"))),
        "missing": said(lambda: server.find("nobody")),
        "no_such_study": said(lambda: server.fetch(FoundStudy("1.2.826.0.9"))),
    }


if __name__ == "__main__":
    ORTHANC["raise_loopback"]()
    running = ORTHANC["started"](Path(sys.argv[1]) / "orthanc")
    try:
        images = slices()
        ORTHANC["client"]().store_instances(images)
        server = DicomwebServer("Orthanc", f"http://127.0.0.1:{ORTHANC['PORT']}/dicom-web")
        print(json.dumps(asked(server, images)))
    finally:
        running.terminate()
        running.wait(30)
