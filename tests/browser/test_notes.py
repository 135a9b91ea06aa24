"""Tags, notes and what neighbours say, in Chromium: written, seen, coloured and filtered by, taken back."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mermed_core.collections.annotations import read_annotations, tag_cases
from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, ViewportSize, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)
WIDE = ViewportSize(width=1400, height=900)
PHONE = ViewportSize(width=390, height=844)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(BUNDLED_COLLECTION, tmp_path_factory.mktemp("noted") / "mine")


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str], folder: Path) -> str:
    return serve(Settings.from_environment({"MERMED_COLLECTION": str(folder), "MERMED_NOTES": "1"}))


def opened(browser: Browser, address: str, viewport: ViewportSize = WIDE) -> Page:
    page = browser.new_page(viewport=viewport)
    page.set_default_timeout(60_000)
    page.goto(address)
    page.get_by_role("tab", name="Explore", exact=True).click()
    expect(page.locator(".mm-legend button").first).to_be_visible()
    return page


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    page = opened(browser, address, getattr(request, "param", WIDE))
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert errors == []


def test_a_column_of_neighbours_is_made_when_it_is_wanted_and_filters_like_any_other(page):
    page.get_by_role("radio", name="Prediction by neighbours").check()
    expect(page.locator(".mm-legend-about")).to_contain_text("not the model's own classifier")
    expect(page.locator(".mm-making")).to_be_hidden()
    page.locator(".mm-legend button").first.click()
    expect(page.locator(".mm-sentence")).to_contain_text("predicted by neighbours as")
    page.get_by_role("radio", name="Outlier score").check()
    expect(page.locator(".mm-map-ramp")).to_be_visible()
    page.locator(".mm-histogram select").select_option(label="Neighbours' agreement")
    expect(page.locator(".mm-span").first).to_be_visible()
    page.wait_for_function("/\\.11\\*/.test(location.hash)")
    page.reload()  # the address leads back to what must be computed first
    expect(page.locator(".mm-map-ramp")).to_be_visible()
    expect(page.locator(".mm-sentence")).to_contain_text("predicted by neighbours as")


def test_what_is_selected_is_tagged_coloured_by_and_the_last_change_taken_back(
    page, folder, browser, address
):
    page.locator("[data-panel=notes]").click()
    tag = page.get_by_role("button", name="Tag the selected cases")
    expect(tag).to_be_disabled()  # never all cases at once by mistake
    page.locator(".mm-legend button", has_text="CT").first.click()
    expect(page.locator(".mm-sentence")).to_contain_text("60 of 420")
    page.get_by_label("Tag, a word or a few").fill("look again")
    tag.click()
    expect(page.locator(".mm-notes-told")).to_have_text("look again: 60 cases changed")
    assert len(read_annotations(folder).tags["look again"]) == 60
    page.get_by_role("radio", name="Tags", exact=True).check()
    expect(page.locator(".mm-legend button", has_text="look again")).to_be_visible()
    page.get_by_role("button", name="Clear", exact=True).click()
    page.locator(".mm-notes li button", has_text="look again").click()
    expect(page.locator(".mm-sentence")).to_contain_text("tagged “look again”, 60 of 420")
    page.wait_for_function("location.hash.includes('nglook')")
    second = opened(browser, page.url)  # somebody else sees it too
    expect(second.locator(".mm-sentence")).to_contain_text("tagged “look again”, 60 of 420")
    second.close()
    page.locator("[data-panel=list]").click()
    expect(page.locator(".mm-list-row").first).to_contain_text("look again")
    page.locator("[data-panel=notes]").click()
    page.get_by_role("button", name="Undo", exact=True).last.click()
    expect(page.locator(".mm-notes-told")).to_have_text("Taken back")
    expect(page.locator(".mm-sentence")).to_contain_text("0 of 420")
    assert not read_annotations(folder).tags


def test_a_note_is_written_on_one_case_and_seen_beside_it(page, folder):
    page.locator(".mm-find").fill("phantom_ct/1-000000")
    expect(page.locator(".mm-sentence")).to_contain_text("1 of 420")
    page.locator("[data-panel=notes]").click()
    expect(page.locator(".mm-note b")).to_have_text("Note on phantom_ct/1-000000")
    page.locator(".mm-note textarea").fill("the <b>first</b> one")
    page.get_by_role("button", name="Save the note").click()
    expect(page.locator(".mm-notes-told")).to_have_text("Note saved")
    expect(page.locator(".mm-notes li")).to_contain_text("with a note")
    assert list(read_annotations(folder).notes.values()) == ["the <b>first</b> one"]
    page.locator("[data-panel=list]").click()
    expect(page.locator(".mm-list-row").first).to_contain_text("the <b>first</b> one")  # as text
    page.locator("[data-panel=notes]").click()
    page.get_by_role("button", name="Undo", exact=True).last.click()
    expect(page.locator(".mm-notes-told")).to_have_text("Taken back")
    assert not read_annotations(folder).notes


@pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])
def test_nothing_is_wider_than_a_phone(page):
    page.locator("[data-panel=notes]").click()
    expect(page.get_by_label("Tag, a word or a few")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


def test_where_visitors_may_not_write_they_read(serve, browser, tmp_path):
    folder = shutil.copytree(BUNDLED_COLLECTION, tmp_path / "public")
    tag_cases(folder, "shown to all", load_collection(folder).records["case_id"][:3])
    page = opened(browser, serve(Settings.from_environment({"MERMED_COLLECTION": str(folder)})))
    page.locator("[data-panel=notes]").click()
    expect(page.locator(".mm-notes li")).to_contain_text("shown to all")
    expect(page.locator(".mm-notes-closed")).to_be_visible()
    expect(page.get_by_role("button", name="Tag the selected cases")).to_be_hidden()
    page.close()
