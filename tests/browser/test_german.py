"""Walks the page in German: our words are German, nothing overflows, English is a press away."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.languages.catalogue import languages
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

from .visit import visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)  # a busy machine is slow, not wrong
SETTINGS = Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION), "MERMED_LANGUAGE": "de"})
WIDE, PHONE = (1400, 900), (390, 844)
TABS = ("Klassifizieren", "Ähnliche Fälle", "Erkunden", "Stapel", "Ihr Klassifikator")
EXAMPLE = ASSETS / "examples" / "dermatology.png"


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str]) -> str:
    return serve(SETTINGS)


@pytest.fixture(params=[WIDE, PHONE], ids=["wide", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """The German page in a browser that prefers English."""
    width, height = request.param
    page = browser.new_page(viewport={"width": width, "height": height}, locale="en-US")
    page.set_default_timeout(60_000)
    visit(page, address)
    yield page
    page.close()


def english() -> set[str]:
    """Returns the English sentences that are another one in German; a single word may be a name as well."""
    tables = languages()["de"].tables.values()
    pairs = [pair for table in tables for pair in table.items()]
    return {said for said, german in pairs if said != german and " " in said and "{" not in said}


def answer(page: Page, path: Path) -> None:
    page.set_input_files("#classify-file input[type=file]", path)
    expect(page.locator(".mm-second")).to_be_visible(timeout=60_000)


def test_the_first_screen_says_in_german_what_the_page_is_for(page):
    assert page.evaluate("document.documentElement.lang") == "de"
    notice = page.locator(".mm-research")
    expect(notice).to_contain_text("Nur zu Forschungszwecken. Kein Medizinprodukt")
    box, size = notice.bounding_box(), page.viewport_size
    assert box is not None
    assert size is not None
    assert box["y"] + box["height"] < size["height"]
    expect(page.get_by_text("Dateien wählen")).to_be_visible()


def test_an_answer_is_in_german(page):
    answer(page, EXAMPLE)
    expect(page.locator("#classify-modality")).to_contain_text("Haut")
    findings = page.locator("#classify-findings")
    expect(findings).to_contain_text("Befunde", ignore_case=True)
    expect(findings).to_contain_text("Synthetische pigmentierte Läsion")
    words = page.locator(".mm-word").all_inner_texts()
    assert {word.replace("\u00ad", "") for word in words} <= {"wahrscheinlich", "möglich", "unwahrscheinlich"}
    expect(page.locator("#classify-cases")).to_contain_text("Haut")


def test_nothing_on_any_tab_is_english_or_wider_than_the_window(page):
    answer(page, EXAMPLE)
    left = english()
    for tab in TABS:
        page.get_by_role("tab", name=tab, exact=True).click()
        if tab == "Erkunden":
            expect(page.locator(".mm-map-count")).to_contain_text("420 Fälle")
        lines = {line.strip() for line in page.inner_text("body").splitlines()}
        assert {line for line in lines if line in left} == set(), tab
        assert not lines & {"Drop File Here", "Click to Upload"}, tab
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), tab
        for word in page.locator(".mm-word:visible, .mm-map-tools button:visible").all():
            assert word.evaluate("node => node.scrollWidth <= node.clientWidth + 1"), word.inner_text()


def test_a_refused_file_is_refused_in_german(page, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(EXAMPLE.read_bytes()[:2000])
    page.set_input_files("#classify-file input[type=file]", broken)
    expect(page.locator("#classify-notice")).to_contain_text("Exportieren oder senden Sie sie noch einmal")


def test_english_is_a_press_away_and_back(page, address):
    page.locator(".mm-languages a", has_text="English").click()
    expect(page.get_by_role("tab", name="Classify")).to_be_visible()
    assert page.url == f"{address}en/"
    assert page.evaluate("document.documentElement.lang") == "en"
    answer(page, EXAMPLE)
    expect(page.locator("#classify-modality")).to_contain_text("Skin")
    page.locator(".mm-languages a", has_text="Deutsch").click()
    expect(page.get_by_role("tab", name="Klassifizieren")).to_be_visible()
    assert page.url == address
