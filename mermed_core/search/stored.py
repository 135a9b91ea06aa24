"""An index beside the vectors it was made from: checked when it is read, made again where it does not fit.

Its two files bear the name of what they were made from, so that an index of changed vectors is written beside
the one that others are reading.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from mermed_core.files import FileSum, one_at_a_time, write_file, write_json
from mermed_core.search.engine import Metric, SearchEngine
from mermed_core.search.faiss_engine import FaissEngine
from mermed_core.search.ivf_engine import IvfEngine, Settings
from mermed_core.search.lists import Lists
from mermed_core.search.quantised import StoredVectors
from mermed_core.search.tuning import TARGET, build_ivf, measured_recall

logger = logging.getLogger(__name__)

FORMAT = 2
FLAT = 100_000  # vectors up to which all are compared
LOCK = "folder"  # of the folder's writers, see `files.one_at_a_time`
_MOST_CHANGED = 0.25  # share of the vectors that may come or go before lists are made anew


def index_files(made_from: str) -> tuple[str, str]:
    """Returns the names of the index of some vectors and of what is stated about it."""
    return f"index-{made_from[:12]}.faiss", f"index-{made_from[:12]}.json"


def open_engine(
    vectors: np.ndarray | StoredVectors,
    folder: Path,
    made_from: str,
    filters: Iterable[np.ndarray] = (),
    metric: Metric = "cosine",
    *,
    on_gpu: bool = True,
    current: Callable[[], bool] = lambda: True,
    writing: bool = False,
) -> SearchEngine:
    """Returns the engine that suits so many vectors: exact, or from about 100,000 on approximate.

    The index of an approximate one is kept in the folder, as index-….faiss and index-….json. It is built
    where there is none that fits, which takes minutes for a million vectors, and is kept in memory alone
    where the folder cannot be written to.

    Args:
        vectors: (rows, dim) float32, of unit norm where the metric is cosine; or stored. Not copied.
        folder: where the index is kept.
        made_from: checksum of the vectors.
        filters: masks (rows,) of the kind that will be searched under, for the check of a new index; gone
            through only where one is built.
        metric: what is compared.
        on_gpu: search on the GPU where there is one.
        current: whether the folder still holds these vectors; asked before an index is written.
        writing: the caller is the folder's writer already and holds its lock.
    """
    exact = FaissEngine.build(vectors, metric, on_gpu=on_gpu)
    if len(vectors) <= FLAT:
        return exact
    known = _read(folder, made_from, exact)
    if known is not None:
        return known
    if not os.access(folder, os.W_OK):
        logger.warning("an index is built at every start, as '%s' cannot be written to", folder)
        return build_ivf(exact, filters) or exact
    with nullcontext() if writing else one_at_a_time(folder / LOCK):
        known = _read(folder, made_from, exact)  # another process may have been faster
        if known is not None:
            return known
        logger.info("building an index of %d vectors", len(vectors))
        engine = build_ivf(exact, filters)
        try:
            if current():
                _write(folder, made_from, exact, engine, len(exact))
        except OSError as error:
            logger.warning("the index cannot be kept in '%s' (%s) and is in memory alone", folder, error)
    return engine or exact


def update_index(
    folder: Path, before: str, after: str, vectors: np.ndarray | StoredVectors, kept: np.ndarray
) -> None:
    """Writes the index of vectors that came or went, made from the one that is there.

    Does nothing where there is none, where too many have changed, or where it would find too few of the
    nearest: the next `open_engine` builds a new one. The caller is the folder's only writer.

    Args:
        folder: where the index is kept.
        before: checksum of the vectors that the index was made from.
        after: checksum of the vectors.
        vectors: (rows, dim) as they are now: those kept of before, then new ones.
        kept: mask (rows before,).
    """
    exact = FaissEngine.build(vectors, on_gpu=False)
    about = _about(folder, before)
    if len(vectors) <= FLAT or about is None or about["settings"] is None or before == after:
        return
    gone, came = int(np.count_nonzero(~kept)), len(vectors) - int(np.count_nonzero(kept))
    if abs(len(vectors) - about["tuned"]) + min(gone, came) > _MOST_CHANGED * about["tuned"]:
        return
    read = _read_lists(folder, before, about)
    if read is None:
        return
    lists, settings = read
    lists = lists.keeping(kept) if gone else lists
    lists = lists.extended(vectors[len(vectors) - came :]) if came else lists
    recall = measured_recall(IvfEngine(exact, lists, settings))
    if recall >= TARGET:
        settings = replace(settings, recall=min(recall, settings.recall))
        _write(folder, after, exact, IvfEngine(exact, lists, settings), about["tuned"])


def _stated(made_from: str, exact: FaissEngine) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "made_from": made_from,
        "rows": len(exact),
        "dim": exact.dim,
        "metric": exact.scan.metric,
    }


def _write(folder: Path, made_from: str, exact: FaissEngine, engine: IvfEngine | None, tuned: int) -> None:
    """Writes the index, then what it is: a file that does not fit the other is not believed."""
    index, about = (folder / name for name in index_files(made_from))
    stated = {**_stated(made_from, exact), "tuned": tuned}
    if engine is None:  # also worth knowing: nobody need try again
        write_json(about, {**stated, "settings": None})
        return
    with write_file(index) as staging:
        faiss.write_index(engine.lists.index, str(staging))
    spread = [round(float(each), 6) for each in engine.lists.spread]
    written = {"file": FileSum.of(index).to_dict(), "settings": engine.settings.to_dict()}
    write_json(about, {**stated, **written, "spread": spread})


def _read(folder: Path, made_from: str, exact: FaissEngine) -> SearchEngine | None:
    """Returns the engine that a folder's files say, None where there are none that fit."""
    about = _about(folder, made_from)
    if about is None:
        return None
    if any(about.get(name) != value for name, value in _stated(made_from, exact).items()):
        logger.warning("the index in '%s' is of other vectors and is built again", folder)
        return None
    if about["settings"] is None:
        return exact
    read = _read_lists(folder, made_from, about)
    return None if read is None else IvfEngine(exact, *read)


def _about(folder: Path, made_from: str) -> dict[str, Any] | None:
    path = folder / index_files(made_from)[1]
    if not path.is_file():
        return None
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        return {**about, "settings": about["settings"], "tuned": int(about["tuned"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("'%s' cannot be read (%s); the index is built again", path, error)
        return None


def _read_lists(folder: Path, made_from: str, about: dict[str, Any]) -> tuple[Lists, Settings] | None:
    index = folder / index_files(made_from)[0]
    try:
        if not FileSum.from_dict(about["file"]).fits(index):
            logger.warning("'%s' is missing or damaged and is built again", index)
            return None
        settings = Settings.from_dict(about["settings"])
        found: Any = faiss.read_index(str(index))  # of the kind that was written, which its type does not say
        return Lists.of(found, np.asarray(about["spread"], np.float32)), settings
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        logger.warning("the index in '%s' cannot be read (%s) and is built again", folder, error)
        return None
