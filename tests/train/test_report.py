import pytest

from train import pretrain
from train.arguments import run
from train.report import main

SMOKE = "train/recipes/smoke.toml"


@pytest.fixture
def folder(tmp_path, capsys):
    assert pretrain.main([SMOKE, f"run.folder={tmp_path / 'run'}", "schedule.length=2"]) == 0
    capsys.readouterr()
    return tmp_path / "run"


def test_the_report_lies_in_the_run_or_where_it_is_asked_for(folder, tmp_path, capsys):
    main([str(folder), "--images", "14"])
    main([str(folder), "--images", "0", "--out", str(tmp_path / "plain.html")])
    assert capsys.readouterr().out.split() == [str(folder / "report.html"), str(tmp_path / "plain.html")]
    assert "Nearest neighbours" in (folder / "report.html").read_text(encoding="utf-8")
    assert "Nearest neighbours" not in (tmp_path / "plain.html").read_text(encoding="utf-8")


def test_without_the_images_the_rest_is_reported(folder, caplog):
    main([str(folder), "--data", "/no/such/place"])
    assert "Not shown: " in (folder / "report.html").read_text(encoding="utf-8")
    assert "no nearest neighbours" in caplog.text


def test_no_run_is_a_sentence(tmp_path):
    with pytest.raises(SystemExit, match="holds no run"):
        run(lambda: main([str(tmp_path)]))
