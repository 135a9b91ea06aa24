"""The first lines of every page: what this is, what it is not, and which collection is loaded."""

from ..services import Services
from ..text import RESEARCH_ONLY, text


def header(services: Services) -> str:
    """Returns the title, the research notice and the collection's banner as HTML."""
    return (
        '<header class="mm-header"><div class="mm-title"><h1>MerMED-FM Explorer</h1>'
        "<p>One foundation model for seven kinds of medical image. No labels needed.</p></div>"
        f'<p class="mm-research" role="note">{RESEARCH_ONLY}</p></header>{_banner(services)}'
    )


def _banner(services: Services) -> str:
    collection = services.predictor.collection
    if collection is None:
        return (
            '<p class="mm-banner mm-warn">No collection is loaded, so there are no similar cases and no map. '
            f"{text(services.missing_collection)}</p>"
        )
    kind = (
        "<strong>synthetic cases, drawn, not of patients</strong>" if collection.synthetic else "known cases"
    )
    return (
        f'<p class="mm-banner">Collection <strong>{text(collection.name)}</strong>: {len(collection)} '
        f"{kind}. {text(collection.description)}</p>"
    )
