"""Many files: a row for each, in order, whatever is wrong with one of them."""

import csv
import functools
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from mermed_core.data.phantoms import FINDINGS, draw_phantom
from mermed_core.errors import DamagedImageError
from mermed_core.imaging.limits import Limits
from mermed_core.imaging.reader import read_image
from mermed_core.inference import predictor as predictor_file
from mermed_core.inference.batch import REFUSED, BatchRow, Pace, analyse_files, files_of, table_of
from mermed_core.reports.spreadsheet import to_csv


def png(modality: str, seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(draw_phantom(modality, FINDINGS[modality][0], seed=seed, size=64).pixels).save(
        buffer, "PNG"
    )
    return buffer.getvalue()


def test_every_file_gets_a_row_and_a_refused_one_stops_nothing(predictor):
    files = [("a.png", png("ct")), ("=1+1.png", b"%PDF-1.7"), ("c.png", png("fundus"))]
    rows = list(analyse_files(predictor, files))
    assert [row.name for row in rows] == ["a.png", "=1+1.png", "c.png"]
    assert rows[1].answer == REFUSED
    assert "PDF" in rows[1].problem
    assert rows[0].picture is not None
    assert max(rows[0].picture.shape) <= 96
    alone = predictor.analyse(predictor.read(files[2][1]), neighbours=1)
    table = table_of(rows)
    line = table.iloc[2]
    assert line["answer"] == str(alone.familiarity)
    assert line["modality"] == next(iter(alone.modality))
    assert line["nearest_case"] == alone.neighbours[0].case.case_id
    if alone.findings:
        assert line["probability"] == pytest.approx(alone.findings[0].probability, abs=1e-4)
    read = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [row["file"] for row in read] == ["a.png", "'=1+1.png", "c.png"]
    assert read[1]["modality"] == ""


def test_rows_come_one_at_a_time(predictor):
    def files():
        yield "a.png", png("ct")
        raise AssertionError("asked for more than was wanted")

    assert next(analyse_files(predictor, files())).name == "a.png"


def test_files_come_from_folders_archives_and_alone(tmp_path):
    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "folder" / "inner" / "a.png").write_bytes(b"one")
    (tmp_path / "folder" / "b.png").write_bytes(b"two")
    archive = tmp_path / "images.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("x/c.png", b"three")
    assert sorted(name for name, _ in files_of(tmp_path / "folder")) == ["b.png", "inner/a.png"]
    assert files_of(archive) == [("c.png", b"three")]
    assert files_of(tmp_path / "folder" / "b.png") == [("b.png", tmp_path / "folder" / "b.png")]
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(DamagedImageError, match="ZIP"):
        files_of(archive)


def test_archives_in_a_folder_are_opened_or_refused_by_name(predictor, tmp_path):
    (tmp_path / "a.png").write_bytes(png("ct"))
    with zipfile.ZipFile(tmp_path / "more.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x/b.png", png("fundus"))
        file.writestr("deep.zip", b"PK\x03\x04")
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 and no more")
    rows = {row.name: row for row in analyse_files(predictor, files_of(tmp_path))}
    assert set(rows) == {"a.png", "more.zip/x/b.png", "more.zip/deep.zip", "cut.zip"}
    assert {name for name, row in rows.items() if row.answer == REFUSED} == {"more.zip/deep.zip", "cut.zip"}
    assert "zip archive" in rows["cut.zip"].problem
    assert rows["more.zip/x/b.png"].analysis == predictor.analyse(
        predictor.embed(predictor.read(png("fundus"))), neighbours=1
    )


def test_a_slide_in_several_files_is_one_picture_read_at_the_size_that_fits(
    predictor, make_slide, tmp_path, monkeypatch
):
    tissue = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    (tmp_path / "slide").mkdir()
    for step in (1, 2, 4):
        (tmp_path / "slide" / f"{step}.dcm").write_bytes(make_slide(tissue[::step, ::step]))
    label = make_slide(tissue[:32], ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"])
    (tmp_path / "slide" / "9.dcm").write_bytes(label)
    limits = Limits(max_bytes=20_000)  # the first has 36,864 bytes of pixels, the second 9,216
    monkeypatch.setattr(predictor_file, "read_image", functools.partial(read_image, limits=limits))
    files = files_of(tmp_path)
    assert [name for name, _ in files] == ["slide/1.dcm", "slide/9.dcm"]
    rows = list(analyse_files(predictor, files))
    assert [(row.name, row.frames, row.answer == REFUSED) for row in rows] == [
        ("slide/1.dcm", 1, False),
        ("slide/9.dcm", 1, True),
    ]
    assert rows[0].picture is not None
    assert rows[0].picture.shape == (48, 64, 3)
    assert "may name the patient" in rows[1].problem


def test_the_pace_says_how_long_the_rest_takes(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("mermed_core.inference.batch.time.monotonic", lambda: now[0])
    pace = Pace(10, began=100.0)
    assert pace.seconds_left is None
    now[0] = 100.02
    for name in ("a.txt", "b.txt"):
        pace.count(BatchRow(name, None, "This is no image."))
    assert (pace.done, pace.seconds_left) == (2, None)
    pace.refused = 0
    now[0], pace.done = 104.0, 2
    assert pace.rate == pytest.approx(0.5)
    assert pace.seconds_left == pytest.approx(16)


def test_an_empty_table_has_its_columns():
    assert "probability" in table_of([]).columns


def frames(count: int) -> bytes:
    pages = [
        Image.fromarray(draw_phantom("ct", FINDINGS["ct"][0], seed=i, size=64).pixels) for i in range(count)
    ]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    return buffer.getvalue()


def test_a_file_with_frames_gives_a_row_for_each_and_says_where_some_are_left_out(predictor, monkeypatch):
    files = [("stack.tiff", frames(3)), ("a.png", png("ct"))]
    rows = list(analyse_files(predictor, files))
    assert [(row.name, row.frame, row.frames) for row in rows] == [
        *(("stack.tiff", number, 3) for number in range(3)),
        ("a.png", 0, 1),
    ]
    alone = predictor.analyse(predictor.read(files[0][1], 2), neighbours=1)
    assert rows[2].analysis is not None
    assert rows[2].analysis.modality == alone.modality
    assert table_of(rows)["frame"].tolist() == [1, 2, 3, 1]
    monkeypatch.setattr("mermed_core.inference.batch.MOST_FRAMES", 2)
    rows = list(analyse_files(predictor, files))
    assert len(rows) == 3
    assert rows[1].notes[-1] == "Only the first 2 of the file's 3 frames are analysed."
    assert "Only the first" not in " ".join((*rows[0].notes, *rows[2].notes))


def test_a_frame_that_cannot_be_read_stops_no_other(predictor, monkeypatch):
    read = predictor.read

    def fails(source, frame=0, *copies):
        if frame == 1:
            raise DamagedImageError("This frame is damaged.")
        return read(source, frame, *copies)

    monkeypatch.setattr(predictor, "read", fails)
    rows = list(analyse_files(predictor, [("stack.tiff", frames(3))]))
    assert [row.problem for row in rows] == ["", "This frame is damaged.", ""]
    assert rows[1].notes == ("This frame is damaged.",)


def test_what_is_wrong_with_a_picture_is_a_column(predictor):
    buffer = io.BytesIO()
    Image.new("L", (100, 100), 7).save(buffer, "PNG")
    rows = list(analyse_files(predictor, [("dark.png", buffer.getvalue()), ("a.png", png("ct"))]))
    assert rows[0].concerns == ("nearly_empty",)
    assert table_of(rows)["concerns"].tolist() == ["nearly_empty", " ".join(rows[1].concerns)]


def test_the_pace_counts_files_frame_by_frame():
    pace = Pace(3)
    told = []
    for frame, count in ((0, 1), (0, 3), (1, 3), (2, 3), (0, 2), (1, 2)):
        pace.count(BatchRow("a", None, frame=frame, frames=count))
        told.append(round(pace.done, 2))
    assert told == [1, 1.33, 1.67, 2, 2.5, 3]
