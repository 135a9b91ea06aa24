"""What a visitor sees of images of their own: how far they are, and the way to their map."""

from collections.abc import Sequence
from typing import Any

from ..kept_collections import KeptCollection
from ..own_pages import address_of
from ..texts import own_collection_text
from .templates import render


def progress_bar(done: int, total: int, sentence: str) -> str:
    """Returns how far the embedding is; without images the sentence alone."""
    return _render("progress", done=done, total=total, sentence=sentence)


def result_card(said: str = "", *, name: str = "", address: str = "", kept: bool = False) -> str:
    """Returns the way to the page of a collection; without its address what is said instead.

    Args:
        said: what became of the images.
        name: of the collection.
        address: of its page.
        kept: whether the server keeps it.
    """
    return _render("result", said=said, name=name, address=address, kept=kept)


def kept_list(kept: Sequence[KeptCollection]) -> str:
    """Returns the visitor's collections that the server keeps; "" for none.

    A press sends what is to be done and the token of a collection, with a space between.
    """
    rows = [
        {
            "name": each.name,
            "address": address_of(each.token),
            "token": each.token,
            "said": own_collection_text.kept(each.cases, each.changed),
        }
        for each in kept
    ]
    return _render("kept", rows=rows)


def _render(part: str, **values: Any) -> str:
    return render("own_collection.html", part=part, own=own_collection_text, **values)
