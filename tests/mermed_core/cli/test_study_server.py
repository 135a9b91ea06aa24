"""`mermed analyse --dicomweb`: a study of a server that the settings name, and of no other."""

import json

import numpy as np
import pandas as pd
import pytest
from pydicom.uid import generate_uid

from mermed_core.cli import main
from mermed_core.cli.study_server import fetched_study, first_view
from mermed_core.data.phantoms import FINDINGS, draw_phantom

STUDY = "1.2.826.0.1"


@pytest.fixture
def study(make_dicom) -> list[bytes]:
    """Three slices, the last one first; each has a grey level of its own."""

    def made(number: int) -> bytes:
        values = draw_phantom("ct", FINDINGS["ct"][0], seed=7).pixels[:, :, 0].astype(np.uint16) * 16 + number
        return make_dicom(
            values,
            StudyInstanceUID=STUDY,
            SeriesInstanceUID=f"{STUDY}.1",
            SOPInstanceUID=generate_uid(),
            InstanceNumber=number,
            PatientName="Doe^Jane",
        )

    return [made(number) for number in (3, 2, 1)]


@pytest.fixture
def pacs(scripted_server, study, monkeypatch):
    parts = [b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n" for data in study]
    scripted_server.sends(b"".join(parts) + b"--xyz--", "multipart/related; boundary=xyz")
    monkeypatch.setenv("MERMED_DICOMWEB", f"PACS={scripted_server.url}/web")
    return scripted_server


@pytest.fixture
def options(model_folder, collection_folder) -> list[str]:
    return ["--dicomweb", "PACS", "--model", str(model_folder), "--collection", str(collection_folder)]


def test_slices_come_in_their_order_and_the_middle_one_is_first(pacs, study):
    files = fetched_study("PACS", STUDY)
    assert files == study[::-1]
    assert first_view(files) == ([study[1]], (2, 3))


def test_of_a_slide_all_sizes_are_read(make_slide):
    values = np.zeros((64, 96, 3), np.uint8)
    sizes = [make_slide(values[::step, ::step]) for step in (2, 1, 4)]
    assert first_view(sizes) == ([sizes[1], sizes[0], sizes[2]], None)


def test_the_middle_image_is_analysed_or_all_of_them(pacs, options, capsys, tmp_path):
    assert main(["analyse", STUDY, "--json", *options]) == 0
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert (next(iter(answer["modality"])), answer["slice"], answer["slices"]) == ("ct", 2, 3)
    assert main(["analyse", STUDY, "--report", str(tmp_path / "report.json"), *options]) == 0
    assert "slice       2 of 3 of the first series; --csv FILE reads all" in capsys.readouterr().out
    assert json.loads((tmp_path / "report.json").read_text())["image"]["slice"] == 2
    assert main(["analyse", STUDY, "--csv", str(tmp_path / "table.csv"), *options]) == 0
    assert "3 of 3 files" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "table.csv")
    assert table["file"].tolist() == ["1.dcm", "2.dcm", "3.dcm"]
    assert "Doe" not in (tmp_path / "table.csv").read_text() + said.out


def test_other_servers_and_several_studies_are_refused(pacs, options, capsys):
    assert main(["analyse", STUDY, *options, "--dicomweb", "Other"]) == 2
    assert "MERMED_DICOMWEB names no server 'Other'; it has PACS." in capsys.readouterr().err
    assert pacs.asked == []
    rows = [
        {"0020000D": {"Value": [uid]}, "00080050": {"Value": ["A1"]}, "00080020": {"Value": ["20240102"]}}
        for uid in (STUDY, f"{STUDY}.7")
    ]
    pacs.sends(json.dumps(rows).encode(), "application/dicom+json")
    assert main(["analyse", "A1", *options]) == 1
    assert f"name one: {STUDY} (20240102); {STUDY}.7 (20240102)." in capsys.readouterr().err
