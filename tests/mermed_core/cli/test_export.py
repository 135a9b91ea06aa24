"""`mermed export` writes a collection as a page; what the page holds is tested where the page is."""

from mermed_core.cli import main


def test_a_collection_becomes_a_page(collection_folder, tmp_path, capsys):
    assert main(["export", str(collection_folder), "--static", str(tmp_path / "page")]) == 0
    assert (tmp_path / "page" / "index.html").is_file()
    assert str(tmp_path / "page" / "index.html") in capsys.readouterr().out


def test_what_is_no_collection_is_refused_and_nothing_is_written(error_of, tmp_path):
    code, sentence = error_of("export", str(tmp_path), "--static", str(tmp_path / "page"))
    assert code == 1
    assert "no collection" in sentence
    assert not (tmp_path / "page").exists()
