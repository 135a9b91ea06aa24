"""What is searched with: the visitor's image, or a case."""

from mermed_core.collections.annotations import Annotations
from mermed_core.collections.collection import Collection
from mermed_core.imaging.reader import MedicalImage

from ..texts import case_text, map_text, note_text, text
from .cases import shown
from .pictures import picture_uri
from .templates import render

_SIDE = 240


def way_back() -> str:
    """Returns the button that leads from a case back to the map that it was opened on."""
    return render("way_back.html", words=map_text.BACK, hint=map_text.BACK_HINT)


def image_view(image: MedicalImage) -> str:
    """Returns the visitor's image."""
    picture = picture_uri(image.pixels, _SIDE)
    return render("query_view.html", picture=picture, origin=(), home="", caption=text.YOUR_IMAGE, written=())


def case_view(collection: Collection, case_id: str, written: Annotations | None = None) -> str:
    """Returns a case with what is known of it and what people wrote about it.

    Raises:
        CollectionError: there is none of that id.
    """
    case = collection.case(case_id)
    lines = (
        [] if written is None else note_text.written(written.tags_of(case_id), written.notes.get(case_id, ""))
    )
    return render(
        "query_view.html",
        caption=case_text.case_origin(collection, case),
        written=lines,
        **shown(collection, case),
    )
