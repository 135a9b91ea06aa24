"""The tables of an evaluation's report: text in cells, made from results and comparisons."""

import math
from collections.abc import Callable, Sequence
from statistics import fmean

import pandas as pd

from mermed_core.evaluation.measurement import GAP
from mermed_core.evaluation.protocols.retrieval import MEAN_AVERAGE_PRECISION, RECALL
from mermed_core.evaluation.protocols.robustness import ALL
from mermed_core.evaluation.published_results import Published
from mermed_core.evaluation.report_names import metric_name, modality_name, protocol_name, subset_name
from mermed_core.evaluation.results import by_modality, of_modalities, of_tasks
from mermed_core.metrics.catalogue import AUROC, LOWER_IS_BETTER
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.reports import text
from mermed_core.reports.document import Table

_Choice = Callable[[list[float]], float]
_NOTHING = (math.nan, math.nan, math.nan)
_HEADINGS = {"label": "Class", "groups": "Groups", "images": "Test images", "subgroup": "Images of"}


def modality_table(results: pd.DataFrame, published: Published) -> Table:
    """Returns the mean macro AUROC of linear probes by modality and encoder, beside the paper's own.

    The means are rows of the results themselves, see `modality_means`. The last row is their mean over the
    modalities, without interval, and only for encoders that have all of them.
    """
    rows = of_modalities(results, "linear_probe", AUROC)
    if rows.empty:
        return Table("", (), ())
    encoders = list(dict.fromkeys(rows["encoder"]))
    keys = [key for key in MODALITY_KEYS if rows["modality"].eq(key).any()]
    cells = rows[["modality", "encoder", "value", "low", "high"]].itertuples(index=False)
    estimates = {cell[:2]: cell[2:] for cell in cells}
    paper = [(published.modality_auroc.get(key, math.nan), math.nan, math.nan) for key in keys]
    lines = [
        [*(estimates.get((key, encoder), _NOTHING) for encoder in encoders), last]
        for key, last in zip(keys, paper, strict=True)
    ]
    lines.append(
        [(fmean(cell[0] for cell in column), math.nan, math.nan) for column in zip(*lines, strict=True)]
    )
    labels = [*(modality_name(key) for key in keys), "Mean"]
    return Table(
        "",
        ("Modality", *encoders, "MerMED-FM paper (other data)"),
        tuple(
            (label, *(text.number(*cell) for cell in line)) for label, line in zip(labels, lines, strict=True)
        ),
        _best([[cell[0] for cell in line[:-1]] for line in lines], 1, max),
    )


def task_table(results: pd.DataFrame) -> Table:
    """Returns the macro AUROC of linear probes by task and encoder."""
    rows = of_tasks(results, "linear_probe", AUROC)
    rows = rows.assign(modality=rows["modality"].map(modality_name))
    return _grid(rows, ["task", "modality", "images", "groups"], best=max)


def medmnist_table(results: pd.DataFrame, published: Published) -> Table:
    """Returns the macro AUROC of linear probes on sets of MedMNIST, beside published values."""
    rows = of_tasks(results, "linear_probe", AUROC)
    table = _grid(rows[rows["task"].isin(published.medmnist["set"])], ["task"])
    cells = published.medmnist.set_index(["set", "method"])["auroc"]
    methods = list(dict.fromkeys(published.medmnist["method"]))
    return Table(
        "",
        (*table.header, *(f"{method}, published" for method in methods)),
        tuple(
            (*line, *(text.number(cells.get((line[0], method), math.nan)) for method in methods))
            for line in table.rows
        ),
    )


def metric_tables(results: pd.DataFrame, protocol: str, without: str = "") -> list[Table]:
    """Returns a table by task and encoder for every metric of a protocol but one."""
    rows = of_tasks(results, protocol)
    rows = rows[rows["metric"] != without]
    return [
        _grid(
            part,
            ["task"],
            caption=metric_name(str(metric)),
            best=min if metric in LOWER_IS_BETTER else max,
        )
        for metric, part in rows.groupby("metric", sort=False)
    ]


def subset_tables(results: pd.DataFrame, protocol: str) -> list[Table]:
    """Returns the AUROC by task and size of the training subset (shots or share), one table per encoder."""
    rows = of_tasks(results, protocol, AUROC)
    sizes = list(zip(rows["shots"], rows["share"], strict=True))
    rows = rows.assign(size=[subset_name(*size) for size in sizes])
    columns = [subset_name(*size) for size in sorted(set(sizes))]
    return [
        _grid(part, ["task"], over="size", columns=columns, caption=str(encoder))
        for encoder, part in rows.groupby("encoder", sort=False)
    ]


def class_tables(results: pd.DataFrame) -> list[Table]:
    """Returns the AUROC of linear probes by class, each against the rest, for tasks of three or more."""
    rows = results[results["protocol"].eq("linear_probe") & results["metric"].eq(AUROC)]
    rows = rows[rows["label"].ne("") & rows["subgroup_column"].eq("")]
    return [
        _grid(part, ["label"], caption=str(task), best=max)
        for task, part in rows.groupby("task", sort=False)
        if part["label"].nunique() > 2
    ]


def subgroup_tables(results: pd.DataFrame) -> list[Table]:
    """Returns the AUROC by value of a column (sex, site …) and the gap, one table per task and column."""
    rows = results[results["subgroup_column"].ne("") & results["metric"].isin([AUROC, AUROC + GAP])]
    rows = rows.assign(subgroup=rows["subgroup"].where(rows["metric"].eq(AUROC), "gap"))
    return [
        _grid(
            part,
            ["subgroup", "images", "groups"],
            caption=f"{protocol_name(str(protocol))}: {task} by {column}",
        )
        for (protocol, task, column), part in rows.groupby(
            ["protocol", "task", "subgroup_column"], sort=False
        )
    ]


def retrieval_table(results: pd.DataFrame) -> Table:
    """Returns the mean average precision, and precision and recall at every k, by task and encoder.

    After the tasks of a modality comes a row for all of them searched together.
    """
    rows = pd.concat([of_tasks(results, "retrieval"), of_modalities(results, "retrieval")])
    return _hits(by_modality(rows), ["task", "encoder", "images", "groups"])


def retrieval_class_tables(results: pd.DataFrame) -> list[Table]:
    """Returns the mean average precision and recall at every k by class of the query, one table per encoder.

    The classes among all tasks of a modality are included only where it has several tasks.
    """
    rows = results[results["protocol"].eq("retrieval") & results["label"].ne("")]
    rows = rows[rows["metric"].isin([MEAN_AVERAGE_PRECISION, RECALL])]
    tasks = rows.groupby(["encoder", "modality"])["task"].transform("nunique")
    rows = by_modality(rows[rows["task"].ne("") | tasks.gt(2)])
    return [
        _hits(part, ["modality", "task", "label", "images", "groups"], caption=f"By class: {encoder}")
        for encoder, part in rows.groupby("encoder", sort=False)
    ]


def robustness_table(results: pd.DataFrame) -> Table:
    """Returns the AUROC on clean and on corrupted images, and under the corruption that harms most."""
    rows = of_tasks(results, "robustness", AUROC)
    lines = []
    for (task, encoder), part in rows.groupby(["task", "encoder"], sort=False):
        clean, mean = (_estimate(part[part["corruption"].eq(name)]) for name in ("", ALL))
        corrupted = part[part["severity"] > 0].groupby("corruption")["value"].mean().dropna()
        worst = f"{corrupted.idxmin()} {text.number(corrupted.min())}" if len(corrupted) else text.MISSING
        loss = text.number(clean[0] - mean[0])
        lines.append((task, encoder, text.number(*clean), text.number(*mean), loss, worst))
    header = ("Task", "Encoder", "Clean", "Corrupted, mean", "Loss", "Worst corruption")
    return Table("", header, tuple(_together(lines)))


def comparison_tables(comparisons: pd.DataFrame) -> list[Table]:
    """Returns the differences between encoders, one table per protocol and metric."""
    header = ("Task", "First", "Second", "First − second", "p", "p, corrected", "Method")
    return [
        Table(
            f"{protocol_name(str(protocol))}: {metric_name(str(metric))}",
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
        text.difference(line["difference"], line["low"], line["high"]),
        text.p_value(line["p_value"]),
        text.p_value(line["p_corrected"]) + text.stars(line["p_corrected"]),
        line["method"],
    )


def _estimate(rows: pd.DataFrame) -> tuple[float, float, float]:
    """Returns value, low and high of the only row, NaN without one."""
    return tuple(rows[["value", "low", "high"]].iloc[0]) if len(rows) else _NOTHING


def _hits(rows: pd.DataFrame, names: list[str], *, caption: str = "") -> Table:
    """Returns a column for each metric of retrieval and k."""
    rows = rows.sort_values("metric", kind="stable")
    modality = rows["modality"].map(modality_name)
    columns = [
        metric_name(metric) + (f" at {k}" if k else "")
        for metric, k in zip(rows["metric"], rows["k"], strict=True)
    ]
    task = rows["task"].where(rows["task"] != "", "all of " + modality)
    return _grid(
        rows.assign(modality=modality, task=task, column=columns), names, over="column", caption=caption
    )


def _grid(
    results: pd.DataFrame,
    names: list[str],
    *,
    over: str = "encoder",
    columns: Sequence[str] | None = None,
    caption: str = "",
    best: _Choice | None = None,
) -> Table:
    """Returns a row for each combination of `names` and a column for each value of `over`."""
    columns = columns or list(dict.fromkeys(results[over]))
    cells = results[[*names, over, "value", "low", "high"]].itertuples(index=False)
    estimates = {(cell[: len(names)], cell[len(names)]): cell[-3:] for cell in cells}
    keys = _together(list(dict.fromkeys(key for key, _ in estimates)))
    lines = [[estimates.get((key, column), _NOTHING) for column in columns] for key in keys]
    return Table(
        caption,
        (*(_HEADINGS.get(name, name.capitalize()) for name in names), *columns),
        tuple(
            (*map(str, key), *(text.number(*estimate) for estimate in line))
            for key, line in zip(keys, lines, strict=True)
        ),
        _best([[cell[0] for cell in line] for line in lines], len(names), best) if best else frozenset(),
    )


def _together(keys: list[tuple]) -> list[tuple]:
    """Returns keys with those of the same first part together, in the order of their first appearance."""
    first = {name: position for position, name in enumerate(dict.fromkeys(key[0] for key in keys))}
    return sorted(keys, key=lambda key: first[key[0]])


def _best(lines: list[list[float]], first: int, choose: _Choice) -> frozenset[tuple[int, int]]:
    """Returns the best cells, compared to three digits, of rows of numbers that begin at column `first`."""
    best = set()
    for row, line in enumerate(lines):
        rounded = [round(value, 3) for value in line if not math.isnan(value)]
        if len(rounded) > 1:
            chosen = choose(rounded)
            best |= {(row, first + column) for column, value in enumerate(line) if round(value, 3) == chosen}
    return frozenset(best)
