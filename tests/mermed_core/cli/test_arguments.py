"""The types of options, and the options that commands share."""

import argparse

import pytest

from mermed_core.cli.arguments import count, positive, share


@pytest.mark.parametrize("wrong", ["-1", "two", "1.5", ""])
def test_a_count_is_a_whole_number_from_0_up(wrong):
    assert [count(text) for text in ("0", "12")] == [0, 12]
    with pytest.raises(argparse.ArgumentTypeError, match="whole number from 0 up"):
        count(wrong)


@pytest.mark.parametrize("wrong", ["0", "-1", "1.5", ""])
def test_a_positive_number_is_a_whole_number_from_1_up(wrong):
    assert positive("7") == 7
    with pytest.raises(argparse.ArgumentTypeError, match="whole number from 1 up"):
        positive(wrong)


@pytest.mark.parametrize("wrong", ["-0.1", "1.01", "nan", "half", ""])
def test_a_share_is_a_number_from_0_to_1(wrong):
    assert [share(text) for text in ("0", ".25", "1")] == [0.0, 0.25, 1.0]
    with pytest.raises(argparse.ArgumentTypeError, match="from 0 to 1"):
        share(wrong)


def test_data_must_be_given(error_of):
    code, sentence = error_of("fit", "--model", "m")
    assert code == 2
    assert sentence == "the following arguments are required: --data; see mermed fit --help."


def test_a_wrong_value_names_its_option(error_of):
    code, sentence = error_of("fit", "--model", "m", "--data", "d", "--workers=-1")
    assert code == 2
    assert sentence == "--workers: '-1' is not a whole number from 0 up; see mermed fit --help."
