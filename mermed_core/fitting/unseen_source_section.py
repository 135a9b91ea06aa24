"""The part of the model card that says how the model does on images of sources that it did not see."""

from collections.abc import Iterable, Sequence

from mermed_core.models.model_metrics import Estimate, ModelMetrics, SourceMetrics, UnseenSourceMetrics
from mermed_core.records import HOLDS_FROM

_HEADING = "## Images of sources that the model did not see"
_NOT_MEASURED = "Not measured: how this model does on the images of other sources is not known."
_METHOD = """
One source at a time was left out: the heads, the out-of-distribution detector, its thresholds and the
retrieval space were fitted without it and then asked about its images. The unknown kinds were left out one
at a time as well. Means are over sources and over kinds; intervals are 95 %.
""".strip()
_FINDINGS = f"""
Where two or more sources share a label, its head was fitted on the others and asked about each. A finding
counts as holding elsewhere from an AUROC of {HOLDS_FROM:.2f}. A finding that is not listed has a single
source: nobody knows whether it holds elsewhere, and the page words it so.
""".strip()


def unseen_source_section(metrics: ModelMetrics) -> str:
    """Returns the section as Markdown: what was done, the summary, and a table for each thing left out.

    Args:
        metrics: of the model, described, so that sources have their titles.
    """
    unseen = metrics.unseen_source
    if unseen is None:
        return f"{_HEADING}\n\n{_NOT_MEASURED}"
    parts = [_HEADING, " ".join(part for part in (_METHOD, _pretraining(unseen)) if part), _summary(unseen)]
    if unseen.sources:
        parts.append(_sources(unseen.sources))
    if unseen.findings:
        parts += [_FINDINGS, _findings(metrics, unseen)]
    if unseen.kinds:
        parts.append(_kinds(unseen))
    return "\n\n".join(parts)


def _pretraining(unseen: UnseenSourceMetrics) -> str:
    """Says of how many sources the encoder knew images, since it was trained once for all of them."""
    count, known = len(unseen.sources), sum(source.in_pretraining for source in unseen.sources.values())
    if not known:
        return ""
    which = "all" if known == count else f"{known} of the {count}"
    return (
        f"The encoder was not trained again each time: it had learned from images of {which} sources, "
        "without their labels."
    )


def _summary(unseen: UnseenSourceMetrics) -> str:
    rows = [
        ("modality right", _share(unseen.modality_right)),
        ("let pass as an image of a known modality", _share(unseen.passed)),
        ("wrong modality with a probability above 0.9", _share(unseen.confident_wrong)),
        ("images of unknown kinds turned away", _share(unseen.unknown_turned_away)),
    ]
    aurocs = [each.auroc.value for classes in unseen.findings.values() for each in classes.values()]
    if aurocs:
        holding = sum(value is not None and value >= HOLDS_FROM for value in aurocs)
        rows.append(("findings that hold elsewhere", f"{holding} of the {len(aurocs)} with a second source"))
    return _table(("summary", "mean (95 % interval)"), rows)


def _sources(sources: dict[str, SourceMetrics]) -> str:
    header = ("source", "modality", "images", "modality right", "let pass", "confident wrong")
    order = sorted(sources.items(), key=lambda item: (item[1].modality, item[0]))
    rows = [
        (
            f"{name} ({each.title})" if each.title else name,
            each.modality,
            str(each.images),
            _share(each.modality_right),
            _share(each.passed),
            _share(each.confident_wrong),
        )
        for name, each in order
    ]
    return _table(header, rows)


def _findings(metrics: ModelMetrics, unseen: UnseenSourceMetrics) -> str:
    rows = []
    for task, classes in sorted(unseen.findings.items()):
        names = metrics.tasks[task].names if task in metrics.tasks else {}
        rows += [
            (task, names.get(label, label), _auroc(each.auroc), ", ".join(each.sources))
            for label, each in classes.items()
        ]
    return _table(("label set", "finding", "AUROC across sources", "sources"), rows)


def _kinds(unseen: UnseenSourceMetrics) -> str:
    rows = [
        (name.replace("_", " "), str(each.images), _share(each))
        for name, each in sorted(unseen.kinds.items())
    ]
    return _table(("unknown kind, left out", "images", "turned away"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _share(estimate: Estimate) -> str:
    return _with_interval(estimate, ".1%")


def _auroc(estimate: Estimate) -> str:
    return _with_interval(estimate, ".3f")


def _with_interval(estimate: Estimate, form: str) -> str:
    if estimate.value is None:
        return "not defined"
    if estimate.low is None or estimate.high is None:
        return format(estimate.value, form)
    return f"{estimate.value:{form}} ({estimate.low:{form}} to {estimate.high:{form}})"
