"""Every sentence that a visitor reads in the answer on an image, beyond what reports say too (`text`)."""

from mermed_core.collections.collection import Collection
from mermed_core.inference.comparison import Comparison
from mermed_core.languages.say import speaks

from . import case_text, text

say = speaks(__name__)

NEAREST, CONTRAST = "Most similar", "Same label / other label"
ARRANGE = "Show"


def same_label(name: str) -> str:
    """Heads the nearest cases of the class that the classifier answers."""
    return say("Nearest cases labelled {name}", name=name)


def other_label(name: str, title: str) -> str:
    """Heads the nearest cases of the other classes of its label set."""
    return say("Nearest with another label than {name} in {title}", name=name, title=title)


NONE_LABELLED = "The collection has none."

METHOD = "Method"
METHOD_HINT = "Peak in the finding of drawn images"
SHOW_MAP = "Show the map"
CHECKED = "Does the map mean anything?"


def method_name(name: str, pointing: float | None) -> str:
    """Returns a way of drawing heat maps with how often its peak was right, where that was measured.

    It is short: the list shows what is chosen on one line of a third of the page.
    """
    if pointing is None:
        return name
    return say("{name}, {share:.0%}", name=name, share=pointing)


WHY, YOURS, CLOSE = "Why this case?", "Your image", "Close"
SEARCH_WITH_IT = "Find cases like this one"
NO_PICTURE = "The collection holds no picture of this case, so only your image can be shown."
LIKENESS = (
    "Bright: what speaks for the likeness in either image. Equal numbers: regions that look alike to the "
    "model."
)
LIKENESS_ALONE = "Bright: what in your image speaks for the likeness."
PLACE, PLACE_ALT = (
    "Place in the collection",
    "A map of the known cases by likeness, in the colours of their modalities",
)
HERE = "your image"


def why_this_case(collection: Collection, compared: Comparison) -> str:
    """Says which case an image is compared with and how similar they are."""
    return say(
        "{case}. Similarity {similarity:.2f}.",
        case=case_text.case_origin(collection, compared.case),
        similarity=compared.similarity,
    )


def no_such_case(name: str) -> str:
    """Refuses a case that the collection does not have."""
    return say("The collection has no case '{name}'.", name=name)


def place_among(count: int, near: str) -> str:
    """Says where an image falls on the map of a collection.

    Args:
        count: cases of the collection.
        near: key of the modality of the nearest case.
    """
    return say(
        "Among {count:,} known cases, nearest to {nearest}. The map itself is under {tab}.",
        count=count,
        nearest=text.modality_name(near),
        tab=text.EXPLORE,
    )


def place_of_unknown(count: int) -> str:
    """Says what the place of an image that is not recognised is worth on the map of so many cases."""
    return say(
        "Among {count:,} known cases. The model does not recognise the image, so its place means little.",
        count=count,
    )


def compare_with(case_id: str) -> str:
    """Says what pressing a case does."""
    return say("{case_id}: compare with your image", case_id=case_id)
