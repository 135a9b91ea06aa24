import pytest

from mermed_core.modalities import MODALITIES, MODALITY_KEYS, UnknownModalityError, modality_key


def test_there_are_the_seven_of_the_paper():
    assert MODALITY_KEYS == ("ct", "cxr", "ultrasound", "pathology", "fundus", "oct", "dermatology")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("CT", "ct"),
        ("CXR", "cxr"),
        ("Chest X-ray", "cxr"),
        (" us ", "ultrasound"),
        ("Path", "pathology"),
        ("CFP", "fundus"),
        ("OCT", "oct"),
        ("skin", "dermatology"),
        ("Derm", "dermatology"),
    ],
)
def test_names_of_the_paper_and_its_tables_are_read(name, key):
    assert modality_key(name) == key


@pytest.mark.parametrize("name", ["", "MRI", "c t", None])
def test_other_names_are_refused_with_those_that_are_known(name):
    with pytest.raises(UnknownModalityError, match="dermatology"):
        modality_key(name)


def test_no_alias_stands_for_two():
    names = [
        name.lower() for item in MODALITIES.values() for name in {item.key, item.name.lower(), *item.aliases}
    ]
    assert len(names) == len(set(names))


def test_statistics_are_in_range_and_grey_where_the_modality_is():
    for item in MODALITIES.values():
        assert all(0 < value < 1 for value in (*item.mean, *item.std))
        assert (len(set(item.mean)) == 1) == (item.channels == 1)
    assert len({item.colour for item in MODALITIES.values()}) == 7
