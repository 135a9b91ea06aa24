"""A grid of cases with their thumbnails and labels; each is a button that sends its case back."""

from collections.abc import Iterable, Sequence

import numpy as np

from mermed_core.collections.collection import Collection
from mermed_core.modalities import MODALITIES
from mermed_core.records import Case, Neighbour

from ..pictures import jpeg_uri
from ..text import modality_name, spoken, text


def neighbour_grid(collection: Collection, neighbours: Iterable[Neighbour]) -> str:
    """Returns the cases with their similarity, most similar first, and says if none of them is near."""
    hits = list(neighbours)
    if not hits:
        return nothing("No case passes these filters. Loosen one of them.")
    cards = [_card(collection, hit.case, f"{hit.similarity:.2f}") for hit in hits]
    best, usual = hits[0].similarity, collection.usual_similarity
    if best >= usual:
        return _grid(cards)
    others = f"while nearly every case here has another at {usual:.2f} or more"
    return nothing(f"None is near: the best similarity is {best:.2f}, {others}.") + _grid(cards)


def case_grid(collection: Collection, cases: Sequence[Case], shown: int) -> str:
    """Returns at most `shown` of the cases, spread evenly over them, and says how many are left out."""
    # Every n-th would show one label alone where labels alternate.
    chosen = np.unique(np.linspace(0, len(cases) - 1, min(shown, len(cases))).round().astype(int))
    cards = [_card(collection, cases[position], "") for position in chosen]
    more = ""
    if len(cards) < len(cases):
        words = f"{len(cards)} of the {len(cases)}, spread evenly; the table has all of them."
        more = f'<p class="mm-small">{words}</p>'
    return _grid(cards) + more


def nothing(sentence: str) -> str:
    """Returns the sentence that stands where cases would be."""
    return f'<p class="mm-nothing">{text(sentence)}</p>'


def _grid(cards: list[str]) -> str:
    return f'<div class="mm-grid">{"".join(cards)}</div>'


def _card(collection: Collection, case: Case, similarity: str) -> str:
    label = ", ".join(map(spoken, case.labels)) or "Unlabelled"
    badge = f'<b title="cosine similarity">{similarity}</b>' if similarity else ""
    return (
        f'<button type="button" class="mm-case" data-pick="{text(case.case_id)}" '
        f'title="{text(case.case_id)}: find cases like it"><span class="mm-thumb"><img loading="lazy" '
        f'src="{jpeg_uri(collection.thumbnail(case.case_id))}" alt="{text(label)}">{badge}</span>'
        f'<span class="mm-label">{text(label)}</span><span class="mm-origin">'
        f'<i style="background:{MODALITIES[case.modality].colour}"></i>{text(modality_name(case.modality))}'
        f"<span>{text(case.source)}</span></span></button>"
    )
