"""Files come in as people bring them: dropped, a folder of them, pasted; and only a choice reads one anew."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, Request, expect

from .visit import visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)
EXAMPLES = ASSETS / "examples"
COPY = """async (picture) => {
  const answer = await fetch(`data:image/png;base64,${picture}`);
  await navigator.clipboard.write([new ClipboardItem({ "image/png": await answer.blob() })]);
}"""


@pytest.fixture
def page(browser: Browser, serve: Callable[[Settings], str]) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(60_000)
    visit(page, serve(Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})))
    expect(page.locator("#classify-examples button").first).to_be_visible()
    expect(page.locator("[data-listens=files]").first).to_be_attached()
    yield page
    page.close()


def drop(page: Page, *paths: Path) -> None:
    """Drops files and folders from outside the browser on the page."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 700, "y": 500, "data": data})


def test_a_folder_that_is_dropped_is_opened_with_all_that_lies_in_it(page, tmp_path):
    within = tmp_path / "of a camera" / "right eye"
    within.mkdir(parents=True)
    (within.parent / "notes.txt").write_text("no image")
    for name, folder in (("oct", within.parent), ("fundus", within)):
        (folder / f"{name}.png").write_bytes((EXAMPLES / f"{name}.png").read_bytes())
    drop(page, within.parent)
    strip = page.locator(".mm-strip button")
    expect(strip).to_have_count(2)
    expect(page.locator("#classify-notice")).to_contain_text("One file is no image")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("Colour fundus")
    strip.first.focus()
    page.keyboard.press("ArrowRight")
    expect(strip.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(strip.nth(1)).to_be_focused()
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("OCT")


def test_what_can_be_read_is_shown_where_the_first_of_several_files_is_damaged(page, tmp_path):
    whole = (EXAMPLES / "oct.png").read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 3])
    (tmp_path / "b.png").write_bytes(whole)
    drop(page, tmp_path / "a.png", tmp_path / "b.png")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("OCT")
    expect(page.locator("#classify-notice")).to_contain_text("A file before this picture cannot be read")
    strip = page.locator(".mm-strip button")
    expect(strip.nth(1)).to_have_attribute("aria-pressed", "true")
    strip.first.click()
    expect(page.locator("#classify-notice .mm-error")).to_contain_text("damaged")
    expect(page.locator("#classify-notice .mm-before")).to_be_visible()  # the answer is of another picture
    expect(page.locator(".mm-look-wait")).to_contain_text("damaged")
    damaged = page.locator(".mm-strip button[aria-pressed=true]")
    expect(damaged).to_have_text("!")
    expect(damaged).to_have_attribute("aria-label", re.compile("^a.png: .+ is damaged"))
    expect(page.locator(".mm-look-wait")).to_have_css("background-color", "rgb(0, 0, 0)")
    strip.nth(1).click()
    expect(page.locator("#classify-notice .mm-error")).to_be_hidden()


def test_a_picture_is_pasted_from_the_clipboard(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.evaluate(COPY, base64.b64encode((EXAMPLES / "dermatology.png").read_bytes()).decode())
    page.keyboard.press("Control+v")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("Skin")


def test_only_a_choice_reads_the_image_as_another_kind(page):
    drop(page, EXAMPLES / "cxr.png")
    expect(page.locator("#classify-modality .mm-headline")).to_contain_text("Chest X-ray")
    named = {each["id"]: each["api_name"] for each in page.evaluate("window.gradio_config.dependencies")}
    asked: list[str] = []

    def note(request: Request) -> None:
        if "queue/join" in request.url:
            asked.append(named[json.loads(request.post_data or "")["fn_index"]])

    page.on("request", note)
    kinds = page.get_by_role("combobox", name="Modality")
    kinds.focus()
    page.keyboard.press("Tab")
    kinds.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    kinds.click()
    page.keyboard.press("Escape")
    page.locator("h1").click()
    expect(kinds).to_have_attribute("aria-expanded", "false")
    expect(page.locator("#classify-second-look section")).to_be_visible()
    assert "classify_as" not in asked
    kinds.click()
    page.get_by_role("option", name="Skin").click()
    expect(page.locator("#classify-modality")).to_contain_text("set by you")
    assert asked.count("classify_as") == 1


def test_the_names_and_notes_of_many_files_have_room_in_the_table(page, tmp_path):
    (tmp_path / "a_file_with_a_long_name.png").write_bytes((EXAMPLES / "oct.png").read_bytes())
    (tmp_path / "broken.png").write_bytes((EXAMPLES / "oct.png").read_bytes()[:900])
    page.get_by_role("tab", name="Batch").click()
    page.set_input_files("#batch-files input[type=file]", sorted(tmp_path.iterdir()))
    expect(page.locator("#batch-download")).to_be_visible()
    name, notes = (
        page.locator(".mm-batch tbody th").first,
        page.locator(".mm-batch tbody td:last-child").first,
    )
    assert name.bounding_box()["width"] > 120
    assert notes.bounding_box()["width"] > 200


@pytest.mark.parametrize(("language", "tab"), [("", "Batch"), ("de/", "Stapel")])
def test_the_table_of_many_files_is_not_wider_than_a_common_screen(page, language, tab):
    visit(page, page.url + language)
    page.get_by_role("tab", name=tab).click()
    page.set_input_files("#batch-files input[type=file]", sorted(EXAMPLES.glob("*.png")))
    expect(page.locator("#batch-download")).to_be_visible()
    expect(page.locator(".mm-batch tbody tr")).to_have_count(7)
    widths = page.locator(".mm-batch").evaluate("(it) => [it.scrollWidth, it.clientWidth]")
    assert widths[0] <= widths[1]
