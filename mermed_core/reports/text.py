"""How the names and numbers of an evaluation are shown to people."""

import math

from mermed_core.evaluation import results as figures
from mermed_core.modalities import MODALITIES

MISSING = "–"
_METRICS = {
    figures.AUROC: "AUROC",
    figures.AUPRC: "Average precision",
    figures.F1: "F1",
    figures.ECE: "Calibration error (ECE)",
    figures.BRIER: "Brier score",
    figures.MEAN_AVERAGE_PRECISION: "mAP",
}
_PROTOCOLS = {
    "cross_validation": "Cross-validation",
    "knn": "k nearest neighbours",
    "few_shot": "Few-shot",
    "fine_tuning": "Fine-tuning",
}
_SETTINGS = {"shots": (1, "{:g}-shot"), "share": (100, "{:g} %"), "k": (1, "k = {:g}")}
_STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))


def metric_name(metric: str) -> str:
    """Returns the name of a metric."""
    return _METRICS.get(metric) or _spaced(metric)


def protocol_name(protocol: str) -> str:
    """Returns the name of a protocol."""
    return _PROTOCOLS.get(protocol) or _spaced(protocol)


def modality_name(key: str) -> str:
    """Returns the name of a modality."""
    return MODALITIES[key].name if key in MODALITIES else key


def setting_name(setting: str) -> str:
    """Returns a setting such as "shots=4" or "share=0.1" in words."""
    if setting_kind(setting) not in _SETTINGS:
        return setting
    factor, pattern = _SETTINGS[setting_kind(setting)]
    return pattern.format(factor * setting_number(setting))


def setting_kind(setting: str) -> str:
    """Returns what a setting such as "noise=3" varies."""
    return setting.partition("=")[0]


def setting_number(setting: str) -> float:
    """Returns the number in a setting such as "shots=4", NaN where it has none."""
    try:
        return float(setting.rpartition("=")[2])
    except ValueError:
        return math.nan


def number(value: float, low: float = math.nan, high: float = math.nan) -> str:
    """Returns a number to three digits, with its interval where there is one."""
    if math.isnan(value):
        return MISSING
    return f"{value:.3f}" if math.isnan(low) else f"{value:.3f} ({low:.3f}–{high:.3f})"


def difference(value: float, low: float, high: float) -> str:
    """Returns a difference to three digits with its sign and its interval."""
    if math.isnan(value):
        return MISSING
    text = f"{value:+.3f}" if math.isnan(low) else f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
    return text.replace("-", "−")


def p_value(value: float) -> str:
    """Returns a p-value to three digits; it is never shown as 0."""
    return MISSING if math.isnan(value) else "<0.001" if value < 0.001 else f"{value:.3f}"


def stars(value: float) -> str:
    """Returns a star for a p-value below 0.05, two below 0.01, three below 0.001."""
    return next((mark for limit, mark in _STARS if value < limit), "")


def _spaced(name: str) -> str:
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]
