"""Many files as a table that can be sorted, and how far the work has come."""

from collections.abc import Sequence
from typing import Any

from mermed_core.collections.collection import Collection
from mermed_core.inference.batch import BatchRow, Pace
from mermed_core.languages.say import in_readers_words
from mermed_core.models.model_metrics import ModelMetrics

from ..texts import batch_text, case_text, text
from .pictures import png_uri
from .templates import render


def progress_bar(pace: Pace | None) -> str:
    """Returns how far the work has come, or had come when it was stopped; "" where none was begun."""
    if pace is None:
        return _render("progress", total=0)
    ended = pace.done >= pace.total
    stopped = pace.stopping and not ended
    said = batch_text.progress(int(pace.done), pace.total, pace.rate, None if stopped else pace.seconds_left)
    return _render(
        "progress",
        total=pace.total,
        done=pace.done,
        ended=ended or stopped,
        sentence=f"{batch_text.STOPPED} {said}" if stopped else said,
    )


def batch_table(rows: Sequence[BatchRow], metrics: ModelMetrics, collection: Collection | None) -> str:
    """Returns a line for each picture; `collection` has the known cases, None where there is none."""
    return _render("table", rows=[_row(row, metrics, collection) for row in rows])


def _row(row: BatchRow, metrics: ModelMetrics, collection: Collection | None) -> dict[str, Any]:
    analysis = row.analysis
    name = batch_text.frame(row.name, row.frame + 1, row.frames) if row.frames > 1 else row.name
    known = {"name": name, "answer": row.answer, "known": batch_text.ANSWERS[row.answer]}
    empty = dict.fromkeys(
        ("modality", "finding", "doubt", "probability", "percent", "nearest", "similarity"), ""
    )
    if analysis is None:
        return {
            **known,
            **empty,
            "picture": "",
            "concerns": "",
            "why": " ".join(map(in_readers_words, row.notes)),  # the notes are out of sight on most screens
            "notes": "",
        }
    picture = png_uri(row.picture) if row.picture is not None else ""
    said = {
        **known,
        **empty,
        "picture": picture,
        "why": "",
        "notes": " ".join(map(in_readers_words, row.notes)),
    }
    said["concerns"] = (
        ", ".join(batch_text.CONCERNS[each] for each in row.concerns) or batch_text.GOOD_PICTURE
    )
    if analysis.in_distribution:
        said["modality"] = text.modality_name(next(iter(analysis.modality)))
    if analysis.findings:
        finding = analysis.findings[0]
        said["finding"] = text.class_name(metrics, finding.task, finding.label)
        said["probability"], said["percent"] = f"{finding.probability:.4f}", text.percent(finding.probability)
        said["doubt"] = "" if finding.holds_elsewhere else batch_text.NOT_ELSEWHERE
    if analysis.neighbours and collection is not None:
        nearest = analysis.neighbours[0]
        said["nearest"] = case_text.labels(collection, nearest.case.labels)
        said["similarity"] = text.decimal(nearest.similarity)
    return said


def _render(part: str, **values: Any) -> str:
    return render("batch_table.html", part=part, batch=batch_text, **values)
