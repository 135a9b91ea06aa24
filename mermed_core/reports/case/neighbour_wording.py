"""What is said of the nearest cases of one image, on the page and in every report alike.

All of it is plain text; whoever puts it into HTML or a PDF escapes it.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mermed_core.collections.label_names import label_name
from mermed_core.languages.say import name_of, speaks
from mermed_core.reports.case.wording import modality_name, percent
from mermed_core.reports.text import humanise

if TYPE_CHECKING:
    from mermed_core.collections.collection import Collection
    from mermed_core.collections.sources import SourceFacts

say = speaks(__name__)

NEAREST_ANYWAY = "The model does not recognise this image; these are merely the cases nearest to it."
UNLABELLED = "Unlabelled"
_NEARLY_ALL = 0.99


def labels(collection: "Collection", names: Iterable[str] | None) -> str:
    """Returns the labels of a case."""
    given = names if names is not None else ()
    return ", ".join(_label(collection, name) for name in given) or say(UNLABELLED)


def _label(collection: "Collection", label: str) -> str:
    """Returns a label by its name; one of a folder of one's own as that writes it, after its name if any."""
    name, key = label_name(collection, label)
    named = name_of(humanise(name))
    return f"{named} ({key})" if name and key else named or key


def source_title(facts: "SourceFacts") -> str:
    """Returns the name of a data set."""
    return name_of(facts.title)


def licence(stated: str) -> str:
    """Returns the licence of a data set, "" where none is stated."""
    return say("licence unknown") if stated == "unknown" else name_of(stated)


def closeness(closer: float | None, sharing: float | None) -> str:
    """Says what the similarity of the nearest case means; "" where too little is known.

    Args:
        closer: share of the pairs of cases with one label that are less similar.
        sharing: share of pairs this similar that have their label in common.
    """
    said = []
    if closer is not None and closer > _NEARLY_ALL:
        said.append(
            say(
                "The nearest case is closer to the image than nearly all cases with one label are to each "
                "other"
            )
        )
    elif closer is not None:
        said.append(
            say(
                "The nearest case is closer to the image than {share} of cases with one label are to each "
                "other",
                share=percent(closer),
            )
        )
    if sharing is not None:
        said.append(say("of cases this close, {tenths} in 10 share the label", tenths=_of_ten(sharing)))
    if not said:
        return ""
    first, *rest = said
    return f"{first[:1].upper()}{'; '.join([first, *rest])[1:]}."


def _of_ten(share: float) -> str:
    """Returns a share in tenths, which never claims all or none."""
    if share > 0.95:
        return say("more than 9")
    return say("fewer than 1") if share < 0.05 else f"{10 * share:.0f}"


def vote(counts: Sequence[tuple[str, int]], cases: int, title: str) -> str:
    """Says how the nearest cases vote in a label set.

    Args:
        counts: name of each class and its cases, the most frequent first.
        cases: that were asked.
        title: of the label set.
    """
    if not counts:
        return say(
            "None of the {cases} nearest cases belongs to the set {title}: they neither support nor deny it.",
            cases=cases,
            title=title,
        )
    named = ", ".join(f"{count} {name}" for name, count in counts)
    without = cases - sum(count for _, count in counts)
    others = say(", {count} of other sets", count=without) if without else ""
    return say(
        "Of the {cases} nearest cases in the set {title}: {named}.",
        cases=cases,
        title=title,
        named=named + others,
    )


def beside_the_point(cases: int, title: str) -> str:
    """Warns of a label set that none of the nearest cases is of, although they are of others."""
    return say(
        "None of the {cases} nearest known cases is of the set {title}, so what it finds may say nothing "
        "about this image.",
        cases=cases,
        title=title,
    )


NONE_SIMILAR = "No known case is similar to this image: treat these findings as a guess."


def disagreement(answer: str, voted: str) -> str:
    """Says that most of the nearest cases have another label than the classifier's answer."""
    return say(
        "The classifier puts {answer} first, but most of the nearest cases are {voted}. Trust neither alone.",
        answer=answer,
        voted=voted,
    )


def outvoted(answer: str, voted: str) -> str:
    """Says that of the nearest cases clearly more have another label than the classifier's answer."""
    return say(
        "The classifier puts {answer} first, but many more of the nearest cases are {voted}. Trust neither "
        "alone.",
        answer=answer,
        voted=voted,
    )


def none_near(best: float, usual: float) -> str:
    """Says that the nearest cases are not near."""
    return say(
        "No similar case: the highest similarity is {best:.2f}, whereas nearly every case in this "
        "collection has another at {usual:.2f} or above.",
        best=best,
        usual=usual,
    )


def modality_said(key: str, told: bool) -> str:
    """Returns the modality of a case, and whether the model told it."""
    name = modality_name(key)
    return say("{modality}, as the model sees it", modality=name) if told else name
