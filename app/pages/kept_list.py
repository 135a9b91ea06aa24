"""The visitor's collections that the server keeps: their own browser remembers which, nobody else is told."""

from typing import Any

import gradio as gr
from gradio.events import Dependency

from ..components.html_parts import clickable_html
from ..components.own_collection import kept_list
from ..own_pages import OwnPages, address_of, token_of

_STORED = "mermed-own-collections"  # in the browser
_MOST = 50  # collections that a browser remembers
_LONGEST = 64  # letters of a token


class KeptList:
    """The list and what happens on it.

    Args:
        pages: where the collections are.
    """

    def __init__(self, pages: OwnPages) -> None:
        self._pages = pages
        # Gradio encrypts it. A secret of this process would be lost with it, and the browser's own user may
        # read what is theirs.
        self.remembered = gr.BrowserState([], storage_key=_STORED, secret=_STORED)
        self.list = clickable_html("", "images-kept")
        gr.on(
            None,  # when the page opens, and whenever what is remembered changes
            self.shown,
            self.remembered,
            self.list,
            api_name="own_kept",
            api_visibility="undocumented",
            queue=False,
            show_progress="hidden",
        )

    def shown(self, remembered: object) -> str:
        """Returns the list of what a browser remembers, as far as it is still kept."""
        return kept_list(self._pages.kept(_tokens(remembered)))

    def remember(self, remembered: object, address: str) -> list[str]:
        """Returns what a browser is to remember when a page was made at an address, the latest first."""
        tokens = _tokens(remembered)
        token = token_of(address)
        return [token, *(each for each in tokens if each != token)][:_MOST] if token else tokens

    def forget(self, remembered: object, pick: str) -> tuple[list[str], str]:
        """Takes a collection off the list, and deletes it where that was pressed.

        Args:
            remembered: by the browser.
            pick: "delete" or "unlist", and the token.

        Returns:
            What the browser is to remember, and the address of the page that was deleted, "" for none.
        """
        what, _, token = pick.partition(" ")
        tokens = _tokens(remembered)
        if token not in tokens:
            return tokens, ""
        address = address_of(token) if what == "delete" else ""
        if address:
            self._pages.forget(address)
        return [each for each in tokens if each != token], address

    def refreshes(self, event: Dependency, api_name: str) -> None:
        """Shows the list anew after an event."""
        options: dict[str, Any] = {"api_visibility": "undocumented", "queue": False}
        event.then(
            self.shown, self.remembered, self.list, api_name=api_name, show_progress="hidden", **options
        )


def _tokens(remembered: object) -> list[str]:
    """Returns what may be tokens of what a browser says that it remembers."""
    given = remembered if isinstance(remembered, list) else []
    return [each for each in given[:_MOST] if isinstance(each, str) and 0 < len(each) <= _LONGEST]
