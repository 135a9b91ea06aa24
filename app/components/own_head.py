"""The parts of the page about a classifier of one's own: labelled images, how good it is, what it says."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mermed_core.collections.collection import Collection
from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.own_heads import Example, FewShotAnswer, FewShotHead

from ..texts import case_text, own_head_text, spoken_text, text
from .cases import shown
from .pictures import picture_uri
from .templates import render

_SIDE, _OPEN_SIDE = 96, 320


@dataclass(frozen=True, eq=False, repr=False)  # no log can hold it; each one is a change for Gradio
class Labelled:
    """An image with its label, as it is shown and learned from.

    Attributes:
        example: what is learned from.
        key: names it on the page.
        view: what the template shows of it.
    """

    example: Example
    key: str
    view: dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class Workbench:
    """What a visitor has labelled and made; lives in memory for the visit.

    Attributes:
        items: the labelled images.
        head: the classifier that was made or loaded last.
        seconds: how long it took, None where it was loaded.
    """

    items: tuple[Labelled, ...] = ()
    head: FewShotHead | None = None
    seconds: float | None = None
    labels: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        labels = tuple(dict.fromkeys(item.example.label for item in self.items))
        object.__setattr__(self, "labels", labels)


def labelled_image(example: Example, image: MedicalImage) -> Labelled:
    """Returns an upload with its label; only a small picture of it is kept."""
    view = {"picture": picture_uri(image.pixels, _SIDE), "drawing": "", "caption": own_head_text.YOUR_FILE}
    return Labelled(example, f"{example.label}/{example.group}", view)


def labelled_case(example: Example, collection: Collection, case_id: str) -> Labelled:
    """Returns a case of the collection with its label."""
    case = collection.case(case_id)
    facts = shown(collection, case)
    view = {name: facts[name] for name in ("picture", "drawing")}
    caption = f"{case_id}, {case_text.caption(collection, case)}"
    return Labelled(example, f"{example.label}/{case_id}", view | {"caption": caption})


def workbench_view(items: Sequence[Labelled]) -> str:
    """Returns the labelled images by label, each with a button that removes it."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        groups.setdefault(item.example.label, []).append(item.view | {"key": item.key})
    return _render(
        "shelf",
        groups=[
            {"label": label, "count": own_head_text.count(len(pictures)), "pictures": pictures}
            for label, pictures in groups.items()
        ],
    )


def result_card(bench: Workbench) -> str:
    """Returns how good the classifier is."""
    head = bench.head
    return _render(
        "result",
        left_out=head.left_out if head else None,
        labels=head.labels if head else (),
        taken="" if bench.seconds is None else own_head_text.taken(bench.seconds),
    )


def answer_card(answer: FewShotAnswer | None, image: MedicalImage | None) -> str:
    """Returns what the classifier says about the image that is open.

    Args:
        answer: None where there is no classifier or no image.
        image: the one that is open, None where none is.
    """
    familiar = answer is not None and answer.familiar
    unfamiliar = "" if answer is None or familiar else own_head_text.unfamiliar(answer)
    bars = [
        {"label": label, "share": f"{share:.4f}", "percent": text.percent(share)}
        for label, share in (answer.probabilities.items() if answer and familiar else ())
    ]
    return _render(
        "answer",
        picture=picture_uri(image.pixels, _OPEN_SIDE) if image else "",
        sentence=own_head_text.NOTHING_YET if image else own_head_text.OPEN_ONE,
        unfamiliar=unfamiliar,
        said=spoken_text.answered(bars[0]["label"], bars[0]["percent"]) if bars else unfamiliar,
        bars=bars,
    )


def _render(part: str, **values: Any) -> str:
    return render("own_head.html", part=part, own=own_head_text, **values)
