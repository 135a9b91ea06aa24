"""How the metrics, protocols and modalities of an evaluation are named in its report."""

from mermed_core.evaluation.protocols.retrieval import MEAN_AVERAGE_PRECISION
from mermed_core.metrics.catalogue import AUPRC, AUROC, BRIER, ECE, F1
from mermed_core.modalities import MODALITIES
from mermed_core.reports.text import humanise

_METRICS = {
    AUROC: "AUROC",
    AUPRC: "Average precision",
    F1: "F1",
    ECE: "Calibration error (ECE)",
    BRIER: "Brier score",
    MEAN_AVERAGE_PRECISION: "mAP",
}
_PROTOCOLS = {
    "cross_validation": "Cross-validation",
    "knn": "k nearest neighbours",
    "few_shot": "Few-shot",
    "fine_tuning": "Fine-tuning",
}


def metric_name(metric: str) -> str:
    """Returns the name of a metric for people."""
    return _METRICS.get(metric) or humanise(metric)


def protocol_name(protocol: str) -> str:
    """Returns the name of a protocol for people."""
    return _PROTOCOLS.get(protocol) or humanise(protocol)


def modality_name(key: str) -> str:
    """Returns the name of a modality for people."""
    return MODALITIES[key].name if key in MODALITIES else key


def subset_name(shots: int, share: float) -> str:
    """Returns the size of a training subset: "4-shot" or "10 %"."""
    return f"{shots}-shot" if shots else f"{100 * share:g} %"
