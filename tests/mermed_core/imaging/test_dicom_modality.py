"""Whether a header's words name the chest, in the languages and character sets of real devices."""

import pytest

from mermed_core.imaging.dicom_modality import OTHER_KINDS, X_RAYS, header_modality, is_chest
from mermed_core.reports.case import wording

CHEST = """
CHEST|chest_pa|XR THORAX PA|Rx Tórax|TÓRAX|TORACE|POUMON|POITRINE|cage thoracique|Lungen|BRUSTKORB|BRUST
KLATKA PIERSIOWA|klatki piersiowej|płuca|грудная клетка|ГРУДНАЯ КЛЕТКА|ОГК|лёгкие|легкие|легені|гръден кош
胸部|胸部正位|肺|흉부|TORAKS|GÖĞÜS|akciğer|hrudník|plíce|mellkas|bröst|lungor|bryst|borstkas|rintakehä
θώρακας|pulmão|pulmón|polmoni|plămâni|phổi|NGỰC|ปอด|صدر|חזה|छाती|prsni koš|pluća|ＴＨＯＲＡＸ
"""
OTHER = """
HAND|TSPINE|thoracic spine lateral, chest stand
Brustwirbelsäule|BWS|bröstrygg|colonna toracica|rachis thoracique
columna torácica|胸椎|胸骨|흉추|грудной отдел позвоночника|kręgosłup piersiowy|borstwervel|hrudní páteř
Manchester knee|plunge|腹部|PELVIS
"""


@pytest.mark.parametrize("words", CHEST.strip().replace("\n", "|").split("|"))
def test_words_for_the_chest(words):
    assert is_chest(words)
    assert is_chest(words.upper())


@pytest.mark.parametrize("words", OTHER.strip().replace("\n", "|").split("|"))
def test_words_for_other_parts(words):
    assert not is_chest(words)


@pytest.mark.parametrize(
    ("words", "encoding"),
    [
        ("胸部", "utf-8"),
        ("胸部", "gb18030"),
        ("胸部", "shift_jis"),
        ("胸部", "iso2022_jp_2"),
        ("흉부", "euc_kr"),
        ("грудная клетка", "iso8859_5"),
        ("грудная клетка", "cp1251"),
        ("klatka piersiowa, płuca", "cp1250"),
    ],
)
def test_a_character_set_that_the_file_does_not_state(words, encoding):
    assert is_chest(words.encode(encoding).decode("latin-1"))


def test_the_hint_of_a_header():
    assert header_modality(" dx ", "") == "cxr"
    assert header_modality("DX", "TORACE") == "cxr"
    assert header_modality("CT", "HAND") == "ct"


def test_of_a_kind_that_is_none_of_the_seven_the_tag_is_returned_and_no_other_word():
    assert header_modality(" mr ", "CHEST") == "MR"
    assert header_modality("DX", "HAND") == "DX"
    assert header_modality("OT", "") is None
    assert header_modality("Doe^Jane", "") is None


def test_every_such_kind_has_a_name():
    assert set(wording.OTHER_KINDS) == {*OTHER_KINDS, *X_RAYS}
