"""What is searched with: the visitor's image, or a case."""

from mermed_core.collections.collection import Collection
from mermed_core.inference.predictor import MedicalImage

from ..pictures import jpeg_uri, picture_uri
from ..text import modality_name, spoken, text

EMPTY = ""
_SIDE = 240


def query_view(collection: Collection, query: MedicalImage | str) -> str:
    """Returns the picture of the query with what is known of it."""
    if isinstance(query, str):
        case = collection.case(query)
        words = f"{spoken(case.label)} ({modality_name(case.modality)}, {case.source}), case {query}"
        uri = jpeg_uri(collection.thumbnail(query))
    else:
        words, uri = "Your image", picture_uri(query.pixels, _SIDE)
    return f'<figure class="mm-query"><img src="{uri}" alt=""><figcaption>{text(words)}</figcaption></figure>'
