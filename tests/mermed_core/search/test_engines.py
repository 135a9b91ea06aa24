"""The same questions to every engine: answers are those of comparing all vectors, whatever came and went."""

# Vectors are arrays here, which the type of a content leaves open, and pytest makes parameters of anything.
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportCallIssue=false
# pyright: reportOperatorIssue=false, reportIndexIssue=false, reportReturnType=false

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mermed_core.errors import SearchServerError
from mermed_core.search import milvus_push
from mermed_core.search.engine import SearchEngine
from mermed_core.search.faiss_engine import FaissEngine
from mermed_core.search.filters import Column, Filter, ListColumn, ScalarColumn
from mermed_core.search.milvus_engine import open_milvus
from mermed_core.search.milvus_fields import RowIds
from mermed_core.search.milvus_push import Content, Pushed, push
from mermed_core.search.milvus_server import MilvusServer

from .conftest import TOKEN

ROWS, DIM = 600, 16
SOURCES = np.array(["plain", 'q"uote', "back\\slash", "it's", "病院", "#hash", ""])
LABELS = np.array(["a", "b", 'c"', "d e"])
CENTRES = np.random.default_rng(0).normal(size=(len(SOURCES), DIM))
SERVERS = [
    "stand_in",
    pytest.param("milvus_lite", marks=pytest.mark.slow),
    pytest.param("milvus", marks=pytest.mark.slow),
]
Opened = Callable[[Content], SearchEngine]


def made(rows: int = ROWS, seed: int = 3) -> Content:
    """Returns vectors in clusters, with columns of every kind that a collection has."""
    generator = np.random.default_rng(seed)
    cluster = generator.integers(0, len(SOURCES), rows)
    vectors = CENTRES[cluster] + 0.5 * generator.normal(size=(rows, DIM))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    columns = {
        "source": pd.Series(SOURCES[cluster]),
        "label": pd.Series([list(LABELS[generator.random(4) < 0.3]) for _ in range(rows)]),
        "age": pd.Series(np.where(generator.random(rows) < 0.2, np.nan, generator.integers(20, 90, rows))),
        "seen twice": pd.Series(generator.random(rows) < 0.5),
    }
    return Content([f"case {seed} {row}" for row in range(rows)], vectors, columns, f"{seed} {rows}")


def some(content: Content, rows: np.ndarray, made_from: str) -> Content:
    columns = {name: column.iloc[rows].reset_index(drop=True) for name, column in content.columns.items()}
    return Content([content.names[row] for row in rows], content.vectors[rows], columns, made_from)


def joined(one: Content, other: Content, made_from: str) -> Content:
    columns = {
        name: pd.concat([one.columns[name], other.columns[name]], ignore_index=True) for name in one.columns
    }
    vectors = np.concatenate([one.vectors, other.vectors])
    return Content([*one.names, *other.names], vectors, columns, made_from)


def columns_of(content: Content) -> dict[str, Column]:
    return {
        name: ListColumn(column) if name == "label" else ScalarColumn(column)
        for name, column in content.columns.items()
    }


def pushed(address: str, content: Content, name: str) -> Pushed:
    return push(MilvusServer(address, token=TOKEN), name, content)


def opened(address: str, content: Content, name: str) -> SearchEngine:
    server = MilvusServer(address, token=TOKEN)
    return open_milvus(server, name, RowIds(content.names), content.vectors.shape[1], content.made_from)


@pytest.fixture(
    scope="module",
    params=[
        "faiss",
        *SERVERS,
    ],
)
def open_engine(request) -> Opened:
    """Opens an engine on a content; the server's collection is brought to it."""
    if request.param == "faiss":
        return lambda content: FaissEngine.build(content.vectors, on_gpu=False)
    address = request.getfixturevalue(request.param)

    def bring(content: Content) -> SearchEngine:
        pushed(address, content, "engines")
        return opened(address, content, "engines")

    return bring


QUERIES = made(4, seed=9).vectors
FILTERS = {
    "one source": Filter({"source": ["plain"]}),
    "names with marks": Filter({"source": ['q"uote', "back\\slash", "it's", "#hash"]}),
    "an empty and a foreign name": Filter({"source": ["", "病院"]}),
    "a label": Filter({"label": ['c"']}),
    "labels": Filter({"label": ["a", "d e", "none has it"]}),
    "label and source": Filter({"label": ["b"], "source": ["it's", "plain"]}),
    "numbers": Filter({"age": [30, 31.0, np.int64(32), 33, 1000]}),
    "a missing number": Filter({"age": [np.nan, None]}),
    "a truth": Filter({"seen twice": [True]}),
    "nobody": Filter({"source": ["nobody"]}),
    "nothing": Filter({}),
}


def check(engine: SearchEngine, content: Content) -> None:
    """Asks everything and compares with all cosines."""
    cosines, columns = QUERIES @ content.vectors.T, columns_of(content)
    assert len(engine) == len(content.names)
    assert engine.dim == DIM
    masks = {name: where.mask(columns) for name, where in FILTERS.items()}
    for name, where in FILTERS.items():
        mask = np.ones(len(engine), bool) if masks[name] is None else masks[name]
        compare(engine.search_where(QUERIES, 10, where, columns), cosines, mask, 10)
        compare(engine.search(QUERIES, 150, masks[name]), cosines, mask, 150)
    nearly_all = np.arange(len(engine)) % 50 != 0
    compare(engine.search(QUERIES, 10, nearly_all), cosines, nearly_all, 10)
    assert engine.search(QUERIES[:0], 10).values.shape[0] == 0
    assert engine.search(QUERIES, 0).values.shape == (len(QUERIES), 0)


def compare(hits, cosines: np.ndarray, mask: np.ndarray, count: int) -> None:
    assert hits.exact
    allowed = np.where(mask, cosines, -np.inf)
    true = -np.sort(-allowed, axis=1)[:, : min(count, int(mask.sum()))]
    assert hits.positions.shape == true.shape
    assert mask[hits.positions].all()
    np.testing.assert_allclose(hits.values, true, atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(cosines, hits.positions, 1), true, atol=1e-5)


def test_every_engine_gives_the_answers_of_comparing_all(open_engine):
    first = made()
    check(open_engine(first), first)
    without = some(first, np.flatnonzero(np.arange(ROWS) % 3 > 0), "a third removed")
    check(open_engine(without), without)
    more = joined(made(300, seed=4), without, "some added before them")
    check(open_engine(more), more)


def test_an_unknown_column_is_refused_alike(open_engine):
    content = made()
    engine = open_engine(content)
    with pytest.raises(Exception, match="no column 'colour'"):
        engine.search_where(QUERIES, 3, Filter({"colour": ["red"]}), columns_of(content))


@pytest.fixture(scope="module", params=SERVERS)
def address(request) -> str:
    return request.getfixturevalue(request.param)


def test_a_push_goes_on_where_one_was_stopped_and_repeats_nothing(address, monkeypatch):
    content = made(seed=5)
    monkeypatch.setattr(milvus_push, "_ROWS", 100)
    stopped = iter(range(4))

    def stop(_: int) -> None:
        if next(stopped) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(MilvusServer(address, token=TOKEN), "stopped", content, progress=stop)
    with pytest.raises(SearchServerError, match="mermed collect push"):
        opened(address, content, "stopped")
    again = pushed(address, content, "stopped")
    assert (again.sent, again.kept, again.removed) == (ROWS - 400, 400, 0)
    check(opened(address, content, "stopped"), content)
    repeated = push(MilvusServer(address, token=TOKEN), "stopped", content, check=True)
    assert (repeated.sent, repeated.kept, repeated.removed) == (0, ROWS, 0)
    assert repeated.state == pushed(address, content, "stopped").state


def test_changed_rows_alone_are_sent_and_other_columns_make_it_anew(address):
    content = made(seed=6)
    pushed(address, content, "changed")
    source = content.columns["source"].copy()
    source[:5] = "elsewhere"
    changed = replace(content, columns={**content.columns, "source": source}, made_from="changed")
    with pytest.raises(SearchServerError, match="not wholly"):
        opened(address, changed, "changed")
    assert pushed(address, changed, "changed").sent == 5
    engine = opened(address, changed, "changed")
    found = engine.search_where(QUERIES, 9, Filter({"source": ["elsewhere"]}), columns_of(changed))
    assert set(found.positions.ravel().tolist()) == set(range(5))
    fewer = replace(content, columns={"source": source}, made_from="fewer columns")
    assert pushed(address, fewer, "changed").sent == ROWS
    # By a column that the server has not is filtered here, and the ids that pass are sent.
    check(opened(address, fewer, "changed"), changed)


def test_other_cases_of_one_name_are_not_taken_away_unasked(address):
    theirs, ours = made(seed=8), made(seed=9)
    wider = replace(ours, vectors=np.hstack([ours.vectors, ours.vectors]) / np.sqrt(2).astype(np.float32))
    pushed(address, theirs, "one_name")
    for content in (ours, wider):
        with pytest.raises(SearchServerError, match=r"holds 600 cases as 'one_name'.*--replace"):
            pushed(address, content, "one_name")
    check(opened(address, theirs, "one_name"), theirs)
    done = push(MilvusServer(address, token=TOKEN), "one_name", ours, replace=True)
    assert (done.sent, done.removed) == (ROWS, ROWS)
    check(opened(address, ours, "one_name"), ours)


def test_what_no_push_has_made_stays_as_it_is(address):
    from pymilvus import DataType

    client = MilvusServer(address, token=TOKEN).connect()
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("precious", DataType.FLOAT_VECTOR, dim=4)
    client.create_collection("theirs", schema=schema, consistency_level="Strong")
    for again in (False, True):
        with pytest.raises(SearchServerError, match="no push has made"):
            push(MilvusServer(address, token=TOKEN), "theirs", made(seed=10), replace=again)
    described = client.describe_collection("theirs")
    assert {field["name"] for field in described["fields"]} == {"id", "precious"}


def test_lists_are_searched_as_far_as_was_measured(address, monkeypatch):
    monkeypatch.setattr(milvus_push, "FLAT", 1000)
    content = made(3000, seed=7)
    state = pushed(address, content, "lists").state
    assert state.lists == milvus_push.lists_for(3000) == 128
    assert state.recall >= 0.99
    engine = opened(address, content, "lists")
    cosines = QUERIES @ content.vectors.T
    hits = engine.search(QUERIES, 10)
    true = np.argsort(-cosines, axis=1)[:, :10]
    found = np.mean([np.isin(row, other).mean() for row, other in zip(true, hits.positions, strict=True)])
    assert found >= state.recall - 0.02
    assert hits.exact == (state.probes == 0)
    columns = columns_of(content)
    for where in FILTERS.values():
        if where:
            compare(engine.search_where(QUERIES, 10, where, columns), cosines, where.mask(columns), 10)
