"""The section of a report on sources and kinds that nothing was fitted on."""

from collections.abc import Callable, Mapping

from mermed_core.models.model_metrics import Estimate, UnseenSourceMetrics
from mermed_core.reports import text
from mermed_core.reports.document import Section, Table, Tables

_TEXT = (
    "One source at a time was left out: modality head, out-of-distribution detector with its limit, and the "
    "heads of findings were fitted without it and asked about its images; unknown kinds likewise. Means over "
    "sources or kinds, with 95 % intervals. Encoders that were trained on images of these sources had seen "
    "them, without labels."
)
_SUMMARY = {
    "Modality right": "modality_right",
    "Let pass": "passed",
    "Wrong modality above 0.9": "confident_wrong",
    "Unknown kinds turned away": "unknown_turned_away",
}


def unseen_sources_section(measured: Mapping[str, UnseenSourceMetrics]) -> Section:
    """Returns the section: a summary, then tables by source, unknown kind and finding, a column an encoder.

    Args:
        measured: by name of the encoder.
    """
    summary = Table(
        "Summary",
        ("", *measured),
        tuple(
            (title, *(_number(getattr(each, name)) for each in measured.values()))
            for title, name in _SUMMARY.items()
        ),
    )
    tables = (
        summary,
        _table("Modality right", "Source", measured, lambda each: _of_sources(each, "modality_right")),
        _table("Let pass", "Source", measured, lambda each: _of_sources(each, "passed")),
        _table("Turned away", "Unknown kind", measured, lambda each: dict(each.kinds)),
        _table("AUROC of findings in sources left out", "Finding", measured, _of_findings),
    )
    return Section(
        "Sources and kinds left out", _TEXT, (Tables(tuple(each for each in tables if each.rows)),)
    )


def _table(
    caption: str,
    column: str,
    measured: Mapping[str, UnseenSourceMetrics],
    of: Callable[[UnseenSourceMetrics], Mapping[str, Estimate]],
) -> Table:
    columns = [of(each) for each in measured.values()]
    names = dict.fromkeys(name for each in columns for name in each)
    rows = tuple((name, *(_number(each.get(name, Estimate())) for each in columns)) for name in names)
    return Table(caption, (column, *measured), rows)


def _of_sources(measured: UnseenSourceMetrics, name: str) -> dict[str, Estimate]:
    return {source: getattr(each, name) for source, each in measured.sources.items()}


def _of_findings(measured: UnseenSourceMetrics) -> dict[str, Estimate]:
    return {
        f"{task}: {label} ({', '.join(each.sources)})": each.auroc
        for task, classes in measured.findings.items()
        for label, each in classes.items()
    }


def _number(estimate: Estimate) -> str:
    nothing = float("nan")
    values = (estimate.value, estimate.low, estimate.high)
    return text.number(*(nothing if value is None else value for value in values))
