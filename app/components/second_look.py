"""What a second look at the image under small changes gave, label set by label set."""

from collections.abc import Sequence
from typing import Any

from mermed_core.inference.second_look import SecondLook
from mermed_core.models.model_metrics import ModelMetrics
from mermed_core.reports.case import wording

from ..texts import text
from .templates import render


def looking(sets: int) -> str:
    """Returns the room of the second looks at so many label sets; "" for none."""
    return render("second_look.html", words=wording, waiting=sets, looks=()).strip()


def second_look_card(looks: Sequence[SecondLook], metrics: ModelMetrics) -> str:
    """Returns the spread of each label set and whether its answer holds; "" without findings."""
    return render(
        "second_look.html", words=wording, waiting=0, looks=[_look(each, metrics) for each in looks]
    ).strip()


def _look(look: SecondLook, metrics: ModelMetrics) -> dict[str, Any]:
    turned = [(change, text.class_name(metrics, look.task, label)) for change, label in look.turned]
    name = text.class_name(metrics, look.task, look.label)
    return {
        "stable": look.stable,
        "verdict": wording.STABLE if look.stable else wording.UNSTABLE,
        "said": wording.second_look(name, look.low, look.high, look.copies, turned),
        "low": f"{100 * look.low:.1f}",
        "right": f"{100 * (1 - look.high):.1f}",
    }
