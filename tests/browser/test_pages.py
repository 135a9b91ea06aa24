"""Drives the real page in Chromium: upload, findings, overlay, neighbours, lasso, and what can go wrong."""

import base64
import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, Request, expect

from .visit import visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)  # a busy machine is slow, not wrong
SETTINGS = Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})
WIDE, PHONE = (1400, 900), (390, 844)
NEAR_THE_MIDDLE = (600, 640)  # of the map, on a wide page


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str]) -> str:
    return serve(SETTINGS)


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """A page that asks no other host for anything and raises no error."""
    width, height = getattr(request, "param", WIDE)
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(60_000)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    def only_ours(request: Request) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            errors.append(request.url)

    page.on("request", only_ours)
    visit(page, address)
    yield page
    page.close()
    assert errors == []


@pytest.fixture(scope="module")
def ultrasound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real image of the test split where there is one, else the phantom of the examples."""
    data = os.environ.get("MERMED_DATA")
    table = Path(data) / "busi.parquet" if data else None
    if table is None or not table.is_file():
        return ASSETS / "examples" / "ultrasound.png"
    frame = pd.read_parquet(table)
    image = frame[frame["split"] == "test"].iloc[0]["image"]["bytes"]
    path = tmp_path_factory.mktemp("real") / "image.png"
    Image.open(io.BytesIO(image)).save(path)
    return path


def upload(page: Page, path: Path, field: str = "#classify-file") -> None:
    page.set_input_files(f"{field} input[type=file]", path)


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def open_map(page: Page) -> None:
    open_tab(page, "Explore")
    expect(page.locator(".mm-map-count")).to_contain_text("420 cases")
    page.wait_for_function("Number.isFinite(document.querySelector('.mm-map').map?.locate(0)[0])")


def drag(page: Page, tool: str, corners: Sequence[tuple[float, float]]) -> None:
    """Draws on the map; corners are shares of its width and height."""
    page.get_by_role("button", name=tool, exact=True).click()
    box = page.locator(".mm-map").bounding_box()
    assert box
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=6)
    page.mouse.up()


def point_at(page: Page, number: int) -> tuple[float, float]:
    """Returns where on the screen a point of the map is."""
    box = page.locator(".mm-map").bounding_box()
    assert box
    x, y = page.evaluate("number => document.querySelector('.mm-map').map.locate(number)", number)
    return box["x"] + x, box["y"] + y


def pixel_at(page: Page, number: int) -> list[int]:
    """Returns red, green and blue in the middle of a point of the map."""
    read = """number => {
        const stage = document.querySelector(".mm-map"), canvas = stage.querySelector("canvas");
        const [x, y] = stage.map.locate(number).map((value) => value * canvas.width / stage.clientWidth);
        return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
    }"""
    return page.evaluate(read, number)


def selected(page: Page) -> int:
    return page.evaluate("document.querySelector('.mm-map').map.chosen")


def test_an_upload_gives_modality_findings_overlay_and_neighbours(page, ultrasound):
    upload(page, ultrasound)
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("Ultrasound")
    bars = page.locator("#classify-findings button.mm-bar")
    expect(bars.first).to_contain_text("%")
    expect(page.locator("#classify-findings")).to_contain_text("AUROC")
    heat = page.locator("#classify-figure .mm-heat")
    expect(heat).to_be_visible()
    expect(page.locator("#classify-cases .mm-case")).to_have_count(8)
    assert page.locator("#classify-cases img").first.evaluate("image => image.naturalWidth") > 50

    page.locator(".mm-opacity").fill("20")
    expect(heat).to_have_css("opacity", "0.2")
    second = bars.nth(1)
    name = second.locator("span").inner_text()
    second.click()
    expect(page.locator(".mm-controls p")).to_contain_text(f"heat map for {name}")
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(heat).to_have_css("opacity", "0.2")


NEARLY_ALL = [(0.01, 0.01), (0.99, 0.01), (0.99, 0.99), (0.01, 0.99), (0.01, 0.01)]


def test_a_lasso_gives_images_a_table_and_a_csv(page):
    open_map(page)
    drag(page, "Lasso", NEARLY_ALL)
    expect(page.locator(".mm-sentence")).to_contain_text("inside an outline, 420 of 420")
    expect(page.locator(".mm-cell img").first).to_be_visible()
    page.locator("[data-panel=list]").click()
    expect(page.locator(".mm-list-body")).to_contain_text("phantom_ct")
    with page.expect_download() as download:
        page.locator("[data-take=table]").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0].startswith("case,modality,label")
    assert len(lines) == 421


def test_the_map_shows_a_thumbnail_a_press_with_ctrl_selects_and_the_upload_is_a_star(page):
    upload(page, ASSETS / "examples" / "fundus.png")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("Colour fundus")
    open_map(page)
    expect(page.locator(".mm-star b")).to_have_text("your image")
    page.mouse.move(*point_at(page, 10))
    expect(page.locator(".mm-tip img")).to_be_visible()
    page.keyboard.down("Control")
    page.mouse.click(*point_at(page, 10))
    page.keyboard.up("Control")
    expect(page.locator(".mm-sentence")).to_contain_text("1 of 420")
    expect(page.locator(".mm-cell")).to_have_count(1)
    page.get_by_label("Label", exact=True).check()
    expect(page.locator(".mm-legend button", has_text="Synthetic nodule")).to_be_visible()


def test_a_selection_grows_shrinks_turns_around_and_goes_and_the_rest_stays_grey(page):
    open_map(page)
    ct = page.locator(".mm-legend button", has_text="CT").first
    ct.click()
    expect(page.locator(".mm-map-count")).to_have_text("60 of 420 selected")
    expect(page.locator(".mm-walk-count")).to_have_text("60 cases")
    inside, outside = page.evaluate("""() => {
        const { selected } = document.querySelector(".mm-map").map;
        return [selected.indexOf(1), selected.indexOf(0)];
    }""")
    assert max(pixel_at(page, outside)) - min(pixel_at(page, outside)) < 20
    assert max(pixel_at(page, inside)) - min(pixel_at(page, inside)) > 60
    page.locator(".mm-legend button", has_text="Skin").click(modifiers=["Shift"])
    expect(page.locator(".mm-map-count")).to_have_text("120 of 420 selected")
    page.get_by_role("button", name="Invert", exact=True).click()
    expect(page.locator(".mm-map-count")).to_have_text("300 of 420 selected")
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.locator(".mm-map-count")).to_have_text("120 of 420 selected")
    page.get_by_role("button", name="Remove", exact=True).click()
    drag(page, "Box", [NEARLY_ALL[0], NEARLY_ALL[2]])
    expect(page.locator(".mm-map-count")).to_have_text("0 of 420 selected")
    page.get_by_role("button", name="New", exact=True).click()
    ct.click()
    page.locator(".mm-map").press("Escape")
    expect(page.locator(".mm-map-count")).to_have_text("420 cases")
    expect(page.locator(".mm-sentence")).to_have_text("All 420 cases")


def test_wheel_keys_and_dragging_move_the_map_and_few_points_become_pictures(page):
    open_map(page)
    stage = page.locator(".mm-map")
    zoom = "document.querySelector('.mm-map').map.view.zoom"
    x, y = point_at(page, 0)
    page.mouse.move(x, y)
    page.mouse.wheel(0, -300)
    page.wait_for_function(f"{zoom} > 1.2")
    near = point_at(page, 0)
    assert abs(near[0] - x) < 2  # what is under the pointer stays there
    assert abs(near[1] - y) < 2
    stage.focus()
    page.keyboard.press("ArrowRight")
    assert abs(point_at(page, 0)[0] - (near[0] - 60)) < 2
    page.mouse.move(*NEAR_THE_MIDDLE)
    page.mouse.down()
    page.mouse.move(NEAR_THE_MIDDLE[0] + 50, NEAR_THE_MIDDLE[1], steps=5)
    page.mouse.up()
    assert abs(point_at(page, 0)[0] - (near[0] - 10)) < 2
    assert selected(page) == 0
    page.evaluate("document.querySelector('.mm-map').map.lookAt({ zoom: 12 })")
    page.evaluate("""() => {
        const stage = document.querySelector(".mm-map"), [x, y] = stage.map.locate(0);
        [stage.map.view.x, stage.map.view.y] = stage.map.place([x, y]);
        stage.map.redraw();
    }""")
    expect(page.locator(".mm-pictures img").first).to_be_visible()
    page.keyboard.press("0")
    page.wait_for_function(f"{zoom} === 1")
    expect(page.locator(".mm-pictures img")).to_have_count(0)


def test_the_address_opens_the_same_view_in_another_browser(page, browser, address):
    open_map(page)
    page.get_by_label("Label", exact=True).check()
    expect(page.locator(".mm-legend button", has_text="Synthetic nodule")).to_be_visible()
    page.get_by_role("button", name="Zoom in").click()
    drag(page, "Lasso", [(0.1, 0.1), (0.7, 0.1), (0.7, 0.7), (0.1, 0.7)])
    page.wait_for_function("location.hash.includes('*na')")
    count = page.locator(".mm-map-count").inner_text()
    with browser.new_context() as other:
        second = other.new_page()
        second.goto(page.url)
        expect(second.locator(".mm-map-count")).to_have_text(count)
        expect(second.get_by_label("Label", exact=True)).to_be_checked()
        expect(second.locator(".mm-map")).to_be_visible()
        view = "Object.values(document.querySelector('.mm-map').map.view).map(Math.round)"
        assert second.evaluate(view) == page.evaluate(view)


def test_a_map_that_cannot_be_loaded_says_so_and_shows_the_table(browser, address):
    page = browser.new_page()
    page.route("**/map-columns/places*", lambda route: route.fulfill(status=503))
    page.goto(address)
    open_tab(page, "Explore")
    expect(page.locator(".mm-map-wait")).to_contain_text("could not be loaded (503)")
    expect(page.locator(".mm-walk-count")).to_have_text("420 cases")
    expect(page.locator(".mm-list-body")).to_contain_text("phantom_ct")
    page.close()


def test_a_case_leads_to_cases_like_it_and_filters_hold(page):
    page.locator("#classify-examples button").first.click()
    page.locator("#classify-cases .mm-case button").first.click()
    page.get_by_role("button", name="Find cases like this one").click()
    expect(page.locator("#similar-query")).to_contain_text(", case ")
    results = page.locator("#similar-results .mm-case")
    expect(results).to_have_count(12)
    page.get_by_label("Modality", exact=True).locator("visible=true").last.click()
    page.get_by_role("option", name="OCT").click()
    expect(results.first).to_contain_text("OCT")
    expect(page.locator("#similar-results")).not_to_contain_text("phantom_ct")


def test_a_file_dropped_on_the_search_opens_on_every_page_and_a_refused_one_is_said_there(page, tmp_path):
    open_tab(page, "Similar cases")
    upload(page, ASSETS / "examples" / "oct.png", "#similar-file")
    expect(page.locator("#similar-query")).to_contain_text("Your image")
    results = page.locator("#similar-results .mm-case")
    expect(results).to_have_count(12)
    wrong = tmp_path / "report.png"
    wrong.write_bytes(b"%PDF-1.7 a report")
    upload(page, wrong, "#similar-file")
    expect(page.locator("#similar-notice .mm-error")).to_contain_text("PDF")
    expect(results).to_have_count(12)
    open_tab(page, "Classify")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("OCT")
    expect(page.locator("#classify-figure .mm-heat")).to_be_visible()


def test_what_is_no_image_gets_a_sentence_and_loses_nothing(page, tmp_path):
    page.locator("#classify-examples button").first.click()
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("CT")
    wrong = tmp_path / "report.png"
    wrong.write_bytes(b"%PDF-1.7 a report")
    upload(page, wrong)
    expect(page.locator("#classify-notice .mm-error")).to_contain_text("PDF")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("CT")
    upload(page, ASSETS / "examples" / "oct.png")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("OCT")
    expect(page.locator("#classify-notice .mm-error")).to_have_count(0)


def test_a_photo_is_not_an_image_it_knows(page):
    data = pytest.importorskip("skimage.data")
    cat = Path(data.__file__).parent / "chelsea.png"
    upload(page, cat)
    expect(page.locator(".mm-unknown")).to_contain_text("Not an image the model recognises")
    expect(page.locator("#classify-findings button")).to_have_count(0)
    expect(page.locator("#classify-figure .mm-heat")).to_have_count(0)


def test_an_image_can_be_pasted(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    picture = base64.b64encode((ASSETS / "examples" / "oct.png").read_bytes()).decode()
    copy = """async (picture) => {
        const blob = await (await fetch(`data:image/png;base64,${picture}`)).blob();
        await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
    }"""
    page.evaluate(copy, picture)
    page.get_by_text("Paste or use the camera").click()
    page.get_by_text("Paste from Clipboard").click()
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("OCT")


def test_the_camera_can_be_used(page):
    page.context.grant_permissions(["camera"])
    page.get_by_text("Paste or use the camera").click()
    page.get_by_label("Capture from camera").click()
    page.get_by_text("Click to Access Webcam").click()
    page.wait_for_function("document.querySelector('video')?.videoWidth > 0")
    page.get_by_label("capture photo").click()
    expect(page.locator(".mm-unknown")).to_be_visible()
    expect(page.locator("#classify-figure .mm-base")).to_be_visible()


def test_a_file_with_frames_gets_a_slider(page, tmp_path):
    frames = [
        Image.open(ASSETS / "examples" / f"{name}.png").convert("RGB") for name in ("ct", "oct", "fundus")
    ]
    path = tmp_path / "frames.tiff"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    upload(page, path)
    expect(page.locator("#classify-notice")).to_contain_text("Page 1 of 3")
    slider = page.get_by_role("slider", name="Slice")
    slider.focus()
    slider.press("End")
    expect(page.locator(".mm-slices output")).to_have_text("3 of 3")
    expect(page.locator(".mm-saw")).to_contain_text("another view")
    page.get_by_role("button", name="Analyse this view").click()
    expect(page.locator("#classify-notice")).to_contain_text("Page 3 of 3")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("Colour fundus")


@pytest.mark.parametrize("page", [WIDE, PHONE], indirect=True, ids=["wide", "phone"])
def test_no_page_is_wider_than_the_window(page):
    page.locator("#classify-examples button").first.click()
    expect(page.locator("#classify-figure .mm-heat")).to_be_visible()
    for name in ("Classify", "Similar cases", "Explore", "About"):
        open_tab(page, name)
        expect(page.get_by_role("tab", name=name, exact=True)).to_have_attribute("aria-selected", "true")
        page.wait_for_load_state()
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])
@pytest.mark.parametrize(
    ("tab", "field", "notice"),
    [
        ("Classify", "#classify-file", "#classify-notice"),
        ("Similar cases", "#similar-file", "#similar-notice"),
        ("Batch", "#batch-files", "#batch-notice"),
        ("Your classifier", "#own-load", "#own-notice"),
    ],
)
def test_a_refused_file_is_told_where_it_is_seen(page, tmp_path, tab, field, notice):
    open_tab(page, tab)
    wrong = tmp_path / "report.zip"
    wrong.write_bytes(b"PK\x03\x04 cut short")
    upload(page, wrong, field)
    problem = page.locator(f"{notice} .mm-error")
    expect(problem).to_be_visible()
    expect(problem).to_be_in_viewport(ratio=0.9)
