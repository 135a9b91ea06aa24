"""A visit to the page, which begins when everything on it listens."""

from playwright.sync_api import Page, expect


def visit(page: Page, address: str) -> None:
    """Opens an address of ours and waits until the page and the scripts beside it are there."""
    page.goto(address)
    expect(page.locator(".mm-research")).to_be_visible()
    expect(page.locator("html[data-listens]")).to_be_attached()
