"""Two collections' maps side by side in Chromium: what is selected on one is lit on the other."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.components.map_columns import MapColumns
from mermed_core.collections.changes import remove_cases
from mermed_core.collections.collection import Collection
from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, ViewportSize, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)
WIDE, PHONE = ViewportSize(width=1400, height=900), ViewportSize(width=390, height=844)
FIRST, SECOND = ".mm-map:not([data-beside])", ".mm-map[data-beside]"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The bundled collection without its OCT, and without its CT: each has 60 cases that the other lacks."""
    bundled = load_collection(BUNDLED_COLLECTION).records
    made = []
    for left_out in ("oct", "ct"):
        folder = tmp_path_factory.mktemp(left_out) / "collection"
        shutil.copytree(BUNDLED_COLLECTION, folder)
        remove_cases(folder, cases=list(bundled["case_id"][bundled["modality"] == left_out]))
        made.append(folder)
    return made[0], made[1]


@pytest.fixture(scope="module")
def collections(folders: tuple[Path, Path]) -> tuple[Collection, Collection]:
    return load_collection(folders[0]), load_collection(folders[1])


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str], folders: tuple[Path, Path]) -> str:
    variables = {"MERMED_COLLECTION": str(folders[0]), "MERMED_BESIDE": str(folders[1])}
    return serve(Settings.from_environment(variables))


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    page = browser.new_page(viewport=getattr(request, "param", WIDE))
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.get_by_role("tab", name="Explore", exact=True).click()
    expect(page.locator(".mm-map-name output")).to_have_text("360 cases, 300 of them on both maps")
    yield page
    page.close()
    assert errors == []


def chosen(page: Page, stage: str) -> int:
    return page.evaluate("stage => document.querySelector(stage).map.chosen", stage)


def box_around_all(page: Page, stage: str) -> None:
    page.get_by_role("button", name="Box", exact=True).click()
    page.locator(stage).scroll_into_view_if_needed()
    box = page.locator(stage).bounding_box()
    assert box
    page.mouse.move(box["x"] + 4, box["y"] + 4)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + box["height"] - 4, steps=5)
    page.mouse.up()


def test_a_selection_on_one_map_is_lit_on_the_other(page):
    box_around_all(page, FIRST)
    expect(page.locator(".mm-map-count")).to_have_text("360 of 360 selected")
    expect(page.locator(".mm-map-name output")).to_have_text("300 of 360 selected, 300 of them on both maps")
    assert (chosen(page, FIRST), chosen(page, SECOND)) == (360, 300)
    box_around_all(page, SECOND)
    expect(page.locator(".mm-sentence")).to_contain_text("inside an outline on the second map, 300 of 360")
    assert (chosen(page, FIRST), chosen(page, SECOND)) == (300, 360)
    page.get_by_role("button", name="Invert", exact=True).click()
    expect(page.locator(".mm-map-count")).to_have_text("60 of 360 selected")
    assert (chosen(page, FIRST), chosen(page, SECOND)) == (60, 0)


def test_names_have_one_colour_and_what_only_the_second_has_is_in_the_legend(page):
    entry = page.locator(".mm-legend button", has_text="OCT")
    expect(entry.locator("small")).to_have_text("60")
    entry.click()
    expect(page.locator(".mm-sentence")).to_contain_text("OCT, 0 of 360")
    assert (chosen(page, FIRST), chosen(page, SECOND)) == (0, 60)
    page.locator(".mm-legend button", has_text="Skin").click()
    expect(page.locator(".mm-map-count")).to_have_text("60 of 360 selected")
    assert (chosen(page, FIRST), chosen(page, SECOND)) == (60, 60)
    colours = page.evaluate("""() => [".mm-map", ".mm-map[data-beside]"].map((stage) => {
        const { map } = document.querySelector(stage);
        return [...new Set([...map.codes].filter((_, i) => map.selected[i]))];
    })""")
    assert colours[0] == colours[1]
    assert len(colours[0]) == 1


def test_a_press_on_the_second_map_finds_the_case_on_the_first(page, collections):
    first, second = collections
    x, y, point = page.evaluate("""() => {
        const stage = document.querySelector(".mm-map[data-beside]"), box = stage.getBoundingClientRect();
        const [x, y] = stage.map.locate(7);
        return [box.left + x, box.top + y, stage.map.nearest([x, y])];
    }""")
    page.mouse.move(x, y)
    expect(page.locator(".mm-tip")).to_be_visible()
    page.keyboard.down("Control")
    page.mouse.click(x, y)
    page.keyboard.up("Control")
    expect(page.locator(".mm-sentence")).to_contain_text("chosen one by one")
    lit = "(stage) => document.querySelector(stage).map.selected.indexOf(1)"
    assert page.evaluate(lit, SECOND) == point
    case_id = second.records["case_id"].iat[int(MapColumns(second).order[point])]
    assert case_id == first.records["case_id"].iat[int(MapColumns(first).order[page.evaluate(lit, FIRST)])]
    page.locator(".mm-cell").click()
    expect(page.locator("#similar-query")).to_contain_text(case_id)


def test_one_press_on_the_second_map_opens_the_case_and_rings_it_on_both(page, collections):
    second = collections[1]
    place = """(point) => {
        const stage = document.querySelector(".mm-map[data-beside]"), box = stage.getBoundingClientRect();
        const [x, y] = stage.map.locate(point);
        return [box.left + x, box.top + y, stage.map.nearest([x, y])];
    }"""
    records = second.records.iloc[MapColumns(second).order].reset_index(drop=True)
    oct_only, shared = (
        records.index[records["modality"] == name].tolist() for name in ("oct", "dermatology")
    )
    expect(page.locator(f"{SECOND} .mm-map-wait")).to_be_hidden()
    x, y, point = page.evaluate(place, oct_only[0])
    assert point in oct_only
    page.mouse.click(x, y)  # the first collection has no OCT
    expect(page.locator(".mm-legend-about")).to_contain_text("lacks this case")
    expect(page.locator("#similar-results .mm-case")).to_have_count(0)
    x, y, point = page.evaluate(place, shared[0])
    page.mouse.click(x, y)
    expect(page.locator("#similar-query")).to_contain_text(str(records["case_id"].iat[point]))
    page.keyboard.press("Escape")
    expect(page.locator(SECOND)).to_be_focused()
    for stage in (FIRST, SECOND):
        expect(page.locator(f"{stage} .mm-opened")).to_be_visible()
    expect(page.locator(".mm-sentence")).to_have_text("All 360 cases")


def test_both_maps_have_names_of_clusters_and_pictures_where_few_cases_are_in_view(page):
    shown = """stage => [...document.querySelectorAll(`${stage} .mm-labels span`)]
        .filter((label) => label.checkVisibility({ visibilityProperty: true }))
        .map((label) => label.textContent)"""
    for stage in (FIRST, SECOND):
        assert page.evaluate(shown, stage)
    page.get_by_role("button", name="Names", exact=True).click()
    assert [page.evaluate(shown, stage) for stage in (FIRST, SECOND)] == [[], []]
    for stage in (FIRST, SECOND):
        expect(page.locator(f"{stage} .mm-pictures img")).to_have_count(0)
    page.evaluate(
        """stage => {
        const { map } = document.querySelector(stage);
        const [x, y] = map.place(map.locate(7));
        map.lookAt({ x, y, zoom: 12 });
    }""",
        SECOND,
    )
    picture = page.locator(f"{SECOND} .mm-pictures img").first
    expect(picture).to_be_visible()
    assert picture.get_attribute("src").startswith("beside/")
    expect(page.locator(f"{FIRST} .mm-pictures img")).to_have_count(0)


def test_the_address_holds_what_was_selected_on_the_second_map(page, browser):
    box_around_all(page, SECOND)
    page.wait_for_function("location.hash.includes('*nb')")
    other = browser.new_page(viewport=WIDE)
    other.goto(page.url)
    expect(other.locator(".mm-map-count")).to_have_text("300 of 360 selected")
    other.close()


def test_how_alike_the_maps_are_is_shown_by_modality(page):
    page.locator(".mm-overlap summary").click()
    expect(page.locator(".mm-overlap p")).to_contain_text("300 cases are on both maps")
    expect(page.locator(".mm-overlap li")).to_have_count(6)  # all, and five modalities that both have
    expect(page.locator(".mm-overlap li").first).to_contain_text("100% (100 to 100), 300 cases")


@pytest.mark.parametrize(
    ("page", "beside"), [(WIDE, True), (PHONE, False)], indirect=["page"], ids=["wide", "phone"]
)
def test_the_maps_stand_side_by_side_where_there_is_room(page, beside):
    first, second = (page.locator(stage).bounding_box() for stage in (FIRST, SECOND))
    assert first
    assert second
    assert second["width"] > 250
    assert (second["y"] == first["y"]) == beside
    assert (second["x"] >= first["x"] + first["width"]) == beside
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    for stage in (FIRST, SECOND):
        page.locator(stage).scroll_into_view_if_needed()
        assert page.evaluate("stage => document.querySelector(stage).map.count", stage) == 360
