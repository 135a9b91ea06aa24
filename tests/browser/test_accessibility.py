"""axe on every page, light and dark: no serious or critical fault in the explorer's own parts."""

import re
from collections.abc import Callable
from typing import Literal

import pytest

from mermed_core.files import ASSETS, BUNDLED_COLLECTION
from mermed_core.settings import Settings

pytest.importorskip("playwright")
pytest.importorskip("axe_playwright_python")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
expect.set_options(timeout=60_000)
SETTINGS = Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})
TABS = ("Classify", "Similar cases", "Explore", "Batch", "Your classifier", "About")


@pytest.fixture(scope="module")
def address(serve: Callable[[Settings], str]) -> str:
    return serve(SETTINGS).rstrip("/")


def faults(page: Page) -> list[str]:
    """Returns rule and element of each serious or critical fault that is ours."""
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]})
    return [
        f"{rule['id']}: {node['html'][:160]}"
        for rule in found.response["violations"]
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
        if is_ours(node)
    ]


def faults_at_rest(page: Page) -> list[str]:
    """Returns the faults that stay: what still waits for an answer is dimmed, for moments."""
    found: list[str] = []
    for _ in range(6):
        expect(page.locator(".pending:visible")).to_have_count(0)
        if not (found := faults(page)):
            break
        page.wait_for_timeout(500)
    return found


def is_ours(node: dict) -> bool:
    """Every part of ours has a class of its own; the rest is Gradio's and offers no handle."""
    return "mm-" in " ".join(map(str, node["target"])) + node["html"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_fault(
    browser: Browser, address: str, scheme: Literal["light", "dark"]
) -> None:
    page = browser.new_page(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(60_000)
    page.goto(f"{address}/?__theme={scheme}")
    page.locator("#classify-examples button").first.click()
    expect(page.locator("#classify-findings button").first).to_be_visible()
    found = {}
    for name in TABS:
        page.get_by_role("tab", name=name, exact=True).click()
        if name == "Your classifier":
            _label(page)
        elif name == "Batch":
            page.set_input_files("#batch-files input[type=file]", ASSETS / "examples" / "ct.png")
            expect(page.locator("#batch-table tbody tr")).to_have_count(1)
        elif name == "Similar cases":
            page.locator("#similar-results [data-mark=good]").first.click()
            expect(page.locator("#similar-marked")).to_contain_text(re.compile("Marked"))
        found[name] = faults_at_rest(page)
    page.close()
    assert found == {name: [] for name in TABS}


def _label(page: Page) -> None:
    page.locator("#own-label input").fill("a")
    page.keyboard.press("Enter")
    page.set_input_files("#own-files input[type=file]", ASSETS / "examples" / "ct.png")
    expect(page.locator("#own-shelf li")).to_have_count(1)
