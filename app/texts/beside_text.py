"""What a visitor reads about a second collection, whose map stands beside the first."""

from mermed_core.collections.overlap import Overlap, SharedNeighbours
from mermed_core.languages.say import speaks

from . import map_text, measure_text

say = speaks(__name__)

OVERLAP = "How alike are the two maps?"
OVERLAP_ALL = "All"

# What the scripts of the second map say.
MAP_SCRIPT = {
    "beside": "inside an outline on the second map",
    "beside_only": "The first collection lacks this case, so that it cannot be opened here.",
    "beside_all": "{} cases, {} of them on both maps",
    "beside_chosen": "{} of {} selected, {} of them on both maps",
    "beside_wait": "This map could not be loaded ({}). Reload to try again.",
    "overlap_wait": "Comparing the neighbours of the cases…",
    "overlap_left": "Comparing the neighbours of the cases: about {} s left. Close this to cancel.",
    "overlap_failed": map_text.MAP_SCRIPT["failed"],
    "given_up": measure_text.MAP_SCRIPT["given_up"],
}


def map_of(name: str) -> str:
    """Names the map of a collection."""
    return say("Map of the collection {name}", name=name)


def map_names(first: str, second: str) -> tuple[str, str]:
    """Returns what the two maps are called, told apart where both collections have one name."""
    if first != second:
        return first, second
    return say("{name}, first map", name=first), say("{name}, second map", name=second)


def overlap(found: Overlap, first: str, second: str) -> str:
    """Says what the shares of neighbours are shares of.

    Args:
        found: what was compared.
        first: name of the first collection.
        second: name of the second.
    """
    said = say(
        "{matched:,} cases are on both maps. Shown is how many of the {nearest} cases nearest to a "
        "case in “{first}” are also among its {nearest} nearest in “{second}”, on average and with 95% "
        "intervals. Neighbours are compared by the images' vectors and not by their places on the maps. "
        "The line is what chance alone would give ({chance:.1%}).",
        matched=found.matched,
        nearest=found.neighbours,
        first=first,
        second=second,
        chance=found.chance,
    )
    if not found.told:
        return said
    told = say(
        "The modality of {told:,} of these cases is the model's own answer and stated by nobody.",
        told=found.told,
    )
    return f"{said} {told}"


def shared(figures: SharedNeighbours) -> str:
    """Writes a share with its interval and the number of cases."""
    if figures.low is None or figures.high is None:
        return say("{mean:.0%}, {cases:,} cases", mean=figures.mean, cases=figures.cases)
    return say(
        "{mean:.0%} ({low:.0f} to {high:.0f}), {cases:,} cases",
        mean=figures.mean,
        low=100 * figures.low,
        high=100 * figures.high,
        cases=figures.cases,
    )
