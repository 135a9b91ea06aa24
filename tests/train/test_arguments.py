import argparse

import pytest

from mermed_core.errors import ManifestError
from train.arguments import add_common, open_all, run, share, step_parser


def test_sources_are_joined_in_order():
    assert len(open_all(["phantoms:2", "phantoms:1@1"])) == 21


def test_tables_alike_in_name_can_be_opened_together(tmp_path):
    files = [tmp_path / folder / "labels.csv" for folder in "ab"]
    for file in files:
        file.parent.mkdir()
        file.write_text("image_path\nx.png\n")
    assert open_all([str(file) for file in files], "ct").frame["source"].tolist() == ["a/labels", "b/labels"]


def test_a_users_mistake_ends_as_one_sentence():
    def step() -> None:
        raise ManifestError("is not a modality.", row=3, column="modality")

    with pytest.raises(SystemExit) as ended:
        run(step)
    assert ended.value.code == "error: row 3, column 'modality': is not a modality."


def test_what_the_system_refuses_is_told_in_its_words(tmp_path):
    with pytest.raises(SystemExit) as ended:
        run(lambda: (tmp_path / "none" / "file").touch())
    assert str(ended.value.code).startswith("error: ")
    assert str(tmp_path / "none" / "file") in str(ended.value.code)


def test_a_defect_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run(lambda: print(1 // 0))


def test_interrupted_it_ends_with_a_word_and_130(capsys):
    def step() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run(step)
    assert ended.value.code == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_the_parser_shows_the_description_as_it_is_written():
    shown = step_parser("fit_heads", "First.\n\n    python -m x   # as it stands\n").format_help()
    assert shown.startswith("usage: python -m train.fit_heads")
    assert "\n    python -m x   # as it stands\n" in shown


def test_data_may_be_given_more_than_once_and_must_be_given(capsys):
    parser = step_parser("x", None)
    add_common(parser)
    assert parser.parse_args(["--model", "m", "--data", "a", "--data", "b"]).data == ["a", "b"]
    with pytest.raises(SystemExit):
        parser.parse_args(["--model", "m"])
    assert "--data" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["-1", "two", "1.5", ""])
def test_a_number_of_workers_is_a_number(capsys, wrong):
    parser = step_parser("x", None)
    add_common(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--model", "m", "--data", "a", f"--workers={wrong}"])
    assert "--workers" in capsys.readouterr().err


def test_a_share_is_a_number_from_0_to_1():
    assert [share(text) for text in ("0", ".25", "1")] == [0.0, 0.25, 1.0]
    for wrong in ("-0.1", "1.01", "nan", "half", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="from 0 to 1"):
            share(wrong)
