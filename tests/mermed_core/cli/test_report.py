"""A run as a page, with and without its images."""

import pytest

from mermed_core.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    run = tmp_path_factory.mktemp("report") / "run"
    assert (
        main(["pretrain", "smoke", "data.manifest=phantoms:4", f"run.folder={run}", "schedule.length=2"]) == 0
    )
    return run


def test_the_report_is_in_the_run_or_where_it_is_asked_for(folder, tmp_path, capsys):
    assert main(["report", str(folder), "--images", "14"]) == 0
    assert main(["report", str(folder), "--images", "0", "--out", str(tmp_path / "plain.html")]) == 0
    assert capsys.readouterr().out.split() == [str(folder / "report.html"), str(tmp_path / "plain.html")]
    assert "Nearest neighbours" in (folder / "report.html").read_text(encoding="utf-8")
    assert "Nearest neighbours" not in (tmp_path / "plain.html").read_text(encoding="utf-8")


def test_without_the_images_the_rest_is_reported(folder, tmp_path, caplog):
    out = tmp_path / "page.html"
    assert main(["report", str(folder), "--data", "/no/such/place", "--out", str(out)]) == 0
    assert "/no/such/place" in out.read_text(encoding="utf-8")
    assert "no nearest neighbours" in caplog.text


def test_no_run_is_a_sentence(tmp_path, error_of):
    code, sentence = error_of("report", tmp_path)
    assert (code, "holds no run" in sentence) == (1, True)
