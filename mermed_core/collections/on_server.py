"""A collection on a search server: what is sent of it, under which name, and the engine that asks there."""

import hashlib
import re
from pathlib import Path

from mermed_core.collections.case_columns import CHECKSUM, FRAME, LABEL, CaseColumns
from mermed_core.data.validation import FILE
from mermed_core.search.milvus_engine import MilvusEngine, open_milvus
from mermed_core.search.milvus_fields import RowIds
from mermed_core.search.milvus_push import Content
from mermed_core.search.milvus_server import MilvusServer
from mermed_core.search.quantised import StoredVectors

# What says who a case is of stays in the folder; a filter by it is sent as the ids of the cases that pass.
_KEPT = ("case_id", "labels", "group", FILE, FRAME, CHECKSUM)
_PLAIN = re.compile(r"[A-Za-z0-9_]{1,100}")


def name_on_server(folder: Path) -> str:
    """Returns what a folder's collection is called on a server that is not told another name."""
    name = folder.resolve().name
    if _PLAIN.fullmatch(name):
        return f"mermed_{name}"
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name)[:60].strip("_")
    return f"mermed_{plain}_{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def content_to_send(cases: CaseColumns, vectors: StoredVectors, state: str) -> Content:
    """Returns what a server holds of a collection: vectors and the columns that people filter by.

    Args:
        cases: the records.
        vectors: of the cases.
        state: what identifies the folder's contents.
    """
    columns = {LABEL: cases["labels"]}
    columns |= {name: cases[name] for name in cases.names if name not in _KEPT}
    return Content(cases["case_id"].to_numpy(object), vectors, columns, state)


def engine_on_server(
    server: MilvusServer, folder: Path, cases: CaseColumns, vectors: StoredVectors, state: str
) -> MilvusEngine:
    """Returns the engine of a collection that was pushed.

    Raises:
        SearchServerError: the server does not answer, or holds something else than the folder.
    """
    ids = RowIds(cases["case_id"].to_numpy(object))
    return open_milvus(server, name_on_server(folder), ids, vectors.shape[1], state)
