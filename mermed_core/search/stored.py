"""An index beside the vectors it was made from: checked when it is read, made again where it does not fit."""

import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from mermed_core.files import checksum, one_at_a_time, write_file, write_json
from mermed_core.search.engine import Metric, SearchEngine
from mermed_core.search.faiss_engine import FaissEngine
from mermed_core.search.ivf_engine import IvfEngine, Settings
from mermed_core.search.lists import Lists
from mermed_core.search.tuning import build_ivf

logger = logging.getLogger(__name__)

FORMAT = 1
FLAT = 100_000  # vectors up to which all are compared
INDEX = "index.faiss"
ABOUT = "index.json"


def open_engine(
    vectors: np.ndarray,
    folder: Path,
    made_from: str,
    filters: Iterable[np.ndarray] = (),
    metric: Metric = "cosine",
    *,
    on_gpu: bool = True,
) -> SearchEngine:
    """Returns the engine that suits so many vectors: exact, or from about 100,000 on approximate.

    The index of an approximate one is kept in the folder, as index.faiss and index.json. It is built where
    there is none that fits, which takes minutes for a million vectors, and is kept in memory alone where the
    folder cannot be written to.

    Args:
        vectors: (rows, dim) float32, of unit norm where the metric is cosine; not copied.
        folder: where the index is kept.
        made_from: checksum of the vectors.
        filters: masks (rows,) of the kind that will be searched under, for the check of a new index; gone
            through only where one is built.
        metric: what is compared.
        on_gpu: search on the GPU where there is one.
    """
    exact = FaissEngine.build(vectors, metric, on_gpu=on_gpu)
    if len(vectors) <= FLAT:
        return exact
    stated = {
        "format": FORMAT,
        "made_from": made_from,
        "rows": len(vectors),
        "dim": exact.dim,
        "metric": metric,
    }
    known = _read(folder, stated, exact)
    if known is not None:
        return known
    if not os.access(folder, os.W_OK):
        logger.warning("an index is built at every start, as '%s' cannot be written to", folder)
        return build_ivf(exact, filters) or exact
    with one_at_a_time(folder / INDEX):
        known = _read(folder, stated, exact)  # another process may have been faster
        if known is not None:
            return known
        logger.info("building an index of %d vectors", len(vectors))
        engine = build_ivf(exact, filters)
        try:
            _write(folder, stated, engine)
        except OSError as error:
            logger.warning("the index cannot be kept in '%s' (%s) and is in memory alone", folder, error)
    return engine or exact


def _write(folder: Path, stated: dict[str, Any], engine: IvfEngine | None) -> None:
    """Writes the index, then what it is: a file that does not fit the other is not believed."""
    if engine is None:  # also worth knowing: nobody need try again
        write_json(folder / ABOUT, {**stated, "settings": None})
        return
    with write_file(folder / INDEX) as staging:
        faiss.write_index(engine.lists.index, str(staging))
    spread = [round(float(each), 6) for each in engine.lists.spread]
    about = {**stated, "checksum": checksum(folder / INDEX), "settings": engine.settings.to_dict()}
    write_json(folder / ABOUT, {**about, "spread": spread})


def _read(folder: Path, stated: dict[str, Any], exact: FaissEngine) -> SearchEngine | None:
    """Returns the engine that a folder's files say, None where there are none that fit."""
    about, index = folder / ABOUT, folder / INDEX
    if not about.is_file():
        return None
    try:
        known = json.loads(about.read_text(encoding="utf-8"))
        if any(known[name] != value for name, value in stated.items()):
            logger.warning("the index in '%s' is of other vectors and is built again", folder)
            return None
        if known["settings"] is None:
            return exact
        if not index.is_file() or checksum(index) != known["checksum"]:
            logger.warning("'%s' is missing or damaged and is built again", index)
            return None
        found = faiss.read_index(str(index))  # of the kind that was written, which its type does not say
        lists = Lists.of(found, np.asarray(known["spread"], np.float32))  # pyright: ignore[reportArgumentType]
        return IvfEngine(exact, lists, Settings.from_dict(known["settings"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        logger.warning("the index in '%s' cannot be read (%s) and is built again", folder, error)
        return None
