"""Brings a collection on a Milvus server to what a folder holds, whatever state it was left in."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mermed_core.errors import SearchServerError
from mermed_core.search.faiss_engine import FaissEngine
from mermed_core.search.milvus_engine import METRIC, STATE, MilvusEngine, State, read_state
from mermed_core.search.milvus_fields import (
    DIGEST,
    ID,
    LONGEST,
    MOST_LABELS,
    VECTOR,
    Fields,
    RowIds,
    digests,
    field_of,
    fields_of,
    id_list,
    values_of,
)
from mermed_core.search.milvus_server import MilvusServer
from mermed_core.search.milvus_waiting import load, wait_for_index
from mermed_core.search.quantised import StoredVectors
from mermed_core.search.stored import FLAT
from mermed_core.search.tuning import TARGET, likely_queries, recall

if TYPE_CHECKING:
    from pymilvus import MilvusClient

logger = logging.getLogger(__name__)

_ROWS = 4000  # sent at once: some 5 MB
_LISTED = 16_384  # asked for at once, Milvus's own limit
_PART = 1_000_000  # vectors that Milvus keeps in one part, each with an index of its own
_HITS = 10
_FLUSH = 600  # seconds that the server may take to write what it was sent
Progress = Callable[[int], object]


@dataclass(frozen=True, eq=False)
class Content:
    """What a folder holds of each row; row i of every part is row i.

    Attributes:
        names: of the rows, each once.
        vectors: (rows, dim) float32, unit norm.
        columns: to filter by.
        made_from: checksum of it all.
    """

    names: Sequence[str] | np.ndarray
    vectors: np.ndarray | StoredVectors
    columns: Mapping[str, pd.Series]
    made_from: str


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        sent: rows that were not on the server as they are in the folder.
        removed: rows that were on the server alone.
        kept: rows that were there already.
        state: what the server holds now.
    """

    sent: int
    removed: int
    kept: int
    state: State


def push(
    server: MilvusServer,
    name: str,
    content: Content,
    *,
    check: bool = False,
    replace: bool = False,
    progress: Progress | None = None,
) -> Pushed:
    """Sends what is missing, takes away what is too much, and measures how well the server searches.

    It looks at what the server holds instead of at a record of what was sent, so that a push that was stopped
    goes on where it ended, and one that is repeated sends nothing.

    Args:
        server: the server.
        name: of the collection on it, where the server's address does not say it.
        content: of the folder.
        check: compare every row even where the last push came to its end and the folder is the same.
        replace: take away what another folder has put there under this name.
        progress: told how many rows were compared or sent since the last time.

    Raises:
        SearchServerError: the server does not answer, refuses, holds something else under this name, or does
            not hold afterwards what was sent.
    """
    client, name = server.connect(), server.name or name
    ids, fields = RowIds(content.names), fields_of(content.columns)
    with server.asked():
        _check_ours(client, name, ids, replace)
        state = _prepared(client, name, content, fields)
        same = state is not None and (state.made_from, state.ids) == (content.made_from, ids.checksum)
        if state is not None and same and not check and _count(client, name) == len(ids):
            return Pushed(0, 0, len(ids), state)
        client.alter_collection_properties(name, {STATE: ""})
        done = _Pushing(client, name, content, ids, fields, progress or (lambda _: None))
        sent, removed = done.bring()
        done.settle()
        state = _measured(server, client, name, content, ids, done.state())
        client.alter_collection_properties(name, {STATE: state.to_text()})
    return Pushed(sent, removed, len(ids) - sent, state)


def lists_for(rows: int) -> int:
    """Returns the lists of the index for so many rows; 0 where all vectors are compared."""
    return 0 if rows <= FLAT else 2 ** round(np.log2(2 * np.sqrt(min(rows, _PART))))


class _Pushing:
    """The steps of one push."""

    def __init__(
        self,
        client: "MilvusClient",
        name: str,
        content: Content,
        ids: RowIds,
        fields: Fields,
        progress: Progress,
    ) -> None:
        self._client, self._name, self._content = client, name, content
        self._ids, self._fields, self._progress = ids, fields, progress

    def bring(self) -> tuple[int, int]:
        """Returns how many rows were sent and removed."""
        there, known = self._listed()
        at = self._ids.rows(there)
        removed = self._remove(there[at < 0])
        present, digest = np.zeros(len(self._ids), bool), np.zeros(len(self._ids), np.int64)
        present[at[at >= 0]], digest[at[at >= 0]] = True, known[at >= 0]
        parts = (slice(first, first + _ROWS) for first in range(0, len(self._ids), _ROWS))
        sent = sum(self._send(part, present[part], digest[part]) for part in parts)
        return sent, removed

    def settle(self) -> None:
        """Waits until the server has all in its index, and makes sure that it has all."""
        self._client.flush(self._name, timeout=_FLUSH)
        wait_for_index(self._client, self._name, VECTOR)
        if (count := _count(self._client, self._name)) != len(self._ids):
            raise SearchServerError(
                f"The search server holds {count:,} rows instead of {len(self._ids):,}; does something else "
                "write to it? Push again."
            )

    def state(self) -> State:
        """Returns what the server holds, before its search is tuned."""
        lists = lists_for(len(self._ids))
        return State(
            self._content.made_from,
            len(self._ids),
            self._ids.checksum,
            dict(self._fields.lists),
            lists,
            0,
            1.0,
        )

    def _listed(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns ids and digests of the rows on the server."""
        blocks = [(np.empty(0, np.int64), np.empty(0, np.int64)), *_blocks(self._client, self._name)]
        ids, known = zip(*blocks, strict=True)
        return np.concatenate(ids), np.concatenate(known)

    def _remove(self, ids: np.ndarray) -> int:
        for first in range(0, len(ids), _ROWS):
            self._client.delete(self._name, filter=id_list(ids[first : first + _ROWS]))
        if len(ids):
            self._client.flush(self._name, timeout=_FLUSH)
            self._client.compact(self._name)  # what is removed is gone from its files when this has run
        return len(ids)

    def _send(self, part: slice, present: np.ndarray, digest: np.ndarray) -> int:
        """Sends those of some rows that the server has not, or not with the digest that they have now."""
        vectors = np.ascontiguousarray(self._content.vectors[part], np.float32)
        values = {
            column: values_of(self._content.columns[column].iloc[part], is_list)
            for column, is_list in self._fields.lists.items()
        }
        wanted, ids = digests(vectors, values), self._ids.ids[part]
        sending = [
            {
                ID: int(ids[row]),
                DIGEST: int(wanted[row]),
                VECTOR: vectors[row],
                **{field_of(column): texts[row] for column, texts in values.items()},
            }
            for row in np.flatnonzero(~present | (digest != wanted)).tolist()
        ]
        if sending:
            self._client.upsert(self._name, sending)
        self._progress(len(vectors))
        return len(sending)


def _check_ours(client: "MilvusClient", name: str, ids: RowIds, replace: bool) -> None:
    """Raises SearchServerError where a name is taken: by something else, or by other cases alone."""
    if not client.has_collection(name):
        return
    described: Any = client.describe_collection(name)
    ours = {ID, DIGEST, VECTOR} <= {field["name"] for field in described["fields"]}
    if not ours:
        raise SearchServerError(
            f"The search server has a collection '{name}' that no push has made; it stays as it is. Write "
            "another name behind the server's address: milvus+http://HOST:PORT/NAME."
        )
    if replace or VECTOR not in client.list_indexes(name):  # without an index it holds nothing yet
        return
    load(client, name)
    rows = 0
    for there, _ in _blocks(client, name):
        if (ids.rows(there) >= 0).any():
            return
        rows += len(there)
    if rows:
        raise SearchServerError(
            f"The search server holds {rows:,} cases as '{name}', and not one of them is of this collection. "
            "Write another name behind the server's address (milvus+http://HOST:PORT/NAME), or push with "
            "--replace to take them away."
        )


def _blocks(client: "MilvusClient", name: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields ids and digests of the rows on the server, block by block."""
    rows = client.query_iterator(
        name, batch_size=_LISTED, output_fields=[ID, DIGEST], consistency_level="Strong"
    )
    try:
        while block := rows.next():
            ids = np.fromiter((row[ID] for row in block), np.int64, len(block))
            yield ids, np.fromiter((row[DIGEST] for row in block), np.int64, len(block))
    finally:
        rows.close()


def _prepared(client: "MilvusClient", name: str, content: Content, fields: Fields) -> State | None:
    """Makes sure of a collection of the right form that can be asked; returns what it states of itself."""
    dim, lists = content.vectors.shape[1], lists_for(len(content.vectors))
    if client.has_collection(name) and _form(client, name) != _wanted_form(dim, fields):
        logger.warning("the collection '%s' has other columns on the search server and is made again", name)
        client.drop_collection(name)
    if not client.has_collection(name):
        client.create_collection(name, schema=_schema(client, dim, fields), consistency_level="Strong")
    stated = client.describe_index(name, VECTOR) if VECTOR in client.list_indexes(name) else {}
    if int((stated or {}).get("nlist", 0)) != lists or not stated:
        if stated:
            client.release_collection(name)
            client.drop_index(name, VECTOR)
        client.create_index(name, _index(client, lists))
    load(client, name)
    return read_state(client, name)


def _schema(client: "MilvusClient", dim: int, fields: Fields) -> Any:
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field(ID, DataType.INT64, is_primary=True)
    schema.add_field(DIGEST, DataType.INT64)
    for column, is_list in fields.lists.items():
        text = {"max_length": LONGEST + 1}
        if is_list:
            listed = {"element_type": DataType.VARCHAR, "max_capacity": MOST_LABELS}
            schema.add_field(field_of(column), DataType.ARRAY, **listed, **text)
        else:
            schema.add_field(field_of(column), DataType.VARCHAR, **text)
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dim)
    return schema


def _index(client: "MilvusClient", lists: int) -> Any:
    index = client.prepare_index_params()
    kind, own = ("IVF_FLAT", {"nlist": lists}) if lists else ("FLAT", {})
    index.add_index(VECTOR, index_type=kind, index_name=VECTOR, metric_type=METRIC, params=own)
    return index


def _wanted_form(dim: int, fields: Fields) -> dict[str, Any]:
    own = {field_of(column): is_list for column, is_list in fields.lists.items()}
    return {ID: False, DIGEST: False, VECTOR: dim, **own}


def _form(client: "MilvusClient", name: str) -> dict[str, Any]:
    """Returns the fields of a collection: whether each holds lists, and the length of the vector."""
    from pymilvus import DataType

    found = {}
    described: Any = client.describe_collection(name)
    for field in described["fields"]:
        dim = field["params"].get("dim")
        found[field["name"]] = field["type"] == DataType.ARRAY if dim is None else int(dim)
    return found


def _count(client: "MilvusClient", name: str) -> int:
    rows = client.query(name, filter="", output_fields=["count(*)"], consistency_level="Strong")
    return int(rows[0]["count(*)"])


def _measured(
    server: MilvusServer, client: "MilvusClient", name: str, content: Content, ids: RowIds, state: State
) -> State:
    """Returns the state with the fewest lists that find nearly all of the nearest, and the share found."""
    if not state.lists:
        return state
    exact = FaissEngine.build(content.vectors, on_gpu=False)
    _, queries = likely_queries(exact, np.random.default_rng(0))
    true = exact.search(queries, _HITS).positions
    probes = 8
    while True:
        tried = State(**{**state.__dict__, "probes": probes if probes < state.lists else 0})
        found = MilvusEngine(server, client, name, ids, exact.dim, tried).search(queries, _HITS)
        share = recall(found.positions, true)
        if share >= TARGET or not tried.probes:
            return State(**{**tried.__dict__, "recall": share})
        probes *= 2
