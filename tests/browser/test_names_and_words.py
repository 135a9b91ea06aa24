"""Walks what a screen reader is given: parts have names in the page's language, what happens is said once."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.languages.say import speaking
from mermed_core.settings import Settings

pytest.importorskip("playwright")
from playwright.sync_api import Browser, Page, expect

from app.texts import batch_text, own_head_text, text

from .visit import visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)
SETTINGS = Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})
EXAMPLES = ASSETS / "examples"
# What has to have a name, beside all that can have the focus.
NAMED = {
    *(
        "button",
        "link",
        "textbox",
        "searchbox",
        "combobox",
        "listbox",
        "option",
        "checkbox",
        "radio",
        "slider",
    ),
    *("spinbutton", "tab", "tabpanel", "progressbar", "image", "img", "dialog", "alertdialog", "table"),
    *("columnheader", "rowheader", "application", "region", "toolbar", "radiogroup", "search"),
}
BROWSERS_OWN = "MenuListPopup"  # Chromium's list of a <select>
GRADIO_SAYS = re.compile(
    r"\b(Click to|Reset to|Drop an image file|number input|range slider|Capture|Paste from)\b"
)

Node = dict[str, Any]


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str]) -> str:
    return serve(SETTINGS).rstrip("/")


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(60_000)
    visit(page, address)
    yield page
    page.close()


def tree(page: Page) -> list[Node]:
    """Returns the nodes that Chromium gives to a screen reader."""
    return [node for node in whole_tree(page) if not node.get("ignored")]


def whole_tree(page: Page) -> list[Node]:
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    return nodes


def said_of(node: Node, key: str) -> str:
    return str(node.get(key, {}).get("value", "")).strip()


def is_focusable(node: Node) -> bool:
    return any(each["name"] == "focusable" and each["value"].get("value") for each in node["properties"])


def must_be_named(node: Node) -> bool:
    role = said_of(node, "role")
    return role in NAMED or (
        is_focusable({"properties": [], **node}) and role not in ("RootWebArea", BROWSERS_OWN)
    )


def nameless(page: Page) -> list[str]:
    """Returns the role and place of each node that needs a name and has none, once what is new was named."""
    found: list[str] = []
    for _ in range(10):
        found = [
            f"{said_of(node, 'role')} {node.get('backendDOMNodeId')}"
            for node in tree(page)
            if must_be_named(node) and not said_of(node, "name")
        ]
        if not found:
            break
        page.wait_for_timeout(200)
    return [outer(page, each) for each in found]


def outer(page: Page, found: str) -> str:
    role, number = found.split()
    session = page.context.new_cdp_session(page)
    html = session.send("DOM.getOuterHTML", {"backendNodeId": int(number)})["outerHTML"]
    return f"{role}: {html[:160]}"


def alike(page: Page) -> list[tuple[str, str, str]]:
    """Returns role, name and description of neighbours that a listener cannot tell apart."""
    seen = tree(page)  # one look: what comes between two has no parent in the other
    nodes = [node for node in seen if is_focusable({"properties": [], **node})]
    parents = {node["nodeId"]: node.get("parentId") for node in seen}
    heard = Counter(
        (
            parents.get(node["nodeId"]),
            said_of(node, "role"),
            said_of(node, "name"),
            said_of(node, "description"),
        )
        for node in nodes
    )
    return [each[1:] for each, count in heard.items() if count > 1]


def english_of_gradio(page: Page) -> list[str]:
    return [name for node in tree(page) if GRADIO_SAYS.search(name := said_of(node, "name"))]


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def states(page: Page) -> Iterator[str]:
    """Goes through the states of the page; each is named when it stands."""
    yield "empty"
    page.locator(".label-wrap:visible").first.click()
    expect(page.locator("[data-testid=source-select] button").first).to_be_visible()
    yield "camera"
    page.locator(".label-wrap:visible").first.click()
    page.locator("#classify-examples button").first.click()
    expect(page.locator(".mm-second")).to_be_visible()
    yield "answer with heat map"
    page.locator("#classify-cases .mm-case button").first.click()
    expect(page.locator(".mm-comparison")).to_be_visible()
    page.get_by_role("combobox", name=text.MODALITY, exact=True).locator("visible=true").click()
    expect(page.get_by_role("listbox")).to_be_visible()
    yield "comparison and a list of choices"
    page.keyboard.press("Escape")
    open_tab(page, text.SIMILAR)
    page.locator("#similar-results [data-mark=good]").first.click()
    page.get_by_role("combobox", name=text.MODALITY, exact=True).locator("visible=true").last.click()
    page.get_by_role("option").first.click()
    expect(page.locator(".token-remove").first).to_be_visible()
    yield "similar cases, marked and filtered"
    open_tab(page, text.EXPLORE)
    expect(page.locator(".mm-map-count")).to_contain_text("420")
    expect(page.locator(".mm-cell[title]").first).to_be_visible()
    yield "explore"
    for panel in page.locator(".mm-switch button").all():
        panel.click()
        yield f"explore: {panel.inner_text()}"
    page.locator(".mm-switch button").first.click()
    page.locator(".mm-cell").nth(1).click()
    expect(page.locator("#similar-query")).to_contain_text("phantom_ct/")
    yield "an opened case"
    open_tab(page, batch_text.TAB)
    page.set_input_files("#batch-files input[type=file]", [EXAMPLES / "ct.png", EXAMPLES / "oct.png"])
    expect(page.locator("#batch-table tbody tr")).to_have_count(2)
    expect(page.locator("#batch-download")).to_be_visible()
    yield "batch"
    open_tab(page, own_head_text.TAB)
    page.locator("#own-label input").fill("a")
    page.keyboard.press("Enter")
    page.set_input_files("#own-files input[type=file]", EXAMPLES / "ct.png")
    expect(page.locator("#own-shelf li")).to_have_count(1)
    yield "own classifier"
    open_tab(page, text.ABOUT)
    expect(page.locator(".prose table").first).to_be_visible()
    yield "about"


@pytest.mark.parametrize("language", ["en", "de"])
def test_every_part_has_a_name_in_the_language_of_the_page(page, address, language):
    visit(page, f"{address}/{'' if language == 'en' else f'{language}/'}")
    found = {}
    with speaking(language):
        for state in states(page):
            wrong: list[Any] = [*nameless(page), *alike(page)]
            if language != "en":
                wrong += english_of_gradio(page)
            if wrong:
                found[state] = wrong
    assert found == {}


def hear(page: Page) -> None:
    """Keeps what is read out from now on."""
    page.evaluate("""() => {
        window.heard = [];
        const listen = (mutations) => {
            for (const { addedNodes } of mutations)
                for (const node of addedNodes) heard.push(node.textContent);
        };
        new MutationObserver(listen).observe(document.querySelector(".mm-announcer"), { childList: true });
    }""")


def heard(page: Page, wanted: str) -> list[str]:
    """Returns what was read out until something was that holds some words."""
    page.wait_for_function("wanted => heard.some((said) => said.includes(wanted))", arg=wanted)
    return page.evaluate("heard.splice(0)")


def test_what_happens_is_read_out_once(page, tmp_path):
    hear(page)
    page.set_input_files("#classify-file input[type=file]", EXAMPLES / "cxr.png")
    expect(page.locator(".mm-second")).to_be_visible()
    answer, drawn = heard(page, "is drawn")
    assert re.match(r"Modality: Chest X-ray, .*%\. Findings: .*: (Likely|Possible): Synthetic", answer)
    assert drawn == "The heat map for Synthetic opacity is drawn."
    page.locator("#classify-findings button").nth(1).press("Enter")
    assert heard(page, "is drawn") == ["The heat map for Synthetic normal is drawn."]
    wrong = tmp_path / "report.png"
    wrong.write_bytes(b"%PDF-1.7 a report")
    for _ in range(2):  # the same once more is read out once more
        page.set_input_files("#classify-file input[type=file]", wrong)
        (refused,) = heard(page, "PDF")
        assert refused == page.locator("#classify-notice .mm-error").inner_text()
    open_tab(page, text.SIMILAR)
    heard(page, "12 similar cases; the nearest: Synthetic")
    open_tab(page, batch_text.TAB)
    page.set_input_files("#batch-files input[type=file]", [EXAMPLES / "ct.png", EXAMPLES / "oct.png"])
    assert heard(page, "2 files done.") == ["2 files done."]


def test_no_name_of_a_sentence_is_read_out(page):
    """Gradio lacks the words for what is done, and would say "common.complete"."""
    page.evaluate("""() => {
        window.spoken = [];
        const live = (node) => node.parentElement?.closest("[role=status], [aria-live=polite]");
        const listen = (mutations) => {
            for (const { target, addedNodes } of mutations)
                for (const node of [target, ...addedNodes])
                    if (live(node)?.ariaLive !== "off" && live(node)) spoken.push(node.textContent.trim());
        };
        const all = { childList: true, characterData: true, subtree: true };
        new MutationObserver(listen).observe(document.body, all);
    }""")
    page.set_input_files("#classify-file input[type=file]", EXAMPLES / "cxr.png")
    expect(page.locator(".mm-second")).to_be_visible()
    page.wait_for_function("document.querySelector('[role=none][aria-live=off]') !== null")
    page.wait_for_function("spoken.some((said) => said.includes('is drawn'))")
    page.wait_for_function("spoken.includes('Loading')")
    page.locator(".mm-announcer p").last.wait_for(state="detached", timeout=30_000)  # all was said by then
    assert [said for said in page.evaluate("spoken") if re.fullmatch(r"[a-z]+\.[a-z_.]+", said)] == []


def test_what_keys_work_on_lies_within_an_application(page):
    """Orca says nothing where an application itself gets the focus, nor where the next part does."""
    page.set_input_files("#classify-file input[type=file]", EXAMPLES / "cxr.png")
    expect(page.locator(".mm-second")).to_be_visible()
    open_tab(page, text.EXPLORE)
    expect(page.locator(".mm-map-count")).to_contain_text("420")
    for tab, part in ((text.CLASSIFY, ".mm-look"), (text.EXPLORE, ".mm-map")):
        open_tab(page, tab)
        page.locator(part).focus()
        nodes = {node["nodeId"]: node for node in whole_tree(page)}
        applications = [node for node in nodes.values() if said_of(node, "role") == "application"]
        assert not [node for node in applications if is_focusable({"properties": [], **node})]
        named = page.locator(part).get_attribute("aria-label")
        (focused,) = [
            node
            for node in nodes.values()
            if said_of(node, "role") == "group" and said_of(node, "name") == named
        ]
        parents = [nodes[focused["parentId"]]]
        while "parentId" in parents[-1] and parents[-1]["parentId"] in nodes:
            parents.append(nodes[parents[-1]["parentId"]])
        assert "application" in {said_of(node, "role") for node in parents}, part


def test_a_field_with_a_list_says_its_name_before_what_is_chosen(page):
    """The list opens at once; a reader that is pointed into it says the choice, and not the field."""
    page.get_by_role("button", name=text.PASTE_OR_CAMERA).focus()
    field = page.get_by_role("combobox", name=text.MODALITY, exact=True).locator("visible=true")
    page.keyboard.press("Tab")
    expect(field).to_be_focused()
    expect(page.get_by_role("option", selected=True)).to_be_visible()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert field.get_attribute("aria-activedescendant") is None
    page.keyboard.press("ArrowDown")
    expect(field).to_have_attribute("aria-activedescendant", re.compile("option-1"))


def test_a_group_of_radio_buttons_is_one_stop_and_arrows_choose(page):
    open_tab(page, text.EXPLORE)
    radios, legend = page.locator("#explore-colour input"), page.locator(".mm-legend")
    expect(legend).to_contain_text("Ultrasound")
    assert radios.count() > 3
    page.wait_for_function(
        "new Set([...document.querySelectorAll('#explore-colour input')].map(({ name }) => name)).size === 1"
    )
    radios.first.focus()
    page.keyboard.press("ArrowRight")
    expect(radios.nth(1)).to_be_focused()
    expect(radios.nth(1)).to_be_checked()
    expect(radios.first).not_to_be_checked()
    expect(legend).to_contain_text("Synthetic")  # the map follows
    page.keyboard.press("Tab")
    expect(page.locator("#explore-colour :focus")).to_have_count(0)
    page.keyboard.press("Shift+Tab")
    expect(radios.nth(1)).to_be_focused()  # what is chosen, and not the last one
    page.keyboard.press("ArrowLeft")
    expect(radios.first).to_be_checked()
    expect(legend).to_contain_text("Ultrasound")


def test_the_map_is_drawn_on_by_keys(page):
    open_tab(page, text.EXPLORE)
    count, stage = page.locator(".mm-map-count"), page.locator(".mm-map")
    expect(count).to_contain_text("420 cases")
    page.wait_for_function("Number.isFinite(document.querySelector('.mm-map').map?.locate(0)[0])")
    said = page.locator(".mm-map-said")

    def press(*keys: str) -> None:
        for key in keys:
            page.keyboard.press(key)

    page.get_by_role("button", name="Lasso", exact=True).press("Enter")
    stage.focus()
    press(*["ArrowLeft"] * 12, *["ArrowUp"] * 8, "Space")
    expect(said).to_have_text("Corner 1.")
    press("Enter")
    expect(said).to_have_text("Set more corners first, with Space.")
    press(*["ArrowRight"] * 24, "Space", *["ArrowDown"] * 16, "Space")
    expect(said).to_have_text("Corner 3.")
    corners = stage.locator("polygon").get_attribute("points")
    assert corners is not None
    flat = page.evaluate(
        """corners => {
            const { map } = document.querySelector(".mm-map");
            return map.within(corners.split(" ").map((corner) => map.place(corner.split(",").map(Number))))
                .reduce((sum, flag) => sum + flag, 0);
        }""",
        corners,
    )
    press("Enter")
    expect(count).to_have_text(f"{flat} of 420 selected")
    assert 0 < flat < 420
    press("Space", "Escape")
    expect(said).to_have_text("The outline is given up.")
    expect(count).to_have_text(f"{flat} of 420 selected")
    press("Escape", "Escape")
    expect(count).to_have_text("420 cases")
    page.get_by_role("button", name="Box", exact=True).press("Enter")
    stage.focus()
    press("Space", *["ArrowRight"] * 8, *["Shift+ArrowDown"] * 40, "Enter")
    expect(count).to_have_text(re.compile(r"^\d+ of 420 selected"))
    page.get_by_role("button", name="Move", exact=True).press("Enter")
    expect(stage.locator(".mm-cross")).to_have_attribute("d", "")
    stage.focus()
    before = page.evaluate("document.querySelector('.mm-map').map.view.x")
    press("ArrowRight")
    assert page.evaluate("document.querySelector('.mm-map').map.view.x") != before
