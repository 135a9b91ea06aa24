"""The views beside the map in Chromium: each filters the others, and pictures come one by one."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from mermed_core.collections.quality.case_measures import CaseMeasures, measure_cases
from mermed_core.collections.quality.check import check_collection
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)
WIDE = ViewportSize(width=1400, height=900)
PHONE = ViewportSize(width=390, height=844)


@pytest.fixture(scope="module")
def address(serve: Callable[..., str]) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        # Checks that need no picture: those of all pictures take a minute where the machine is busy.
        quick = partial(check_collection, checks=("labels", "outliers", "modalities"))
        patch.setattr("app.check_job.check_collection", quick)
        settings = Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})
        yield serve(settings, fresh=True)  # no check ran yet


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    page = browser.new_page(viewport=WIDE)
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.get_by_role("tab", name="Explore", exact=True).click()
    expect(page.locator(".mm-sentence")).to_have_text("All 420 cases")
    page.set_viewport_size(getattr(request, "param", WIDE))
    yield page
    page.close()
    assert errors == []


def bar(page: Page, name: str) -> Locator:
    return page.locator(".mm-span", has_text=name)


def test_views_filter_each_other_and_the_sentence_says_it(page):
    page.locator(".mm-legend button", has_text="CT").first.click()
    expect(page.locator(".mm-sentence")).to_have_text("CT, 60 of 420")
    expect(page.locator(".mm-walk-count")).to_have_text("60 cases")
    expect(page.locator(".mm-span").first.locator("small")).to_have_text("30 / 210")
    page.locator(".mm-span").first.click()  # narrows down
    expect(page.locator(".mm-sentence")).to_contain_text("30 of 420")
    expect(page.locator(".mm-sentence")).to_contain_text("CT labelled Synthetic")
    expect(page.locator(".mm-legend button", has_text="CT").first.locator("small")).to_have_text("30 / 60")
    page.locator(".mm-sentence button").first.click()  # the modality is taken out, the label stays
    expect(page.locator(".mm-sentence")).to_contain_text("Cases labelled Synthetic")


def test_keys_undo_and_clear_on_the_map_and_its_tools(page):
    page.locator(".mm-legend button", has_text="CT").first.click()
    page.locator(".mm-map-tools [data-do=invert]").click()
    expect(page.locator(".mm-sentence")).to_contain_text("360 of 420")
    page.keyboard.press("Control+z")
    expect(page.locator(".mm-sentence")).to_have_text("CT, 60 of 420")
    page.keyboard.press("Escape")  # the button has the focus
    expect(page.locator(".mm-sentence")).to_have_text("All 420 cases")


def test_a_text_is_found_in_the_records_and_stays_in_the_address(page, browser):
    page.locator(".mm-find").fill("phantom_ct")
    expect(page.locator(".mm-sentence")).to_have_text("Cases holding “phantom_ct”, 60 of 420")
    page.wait_for_function("location.hash.includes('ntphantom_ct')")
    with browser.new_context() as other:
        second = other.new_page()
        second.goto(page.url)
        expect(second.locator(".mm-sentence")).to_contain_text("60 of 420")
        expect(second.locator(".mm-find")).to_have_value("phantom_ct")
    page.locator(".mm-find").fill("nothing is called this")
    expect(page.locator(".mm-sentence")).to_contain_text("0 of 420")
    expect(page.locator(".mm-cell")).to_have_count(0)
    page.locator(".mm-find").fill("")
    expect(page.locator(".mm-sentence")).to_have_text("All 420 cases")


def test_the_whole_map_has_an_address_too_so_that_a_reload_leads_back_to_it(page):
    page.locator(".mm-legend button", has_text="CT").first.click()
    page.wait_for_function("location.hash.includes('*n')")
    page.locator(".mm-map-tools [data-do=clear]").click()
    page.wait_for_function("location.hash === '#explore'")
    page.reload()
    expect(page.locator(".mm-sentence")).to_have_text("All 420 cases")


def test_only_what_is_in_view_is_in_the_page_and_each_picture_is_asked_for_by_itself(page):
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/picture/" in request.url else None)
    grid = page.locator(".mm-pictures-grid")
    grid.scroll_into_view_if_needed()
    grid.evaluate("box => box.scrollTo(0, box.scrollHeight)")
    expect(page.locator('.mm-cell[data-at="419"] img')).to_be_visible()
    assert page.locator(".mm-cell").count() < 80
    assert len(asked) == len(set(asked)) > 0
    page.wait_for_function("document.querySelector('.mm-cell[data-at=\"419\"] img').naturalWidth > 50")


def test_pictures_are_walked_by_keys_ringed_on_the_map_and_open_a_case(page):
    first = page.locator(".mm-cell").first
    expect(first).to_have_attribute("title", re.compile("phantom_ct/"))
    first.focus()
    expect(page.locator(".mm-ring")).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("End")
    expect(page.locator('.mm-cell[data-at="419"]')).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#similar-results .mm-case").first).to_be_visible()


@pytest.mark.parametrize(
    ("panel", "items"), [("grid", ".mm-pictures-grid .mm-cell"), ("list", ".mm-list-body button")]
)
def test_tab_passes_many_cases_as_one_and_arrows_walk_them(page, panel, items):
    page.locator(f"[data-panel={panel}]").click()
    expect(page.locator(items).nth(3)).to_be_visible()
    offered = page.locator(f"{items}[tabindex='0']")
    expect(offered).to_have_count(1)
    offered.focus()
    page.keyboard.press("ArrowDown")
    expect(offered).to_be_focused()
    second = offered.evaluate("(item) => item.closest('[data-at]').dataset.at")
    assert int(second) > 0
    page.keyboard.press("Tab")
    expect(page.locator(f"{items}:focus")).to_have_count(0)
    page.keyboard.press("Shift+Tab")
    expect(offered).to_be_focused()
    assert offered.evaluate("(item) => item.closest('[data-at]').dataset.at") == second
    page.keyboard.press("End")
    expect(offered).to_be_focused()
    assert offered.evaluate("(item) => item.closest('[data-at]').dataset.at") == "419"


def test_the_table_sorts_and_reads_as_a_table(page):
    page.locator("[data-panel=list]").click()
    header = page.get_by_role("columnheader", name="Label")
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    first = page.locator(".mm-list-row").first.locator("span").nth(1)
    before = first.inner_text()
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    expect(first).not_to_have_text(before)


def test_checks_run_on_demand_and_their_cases_light_up_on_the_map(page):
    page.locator("[data-panel=checks]").click()
    page.locator("[data-check=start]").click()
    expect(page.locator("[data-found=outliers]")).to_be_visible()
    expect(page.locator("[data-check=start]")).to_be_hidden()  # they are there for every visitor now
    page.locator("[data-found=labels]").click()
    expect(page.locator(".mm-check-accuracy")).to_contain_text("AUROC")
    first = page.locator(".mm-suspect").first
    expect(first).to_contain_text("labelled")
    expect(first.locator("img")).to_be_visible()
    first.locator(".mm-suspect-pictures").click()
    expect(page.locator(".mm-map-count")).to_have_text("1 of 420 selected")
    first.get_by_role("button", name="Dismiss").click()
    page.locator(".mm-check-show").select_option("open")
    expect(page.locator(".mm-check-count")).not_to_contain_text("24 of 24")
    page.locator(".mm-check-show").select_option(
        "dismissed"
    )  # one that was dismissed by mistake is found again
    expect(page.locator(".mm-check-count")).to_contain_text("1 of 24")
    expect(page.locator(".mm-suspect [data-decide=dismissed]")).to_have_attribute("aria-pressed", "true")
    page.locator(".mm-check-show").select_option("open")
    with page.expect_download() as download:
        page.locator(".mm-check-table").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0].startswith('"rank","decision"')
    assert '"dismissed"' in lines[1]
    modalities = page.locator("[data-found=modalities]")
    expect(modalities).to_have_attribute("title", re.compile("beyond the threshold, of 0"))
    modalities.click()
    expect(page.locator(".mm-check-count")).to_have_text("Nothing of this kind was found.")
    expect(page.locator(".mm-check-light")).to_be_hidden()


def found_labels(page: Page, address: str, tab: str) -> Locator:
    """Opens the doubtful labels on a page and returns the first of them."""
    page.goto(address)
    page.get_by_role("tab", name=tab, exact=True).click()
    page.locator("[data-panel=checks]").click()
    start = page.locator("[data-check=start]")
    page.wait_for_function(
        "document.querySelector('.mm-check-told').textContent || "
        "document.querySelector('[data-check=start]').hidden"
    )  # whether the checks ran is known
    if start.is_visible():
        start.click()
    page.locator("[data-found=labels]").click()
    # Until then the list is still that of another check.
    expect(page.locator("[data-found=labels]")).to_have_attribute("aria-pressed", "true")
    first = page.locator(".mm-suspect").first
    expect(first.locator("[data-decide]")).to_have_count(2)
    return first


def test_a_decision_holds_in_the_other_language_as_does_one_kept_by_its_sentence(page, address):
    pressed = ("aria-pressed", "true")
    first = found_labels(page, address, "Explore")
    first.locator("[data-decide=accepted]").click()
    expect(first.locator("[data-decide=accepted]")).to_have_attribute(*pressed)  # before the page goes
    first = found_labels(page, f"{address}de/", "Erkunden")
    expect(first.locator("[data-decide=accepted]")).to_have_attribute(*pressed)
    # As browsers kept it before: by the sentence as it was read, here a German one.
    page.evaluate(
        """async () => {
            const place = Object.keys(localStorage).find((name) => name.startsWith("mermed-checks-"));
            const answer = await fetch("explore-data/checks/found/labels");
            const { name, suspects: [{ cases, reason }] } = await answer.json();
            const key = `${name} ${cases.join(" ")} ${reason}`.slice(0, 300);
            localStorage.setItem(place, JSON.stringify({ [key]: "dismissed" }));
        }"""
    )
    first = found_labels(page, f"{address}de/", "Erkunden")
    expect(first.locator("[data-decide=dismissed]")).to_have_attribute(*pressed)
    first = found_labels(page, address, "Explore")
    expect(first.locator("[data-decide=dismissed]")).to_have_attribute(*pressed)


def test_two_selections_are_compared(page):
    page.locator("[data-panel=compare]").click()
    page.locator(".mm-legend button", has_text="CT").first.click()
    expect(page.locator(".mm-sentence")).to_contain_text("60 of 420")
    page.locator('button[data-side="0"][data-of=these]').click()
    page.locator('button[data-side="1"][data-of=others]').click()
    expect(page.locator('[data-side="0"] output')).to_have_text("CT, 60 of 420")
    expect(page.locator('[data-side="1"] output')).to_have_text("All but: CT, 360 of 420")
    page.locator("[data-compare]").click()
    expect(page.locator(".mm-compared-said")).to_contain_text("60 beside 360 cases")
    expect(page.locator(".mm-compared-said")).to_contain_text("AUROC of 1.00")
    expect(page.locator(".mm-means img")).to_have_count(2)
    expect(page.locator(".mm-difference").first).to_contain_text("100%")


def test_a_view_that_was_kept_comes_back(page):
    page.locator(".mm-legend button", has_text="CT").first.click()
    expect(page.locator(".mm-sentence")).to_contain_text("60 of 420")
    page.locator("[data-panel=views]").click()
    page.get_by_label("Name of this view").fill("All CT")
    page.get_by_role("button", name="Keep this view").click()
    page.get_by_role("button", name="Clear", exact=True).click()
    expect(page.locator(".mm-sentence")).to_have_text("All 420 cases")
    page.get_by_role("button", name="All CT", exact=True).click()
    expect(page.locator(".mm-sentence")).to_have_text("CT, 60 of 420")


@pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])
def test_nothing_is_wider_than_a_phone(page):
    expect(page.locator(".mm-cell").first).to_be_visible()
    page.locator("[data-panel=list]").click()
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])
def test_a_phone_shows_the_case_that_was_opened(page):
    page.locator(".mm-cell").first.click()
    expect(page.locator("#similar-results .mm-case").first).to_be_attached()
    expect(page.locator("#similar-query img")).to_be_in_viewport(ratio=1)


def test_a_case_that_is_open_shows_its_heat_map_and_has_it_at_once_when_it_is_opened_again(page):
    page.locator(".mm-cell").first.click()
    heat = page.locator("#similar-figure .mm-heat")
    expect(heat).to_be_visible()
    expect(page.locator("#similar-map")).to_be_hidden()
    expect(page.locator("#similar-explained")).to_be_visible()
    expect(page.locator("#similar-map-check")).to_contain_text("Does the map mean anything?")
    expect(page.locator("#similar-map-said")).to_contain_text("160 px long")
    first = heat.get_attribute("src")
    page.get_by_role("tab", name="Explore", exact=True).click()
    page.locator(".mm-cell").nth(1).click()
    expect(heat).not_to_have_attribute("src", first or "")
    expect(heat).to_be_visible()
    page.get_by_role("tab", name="Explore", exact=True).click()
    page.locator(".mm-cell").first.click()
    expect(heat).to_have_attribute("src", first or "")


def test_a_colouring_that_takes_long_can_be_cancelled_and_chosen_again(browser, serve, monkeypatch):
    go_on = Event()

    def waits(*given: Any, **named: Any) -> CaseMeasures:
        assert go_on.wait(120)
        return measure_cases(*given, **named)

    monkeypatch.setattr("app.check_job.measure_cases", waits)
    page = browser.new_page(viewport=WIDE)
    settings = Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})
    page.goto(serve(settings, fresh=True))  # no case was measured yet
    page.get_by_role("tab", name="Explore", exact=True).click()
    expect(page.locator(".mm-sentence")).to_have_text("All 420 cases")
    score, modality = (
        page.get_by_role("radio", name=name, exact=True) for name in ("Outlier score", "Modality")
    )
    score.check()
    page.locator(".mm-making button").click()
    expect(modality).to_be_checked()  # as the map is coloured
    expect(page.locator(".mm-making")).to_be_hidden()
    score.check()
    expect(page.locator(".mm-making small")).to_contain_text("Once for all visitors")
    go_on.set()
    expect(page.locator(".mm-legend-about")).to_contain_text("How far the case lies")
    page.close()


def test_a_sentence_of_several_parts_reads_as_one(page):
    ultrasound = page.locator(".mm-legend button", has_text="Ultrasound").first
    page.locator(".mm-legend button", has_text="CT").first.click()
    page.locator(".mm-find").fill("phantom_ct")
    expect(page.locator(".mm-sentence")).to_have_text("CT holding “phantom_ct”, 60 of 420")
    ultrasound.click(modifiers=["Shift"])
    page.locator("[data-how=add]").click()
    bar(page, "Synthetic").first.click()
    expect(page.locator(".mm-sentence")).to_have_text(re.compile(" and cases labelled Synthetic"))
    page.locator(".mm-map-tools [data-do=invert]").click()
    said = "All but (CT holding “phantom_ct” and Ultrasound and cases labelled Synthetic"
    expect(page.locator(".mm-sentence")).to_contain_text(said)
    expect(page.locator(".mm-sentence")).to_contain_text(re.compile(r"\w\), \d+ of 420"))
