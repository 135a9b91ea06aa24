"""Search on a Milvus server, for what one machine cannot hold; its rows are those of a folder."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from mermed_core.errors import SearchServerError
from mermed_core.search.engine import Hits, SearchEngine
from mermed_core.search.filters import Column, Filter
from mermed_core.search.milvus_fields import ID, VECTOR, Fields, RowIds, id_list
from mermed_core.search.milvus_server import MilvusServer
from mermed_core.search.milvus_waiting import load

if TYPE_CHECKING:
    from pymilvus import MilvusClient

FORMAT = 1
STATE = "mermed.state"  # the property of the collection on the server that says what it holds
METRIC = "IP"  # the cosine of unit vectors
MOST_HITS = 16_384  # Milvus's own limit
_IDS = 20_000  # in one expression: some 400 KB of text
_QUERIES, _ANSWERS = 1000, 500_000  # in one request
_PUSH = "run `mermed collect push` with the collection's folder"


@dataclass(frozen=True)
class State:
    """What the server was left with by the last push that came to its end.

    Attributes:
        made_from: checksum of the folder's contents.
        rows: how many.
        ids: checksum of their ids.
        columns: that rows can be filtered by, with whether a row has any number of values in them.
        lists: of the index in each part of the server's; 0 for an index without, which compares all vectors.
        probes: lists that are searched without a filter; 0 for all.
        recall: share of the ten nearest that are found without a filter, as measured after the push.
    """

    made_from: str
    rows: int
    ids: str
    columns: Mapping[str, bool]
    lists: int
    probes: int
    recall: float

    def to_text(self) -> str:
        """Returns it as JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """Reads what `to_text` gave; None where it is something else."""
        try:
            stated = json.loads(text)
            return cls(**stated) if stated.pop("format") == FORMAT else None
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


class MilvusEngine(SearchEngine):
    """Asks a server; positions are rows of the folder, as with every other engine.

    Without a filter a number of lists is searched that was tuned when the rows were pushed. Under a filter
    all lists are, so that no row is lost; the server compares those that pass. Rows that a later push adds or
    removes while this engine is in use are not found.

    Attributes:
        state: what the server holds.
    """

    def __init__(
        self, server: MilvusServer, client: "MilvusClient", name: str, ids: RowIds, dim: int, state: State
    ) -> None:
        self.state = state
        self._server, self._client, self._name = server, client, name
        self._ids, self._dim = ids, dim
        self._fields = Fields(state.columns)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._dim

    @property
    def recall(self) -> float:
        """Share of the ten nearest that are found without a filter, as measured after the push."""
        return self.state.recall

    def __len__(self) -> int:
        """Returns the number of vectors."""
        return len(self._ids)

    def search(self, queries: np.ndarray, count: int, allowed: np.ndarray | None = None) -> Hits:
        """Finds the vectors nearest to each query; see `SearchEngine.search`.

        A mask is sent as the ids of the rows, in several requests where there are many: a filter by columns
        that the server has is better sent as such, see `search_where`.

        Raises:
            SearchServerError: the server does not answer, or more hits are wanted than it gives.
        """
        if allowed is None:
            return self._nearest(queries, count)
        rows = np.flatnonzero(allowed)
        hits = min(count, len(rows))
        if hits <= 0 or not len(queries):
            return Hits.none(len(queries), max(hits, 0))
        if len(barred := np.flatnonzero(~allowed)) <= min(len(rows), _IDS):
            return self._passing(queries, hits, id_list(self._ids.ids[barred], barred=True))
        parts = [
            self._passing(queries, hits, id_list(self._ids.ids[rows[first : first + _IDS]]))
            for first in range(0, len(rows), _IDS)
        ]
        values = np.concatenate([part.values for part in parts], axis=1)
        positions = np.concatenate([part.positions for part in parts], axis=1)
        best = np.argsort(-values, axis=1, kind="stable")[:, :hits]
        kept = np.take_along_axis(values, best, axis=1), np.take_along_axis(positions, best, axis=1)
        return Hits(*kept, exact=all(part.exact for part in parts))

    def search_where(
        self, queries: np.ndarray, count: int, where: Filter, columns: Mapping[str, Column]
    ) -> Hits:
        """Finds the nearest vectors that pass a filter; the server filters where it has the columns."""
        expression = self._fields.expression(where) if where else None
        if expression is None:
            return super().search_where(queries, count, where, columns)
        return self._passing(queries, count, expression)

    def _nearest(self, queries: np.ndarray, count: int) -> Hits:
        """Searches the tuned number of lists, and all where they hold too few."""
        hits, probes = min(count, len(self)), self.state.probes
        if hits <= 0 or not len(queries):
            return Hits.none(len(queries), max(hits, 0))
        found = self._asked(queries, hits, "", probes)
        if probes and found.positions.shape[1] < hits:
            found = self._asked(queries, hits, "", 0)
        return found

    def _passing(self, queries: np.ndarray, count: int, expression: str) -> Hits:
        hits = min(count, len(self))
        if hits <= 0 or not len(queries):
            return Hits.none(len(queries), max(hits, 0))
        return self._asked(queries, hits, expression, 0)

    def _asked(self, queries: np.ndarray, count: int, expression: str, probes: int) -> Hits:
        """Asks the server; as many hits come as the query with fewest has."""
        if count > MOST_HITS:
            raise SearchServerError(f"A Milvus server finds at most {MOST_HITS:,} cases at once.")
        answers: list[tuple[np.ndarray, np.ndarray]] = []
        at_once = max(1, min(_QUERIES, _ANSWERS // count))
        for first in range(0, len(queries), at_once):
            block = np.ascontiguousarray(queries[first : first + at_once], np.float32)
            answers += self._request(block, count, expression, probes)
        fewest = min(len(values) for values, _ in answers)
        values = np.stack([values[:fewest] for values, _ in answers])
        positions = np.stack([rows[:fewest] for _, rows in answers])
        return Hits(values, positions, exact=not probes)

    def _request(
        self, queries: np.ndarray, count: int, expression: str, probes: int
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Returns values and rows of each query, without hits that are no rows of the folder."""
        with self._server.asked():
            answers: Any = self._client.search(
                self._name,
                data=list(queries),
                anns_field=VECTOR,
                filter=expression,
                limit=count,
                output_fields=[ID],
                search_params=search_parameters(self.state.lists, probes),
                consistency_level="Strong",
            )
        found = []
        for answer in answers:
            hits: Sequence[Mapping[str, Any]] = answer
            ids = np.fromiter((hit[ID] for hit in hits), np.int64, len(hits))
            values = np.fromiter((hit["distance"] for hit in hits), np.float32, len(hits))
            rows = self._ids.rows(ids)
            found.append((values[rows >= 0], rows[rows >= 0].astype(np.int64)))
        return found


def open_milvus(server: MilvusServer, name: str, ids: RowIds, dim: int, made_from: str) -> MilvusEngine:
    """Returns the engine of a folder that was pushed.

    Args:
        server: where it was pushed to.
        name: of the collection on the server, where the server's address does not say it.
        ids: of the folder's rows.
        dim: length of a vector.
        made_from: checksum of the folder's contents.

    Raises:
        SearchServerError: the server does not answer, or holds nothing or something else under this name.
    """
    client, name = server.connect(), server.name or name
    with server.asked():
        if not client.has_collection(name):
            raise SearchServerError(f"The search server at {server} has no collection '{name}'; {_PUSH}.")
        state = read_state(client, name)
        if state is None or (state.made_from, state.rows, state.ids) != (made_from, len(ids), ids.checksum):
            raise SearchServerError(
                f"The collection '{name}' on the search server at {server} is not, or not wholly, what the "
                f"folder holds now; {_PUSH}."
            )
        load(client, name)
    return MilvusEngine(server, client, name, ids, dim, state)


def read_state(client: "MilvusClient", name: str) -> State | None:
    """Returns what a collection states about itself, None where it does not or a push is under way."""
    described: Any = client.describe_collection(name)
    return State.from_text(str(described["properties"].get(STATE, "")))


def search_parameters(lists: int, probes: int) -> dict[str, Any]:
    """Returns how an index of so many lists is searched; probes 0 stands for all of them."""
    return {"metric_type": METRIC, "params": {"nprobe": probes or lists} if lists else {}}
