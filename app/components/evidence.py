"""How good the model is on each label set: AUROC with its interval, as a chart that needs no script."""

from mermed_core.models.model_metrics import ModelMetrics, TaskMetrics
from mermed_core.records import SYNTHETIC_PREFIX

from ..texts import text
from .templates import render

# Below half, a model would be worse than chance: nothing of interest lies there.
_LEFT = 0.5


def evidence(metrics: ModelMetrics) -> str:
    """Returns a row per label set with AUROC and 95 % interval, and what the number cannot show."""
    # What was measured on drawn images says least, and comes last.
    order = sorted(metrics.tasks.items(), key=lambda item: (item[0].startswith(SYNTHETIC_PREFIX), item[0]))
    return render(
        "evidence.html",
        summary=text.whole_model(metrics.model.modality_accuracy, metrics.model.known_accepted),
        rows=[_row(*item) for item in order if item[1].auroc is not None],
    )


def _row(task: str, measured: TaskMetrics) -> dict[str, str]:
    auroc = measured.auroc or 0.0
    low = auroc if measured.auroc_low is None else measured.auroc_low
    high = auroc if measured.auroc_high is None else measured.auroc_high
    left, right, point = (100 * max(0.0, (value - _LEFT) / (1 - _LEFT)) for value in (low, high, auroc))
    return {
        "title": text.set_title(task, measured),
        "measured_on": text.measured_on(measured),
        "auroc": text.auroc(measured),
        "left": f"{left:.1f}",
        "right": f"{100 - right:.1f}",
        "point": f"{point:.1f}",
        "value": text.decimals(auroc),
    }
