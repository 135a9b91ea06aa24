"""The section of a report on spaces in which images are compared."""

import pandas as pd

from mermed_core.evaluation.protocols.retrieval_space import FULL, GIVEN, METRICS, OWN, UNSEEN
from mermed_core.evaluation.report_names import modality_name
from mermed_core.reports import text
from mermed_core.reports.document import Section, Table, Tables

_TEXT = (
    "Each query searches the labelled images of its modality outside the test split, without those of its "
    "own group. Recall of neighbours: the share of the ten images nearest by the full embedding that are "
    "among the ten nearest in the space. Precision at k: the share of the first k of the same label set and "
    "class. mAP: mean average precision of the whole ranking. Means over label sets, then modalities. Given: "
    "test images, the space fitted on all sources. Unseen source: the space fitted without the query's "
    "source. In brackets 95 % intervals from whole groups of queries; differences are paired."
)
_METRICS = dict(
    zip(METRICS, ("Recall of neighbours", "Precision at 5", "Precision at 10", "mAP"), strict=True)
)
_ASKED = {GIVEN: "given", UNSEEN: "unseen source"}


def retrieval_space_section(measured: pd.DataFrame) -> Section:
    """Returns the section: every space over all modalities, then the main ones by modality and label set.

    Args:
        measured: with the columns of `protocols.retrieval_space.COLUMNS`.
    """
    whole = measured[measured["modality"] == ""]
    tables = [_overall(whole, asked) for asked in _ASKED]
    parts = measured[measured["modality"] != ""]
    for asked in _ASKED:
        rows = parts[parts["asked"] == asked]
        tables += [_by_part(rows[rows["space"] == space], space, asked) for space in _shown(rows)]
    return Section("Retrieval spaces", _TEXT, (Tables(tuple(each for each in tables if each.rows)),))


def _shown(rows: pd.DataFrame) -> list[str]:
    """Returns the spaces whose parts are shown: the full embedding, and the model's own or all variants."""
    spaces = list(rows["space"].unique())
    return [FULL, OWN] if OWN in spaces else spaces


def _overall(rows: pd.DataFrame, asked: str) -> Table:
    rows = rows[rows["asked"] == asked]
    lines = []
    for (encoder, space, size), part in rows.groupby(["encoder", "space", "bytes"], sort=False):
        cells = [_cell(part, metric) for metric in METRICS]
        lines.append((str(encoder), str(space), f"{size:,}", *cells, _difference(part, "map")))
    heads = ("Encoder", "Space", "Bytes", *_METRICS.values(), "mAP against full")
    return Table(f"All modalities, {_ASKED[asked]}", heads, tuple(lines))


def _by_part(rows: pd.DataFrame, space: str, asked: str) -> Table:
    lines = []
    for (encoder, modality, task), part in rows.groupby(["encoder", "modality", "task"], sort=False):
        name = modality_name(str(modality))
        count = f"{part['images'].iloc[0]:,}", f"{part['groups'].iloc[0]:,}"
        cells = [_cell(part, metric) for metric in METRICS]
        lines.append((str(encoder), name, str(task) or f"all of {name}", *count, *cells))
    heads = ("Encoder", "Modality", "Label set", "Images", "Groups", *_METRICS.values())
    return Table(f"By label set, {space}, {_ASKED[asked]}", heads, tuple(lines))


def _cell(rows: pd.DataFrame, metric: str) -> str:
    row = rows[rows["metric"] == metric].iloc[0]
    return text.number(float(row["value"]), float(row["low"]), float(row["high"]))


def _difference(rows: pd.DataFrame, metric: str) -> str:
    row = rows[rows["metric"] == metric].iloc[0]
    return text.difference(*(float(row[f"against_full{end}"]) for end in ("", "_low", "_high")))
