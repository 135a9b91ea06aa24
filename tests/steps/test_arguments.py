import pytest

from mermed_core.errors import ManifestError
from train.arguments import open_all, run


def test_sources_are_joined_in_order():
    assert len(open_all(["phantoms:2", "phantoms:1@1"])) == 21


def test_a_users_mistake_ends_as_one_sentence():
    def step() -> None:
        raise ManifestError("is not a modality.", row=3, column="modality")

    with pytest.raises(SystemExit) as ended:
        run(step)
    assert ended.value.code == "error: row 3, column 'modality': is not a modality."


def test_interrupted_it_says_nothing_more():
    def step() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        run(step)
    assert ended.value.code == 130
