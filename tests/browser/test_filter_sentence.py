"""The sentence of a selection in Chromium, over given columns: several filters read as one sentence."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.texts import map_text
from mermed_core.languages.say import speaking

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
PARTS = Path(map_text.__file__).parents[1] / "components"
COLUMNS = [
    {"name": "modality", "title": "Modality", "words": ""},
    {"name": "label", "title": "Label", "words": ""},
    {"name": "age", "title": "Age", "words": ""},
    {"name": "date", "title": "Date", "words": ""},
    {"name": "sex", "title": "Sex", "words": ""},
    {"name": "outlier", "title": "Outlier score", "words": "with an outlier score {}"},
]
NONE = {"name": "no value", "code": 255}
FACTS = [
    {"groups": [{"name": "CT", "code": 0}], "limits": None, "dates": False},
    {
        "groups": [{"name": "Benign", "code": 0}, {"name": "Malignant", "code": 1}],
        "limits": None,
        "dates": False,
    },
    {"groups": [NONE], "limits": [0, 254], "dates": False},
    {"groups": [NONE], "limits": [18262, 18516], "dates": True},  # days from 1 January 2020 on
    {"groups": [{"name": "F", "code": 0}, NONE], "limits": None, "dates": False},
    {"groups": [], "limits": [0, 254], "dates": False},
]
AGE, DATE, SEX, SCORE = ("span", 2, 40, 59), ("span", 3, 31, 59), ("class", 4, 0), ("span", 5, 1, 2)
BEGIN = """
const props = { codes: { other: 254, missing: 255 } };
document.documentElement.lang = "%s";
const bar = filterBar(document.querySelector("div"), {
  data: { facts: async (column) => %s[column] }, columns: %s, sentences: %s, on: { change() {} },
});
"""


def show(page: Page, language: str, *parts: tuple[object, ...]) -> None:
    """Shows a selection that was narrowed down by one part after the other."""
    page.set_content('<div><p class="mm-sentence"></p><input class="mm-find"></div>')
    with speaking(language):
        sentences = dict(map_text.MAP_SCRIPT)
    scripts = [(PARTS / name).read_text(encoding="utf-8") for name in ("ramp_words.js", "map_selection.js")]
    scripts.append((PARTS / "filter_bar.js").read_text(encoding="utf-8"))
    begin = BEGIN % (language, *(json.dumps(each) for each in (FACTS, COLUMNS, sentences)))
    steps = [
        {"how": "keep" if number else "new", "what": what, "numbers": numbers}
        for number, (what, *numbers) in enumerate(parts)
    ]
    page.add_script_tag(content="\n".join([*scripts, begin, f"bar.show({json.dumps(steps)}, 7, 420);"]))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([AGE], "Cases with Age 40 to 60, 7 of 420"),
        ([DATE, AGE], "Cases with Date Feb 1, 2020 to Mar 1, 2020 and Age 40 to 60, 7 of 420"),
        (
            [AGE, ("class", 1, 0), SEX, ("class", 0, 0), DATE],
            "CT labelled Benign with Age 40 to 60, Sex F and Date Feb 1, 2020 to Mar 1, 2020, 7 of 420",
        ),
        ([AGE, SCORE], "Cases with an outlier score 1 to 3 and with Age 40 to 60, 7 of 420"),
        ([("class", 4, 255), AGE], "Cases without Sex and with Age 40 to 60, 7 of 420"),
        ([("class", 2, 255), ("class", 4, 255)], "Cases without Age and without Sex, 7 of 420"),
        (
            [("around", 1, 2, 3, 4, 5, 6), ("around", 1, 2, 3, 4, 5, 6)],
            "Cases inside an outline and inside an outline, 7 of 420",
        ),
    ],
)
def test_filters_that_narrow_down_read_as_one_sentence(page, parts, said):
    show(page, "en", *parts)
    expect(page.locator(".mm-sentence")).to_have_text(said)


def test_filters_read_as_one_german_sentence(page):
    show(page, "de", AGE, SEX, DATE)
    said = "Fälle mit Age 40 bis 60, Sex F und Date 01.02.2020 bis 01.03.2020, 7 von 420"
    expect(page.locator(".mm-sentence")).to_have_text(said)


def test_a_part_that_is_taken_out_leaves_a_sentence(page):
    show(page, "en", AGE, SEX)
    page.evaluate("bar.show([{ how: 'new', what: 'class', numbers: [4, 0] }], 9, 420)")
    expect(page.locator(".mm-sentence")).to_have_text("Cases with Sex F, 9 of 420")


def test_what_is_said_of_everything_else_has_its_own_count(page):
    show(page, "en", AGE)
    expect(page.locator(".mm-sentence")).to_have_text("Cases with Age 40 to 60, 7 of 420")
    assert page.evaluate("bar.words(false)") == "Cases with Age 40 to 60, 7 of 420"
    assert page.evaluate("bar.words(true)") == "All but: Cases with Age 40 to 60, 413 of 420"
