"""Long words of labels can be broken between syllables, in English and German."""

import pytest

from app.components.hyphens import breakable


@pytest.mark.parametrize(
    ("word", "broken"),
    [
        ("Adenocarcinoma", "Ade-no-car-ci-noma"),
        ("neovascularisation", "neo-vas-cu-la-ri-sa-tion"),
        ("Plattenepithelkarzinom", "Plat-ten-epi-thel-kar-zi-nom"),
        ("Gallengangsatresie", "Gal-len-gangs-atre-sie"),
        ("Makulaödem", "Maku-la-ödem"),
        ("cystadenoma", "cyst-ade-noma"),
        ("Pathology", "Patho-logy"),
    ],
)
def test_a_long_word_is_broken_between_syllables(word, broken):
    assert breakable(word).replace("\u00ad", "-") == broken


def test_short_words_digits_and_set_hyphens_stay():
    for text in ("Skin lesion", "COVID-19", "Ki-67 stain", "un\u00adwahrscheinlich", ""):
        assert breakable(text) == text


def test_nothing_but_soft_hyphens_is_added():
    text = "Actinic keratosis or intraepithelial carcinoma <b>"
    assert breakable(text).replace("\u00ad", "") == text
