"""The tables of a report: text in cells, made from figures and comparisons."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

import pandas as pd

from mermed_core.reports import text as words
from mermed_core.evaluation.results import AUROC, BRIER, ECE, MEAN_AVERAGE_PRECISION, RECALL
from mermed_core.evaluation.measurement import GAP
from mermed_core.evaluation.published_results import Published
from mermed_core.evaluation.protocols.robustness import CLEAN, MEAN
from mermed_core.reports.selection import by_modality, over_tasks, overall
from mermed_core.modalities import MODALITY_KEYS

_Choice = Callable[[list[float]], float]
_LOWER_IS_BETTER = (ECE, BRIER)
_NOTHING = (math.nan, math.nan, math.nan)
_HEADINGS = {"label": "Class", "groups": "Groups", "images": "Test images", "part": "Images of"}


@dataclass(frozen=True)
class Table:
    """Cells of text.

    Attributes:
        caption: what tells it from the other tables of its section, "" where it is alone.
        header: names of the columns.
        rows: cells.
        best: (row, column) of the cells that are best in their row.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    best: frozenset[tuple[int, int]] = frozenset()


def modality_table(figures: pd.DataFrame, published: Published) -> Table:
    """Returns the mean macro AUROC of linear probes by modality and encoder, beside the paper's own.

    The means are rows of the figures themselves, see `modality_means`; the last line is their mean over the
    modalities, without interval, and only where an encoder has all of them.
    """
    rows = over_tasks(figures, "linear_probe", AUROC)
    if rows.empty:
        return Table("", (), ())
    encoders = list(dict.fromkeys(rows["encoder"]))
    keys = [key for key in MODALITY_KEYS if rows["modality"].eq(key).any()]
    cells = rows[["modality", "encoder", "value", "low", "high"]].itertuples(index=False)
    found = {cell[:2]: cell[2:] for cell in cells}
    paper = [(published.modality_auroc.get(key, math.nan), math.nan, math.nan) for key in keys]
    lines = [
        [*(found.get((key, encoder), _NOTHING) for encoder in encoders), last]
        for key, last in zip(keys, paper, strict=True)
    ]
    lines.append(
        [(fmean(cell[0] for cell in column), math.nan, math.nan) for column in zip(*lines, strict=True)]
    )
    labels = [*(words.modality_name(key) for key in keys), "Mean"]
    return Table(
        "",
        ("Modality", *encoders, "MerMED-FM paper (other data)"),
        tuple(
            (label, *(words.number(*cell) for cell in line))
            for label, line in zip(labels, lines, strict=True)
        ),
        _best([[cell[0] for cell in line[:-1]] for line in lines], 1, max),
    )


def task_table(figures: pd.DataFrame) -> Table:
    """Returns the macro AUROC of linear probes by task and encoder."""
    rows = overall(figures, "linear_probe", AUROC)
    rows = rows.assign(modality=rows["modality"].map(words.modality_name))
    return _grid(rows, ["task", "modality", "images", "groups"], best=max)


def medmnist_table(figures: pd.DataFrame, published: Published) -> Table:
    """Returns the macro AUROC of linear probes on sets of MedMNIST, beside what is published of them."""
    rows = overall(figures, "linear_probe", AUROC)
    table = _grid(rows[rows["task"].isin(published.medmnist["set"])], ["task"])
    cells = published.medmnist.set_index(["set", "method"])["auroc"]
    methods = list(dict.fromkeys(published.medmnist["method"]))
    return Table(
        "",
        (*table.header, *(f"{method}, published" for method in methods)),
        tuple(
            (*line, *(words.number(cells.get((line[0], method), math.nan)) for method in methods))
            for line in table.rows
        ),
    )


def metric_tables(figures: pd.DataFrame, protocol: str, without: str = "") -> list[Table]:
    """Returns a table by task (and setting, such as k) and encoder for every metric of a protocol but one."""
    rows = overall(figures, protocol)
    rows = rows[rows["metric"] != without]
    names = ["task", "setting"] if (rows["setting"] != "").any() else ["task"]
    rows = rows.assign(setting=rows["setting"].map(words.setting_name))
    return [
        _grid(
            part,
            names,
            caption=words.metric_name(str(metric)),
            best=min if metric in _LOWER_IS_BETTER else max,
        )
        for metric, part in rows.groupby("metric", sort=False)
    ]


def setting_tables(figures: pd.DataFrame, protocol: str) -> list[Table]:
    """Returns the AUROC by task and setting (shots, share of labels), a table an encoder."""
    rows = overall(figures, protocol, AUROC)
    settings = sorted(rows["setting"].unique(), key=words.setting_number)
    rows = rows.assign(setting=rows["setting"].map(words.setting_name))
    columns = [words.setting_name(setting) for setting in settings]
    return [
        _grid(part, ["task"], over="setting", columns=columns, caption=str(encoder))
        for encoder, part in rows.groupby("encoder", sort=False)
    ]


def class_tables(figures: pd.DataFrame) -> list[Table]:
    """Returns the AUROC of linear probes by class, one against the rest, a table a task of three or more."""
    rows = figures[figures["protocol"].eq("linear_probe") & figures["metric"].eq(AUROC)]
    rows = rows[rows["label"].ne("") & rows["subgroup"].eq("")]
    return [
        _grid(part, ["label"], caption=str(task), best=max)
        for task, part in rows.groupby("task", sort=False)
        if part["label"].nunique() > 2
    ]


def subgroup_tables(figures: pd.DataFrame) -> list[Table]:
    """Returns the AUROC by value of a further column (sex, site …) and the gap, a table a task and column."""
    rows = figures[figures["subgroup"].ne("") & figures["metric"].isin([AUROC, AUROC + GAP])]
    divided = [subgroup.partition("=") for subgroup in rows["subgroup"]]
    rows = rows.assign(
        column=[column for column, _, _ in divided],
        part=[value if mark else "gap" for _, mark, value in divided],
    )
    return [
        _grid(
            part,
            ["part", "images", "groups"],
            caption=f"{words.protocol_name(str(protocol))}: {task} by {column}",
        )
        for (protocol, task, column), part in rows.groupby(["protocol", "task", "column"], sort=False)
    ]


def retrieval_table(figures: pd.DataFrame) -> Table:
    """Returns the mean average precision, and precision and recall at every k, by task and encoder.

    Behind the tasks of a modality stand all of them, searched together.
    """
    rows = pd.concat([overall(figures, "retrieval"), over_tasks(figures, "retrieval")])
    return _hits(by_modality(rows), ["task", "encoder", "images", "groups"])


def retrieval_class_tables(figures: pd.DataFrame) -> list[Table]:
    """Returns the mean average precision and recall at every k by class of the query, a table an encoder.

    Classes among all tasks of a modality stand there only where it has several.
    """
    rows = figures[figures["protocol"].eq("retrieval") & figures["label"].ne("")]
    rows = rows[rows["metric"].isin([MEAN_AVERAGE_PRECISION, RECALL])]
    tasks = rows.groupby(["encoder", "modality"])["task"].transform("nunique")
    rows = by_modality(rows[rows["task"].ne("") | tasks.gt(2)])
    return [
        _hits(part, ["modality", "task", "label", "images", "groups"], caption=f"By class: {encoder}")
        for encoder, part in rows.groupby("encoder", sort=False)
    ]


def robustness_table(figures: pd.DataFrame) -> Table:
    """Returns the AUROC on clean and on corrupted images, and under the corruption that harms most."""
    rows = overall(figures, "robustness", AUROC)
    lines = []
    for (task, encoder), part in rows.groupby(["task", "encoder"], sort=False):
        cells = part[["value", "low", "high"]].to_numpy(float).tolist()
        found = dict(zip(part["setting"], cells, strict=True))
        clean, mean = (found.get(name, _NOTHING) for name in (CLEAN, MEAN))
        corrupted = part.set_index("setting")["value"].drop([CLEAN, MEAN], errors="ignore")
        kinds = corrupted.groupby(words.setting_kind).mean().dropna()
        worst = f"{kinds.idxmin()} {words.number(kinds.min())}" if len(kinds) else words.MISSING
        loss = words.number(clean[0] - mean[0])
        lines.append((task, encoder, words.number(*clean), words.number(*mean), loss, worst))
    header = ("Task", "Encoder", "Clean", "Corrupted, mean", "Loss", "Worst corruption")
    return Table("", header, tuple(_together(lines)))


def comparison_tables(comparisons: pd.DataFrame) -> list[Table]:
    """Returns the differences between encoders, a table a protocol and metric."""
    header = ("Task", "First", "Second", "First − second", "p", "p, corrected", "Method")
    return [
        Table(
            f"{words.protocol_name(str(protocol))}: {words.metric_name(str(metric))}",
            header,
            tuple(_compared(line) for line in part.to_dict("records")),
        )
        for (protocol, metric), part in comparisons.groupby(["protocol", "metric"], sort=False)
    ]


def _compared(line: dict) -> tuple[str, ...]:
    return (
        line["task"],
        line["first"],
        line["second"],
        words.difference(line["difference"], line["low"], line["high"]),
        words.p_value(line["p_value"]),
        words.p_value(line["p_corrected"]) + words.stars(line["p_corrected"]),
        line["method"],
    )


def _hits(retrieved: pd.DataFrame, names: list[str], *, caption: str = "") -> Table:
    """Returns a column for each metric of retrieval and k."""
    rows = retrieved.sort_values("metric", kind="stable")
    modality = rows["modality"].map(words.modality_name)
    columns = [
        words.metric_name(metric) + (f" at {words.setting_number(setting):g}" if setting else "")
        for metric, setting in zip(rows["metric"], rows["setting"], strict=True)
    ]
    rows = rows.assign(
        modality=modality, task=rows["task"].where(rows["task"] != "", "all of " + modality), column=columns
    )
    return _grid(rows, names, over="column", caption=caption)


def _grid(
    figures: pd.DataFrame,
    names: list[str],
    *,
    over: str = "encoder",
    columns: Sequence[str] | None = None,
    caption: str = "",
    best: _Choice | None = None,
) -> Table:
    """Returns a row for each combination of `names`, a column for each value of `over`."""
    columns = columns or list(dict.fromkeys(figures[over]))
    cells = figures[[*names, over, "value", "low", "high"]].itertuples(index=False)
    found = {(cell[: len(names)], cell[len(names)]): cell[-3:] for cell in cells}
    keys = _together(list(dict.fromkeys(key for key, _ in found)))
    lines = [[found.get((key, column), _NOTHING) for column in columns] for key in keys]
    return Table(
        caption,
        (*(_HEADINGS.get(name, name.capitalize()) for name in names), *columns),
        tuple(
            (*map(str, key), *(words.number(*estimate) for estimate in line))
            for key, line in zip(keys, lines, strict=True)
        ),
        _best([[cell[0] for cell in line] for line in lines], len(names), best) if best else frozenset(),
    )


def _together(keys: list[tuple]) -> list[tuple]:
    """Returns keys sorted so that those with the same first part stand together, as first met."""
    first = {name: position for position, name in enumerate(dict.fromkeys(key[0] for key in keys))}
    return sorted(keys, key=lambda key: first[key[0]])


def _best(lines: list[list[float]], first: int, choose: _Choice) -> frozenset[tuple[int, int]]:
    """Returns the best cells, to three digits, of rows of numbers that begin at the column `first`."""
    best = set()
    for row, line in enumerate(lines):
        shown = [round(value, 3) for value in line if not math.isnan(value)]
        if len(shown) > 1:
            wanted = choose(shown)
            best |= {(row, first + column) for column, value in enumerate(line) if round(value, 3) == wanted}
    return frozenset(best)
