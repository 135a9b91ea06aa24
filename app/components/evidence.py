"""How good the model is on each label set: AUROC with its interval, as a chart that needs no script."""

from typing import Any

from ..text import modality_name, spoken, text

# Below half, a model would be worse than chance: nothing of interest lies there.
_LEFT = 0.5


def evidence(metrics: dict[str, dict[str, Any]], figures: dict[str, float]) -> str:
    """Returns a row per label set with AUROC and 95 % interval, and what the figure cannot tell."""
    measured = {task: figure for task, figure in metrics.items() if figure["auroc"] is not None}
    rows = "".join(_row(task, figure) for task, figure in sorted(measured.items(), key=_order))
    summary = ""
    if "modality_accuracy" in figures:
        summary = (
            f"<p>The modality is right on {figures['modality_accuracy']:.2%} of the test images; the gate "
            f"for unknown input lets {figures['known_accepted']:.1%} of them pass.</p>"
        )
    legend = "AUROC on images that the model never saw, 0.5 (chance) to 1; the bar is the 95 % interval."
    if not rows:
        legend = "No figures were measured for this model."
    return (
        f'<section class="mm-card mm-evidence"><h2>Evidence</h2>{summary}<p class="mm-small">{legend}</p>'
        f"{rows}</section>"
    )


def interval(figure: dict[str, Any]) -> str:
    """Returns the AUROC of a label set with its interval in words."""
    if figure["auroc_low"] is None:
        return f"AUROC {figure['auroc']:.2f} (no interval: too few patients)"
    return (
        f"AUROC {figure['auroc']:.2f} (95 % interval {figure['auroc_low']:.2f} to {figure['auroc_high']:.2f})"
    )


def _order(item: tuple[str, dict[str, Any]]) -> tuple[bool, str]:
    return item[0].startswith("phantom_"), item[0]


def _row(task: str, figure: dict[str, Any]) -> str:
    low, high = figure["auroc_low"], figure["auroc_high"]
    low, high = (figure["auroc"], figure["auroc"]) if low is None else (low, high)
    left, right, point = (
        100 * max(0.0, (value - _LEFT) / (1 - _LEFT)) for value in (low, high, figure["auroc"])
    )
    return (
        f'<div class="mm-metric"><div><strong>{text(figure.get("title") or spoken(task))}</strong>'
        f"<small>{text(modality_name(figure['modality']))}, {figure['n_test']} test images. "
        f"{text(figure.get('caveat', ''))}</small></div>"
        f'<div class="mm-range" title="{text(interval(figure))}"><i style="left:{left:.1f}%;'
        f'right:{100 - right:.1f}%"></i><b style="left:{point:.1f}%"></b></div>'
        f"<span>{figure['auroc']:.3f}</span></div>"
    )
