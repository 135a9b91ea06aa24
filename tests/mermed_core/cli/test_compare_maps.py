"""`mermed compare-maps` prints how many neighbours two collections share."""

import json

from mermed_core.cli import main


def test_a_collection_beside_itself_shares_all_neighbours(collection_folder, capsys):
    assert main(["compare-maps", str(collection_folder), str(collection_folder), "--neighbours", "3"]) == 0
    said = capsys.readouterr().out
    assert "42 cases are in both, of 42 and 42" in said
    assert "3 nearest cases that both collections name, by chance 0.073" in said
    assert "all             1.000  (1.000 to 1.000)  42 cases" in said
    assert "Chest X-ray     1.000" in said


def test_the_figures_come_as_json(collection_folder, capsys):
    assert main(["compare-maps", str(collection_folder), str(collection_folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["matched"], found["neighbours"], found["all"]["mean"]) == (42, 10, 1)
    assert len(found["modalities"]) == 7


def test_what_is_no_collection_is_refused(error_of, collection_folder, tmp_path):
    code, sentence = error_of("compare-maps", collection_folder, tmp_path)
    assert code == 1
    assert "no collection" in sentence
