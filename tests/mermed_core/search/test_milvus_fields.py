"""What a server is told of rows and filters; no server is needed."""

import numpy as np
import pandas as pd
import pytest

from mermed_core.errors import SearchServerError, SettingsError
from mermed_core.search.filters import Filter
from mermed_core.search.milvus_engine import State
from mermed_core.search.milvus_fields import (
    LONGEST,
    NOTHING,
    Fields,
    RowIds,
    digests,
    field_of,
    fields_of,
    id_list,
    text_of,
    values_of,
)
from mermed_core.search.milvus_push import lists_for
from mermed_core.search.milvus_server import MilvusServer
from mermed_core.settings import Settings

FIELDS = Fields({"source": False, "label": True, "patient age": False})


def test_equal_values_share_a_text_and_others_do_not():
    assert text_of(True) == text_of(1) == text_of(1.0) == text_of(np.int64(1)) == text_of(np.bool_(True))
    assert text_of(None) == text_of(np.nan) == text_of(pd.NA) == text_of(pd.NaT)
    others = ["1", "#1", 1, 1.5, "", "#", None, "a", "##1", 2**60 + 1, 2**60, pd.Timestamp("2026-01-01")]
    assert len({text_of(value) for value in others}) == len(others)
    long = [text_of("ü" * LONGEST), text_of("ü" * (LONGEST - 1))]
    assert long[0] != long[1]
    assert all(len(text.encode()) <= LONGEST for text in long)


def test_a_filter_becomes_an_expression_or_is_left_to_the_caller():
    age = field_of("patient age")
    assert age.isidentifier()
    where = Filter({"source": ['a "b"', "c\\d"], "label": ["x"], "patient age": [40, np.nan]})
    assert FIELDS.expression(where) == (
        f'by_source in ["a \\"b\\"", "c\\\\d"] and array_contains_any(by_label, ["x"]) and {age} in ["#40"]'
    )
    assert FIELDS.expression(Filter({"source": [None]})) == NOTHING
    assert FIELDS.expression(Filter({"source": ["a"], "group": ["b"]})) is None


def test_ids_lead_back_to_rows_and_names_that_share_one_are_refused():
    ids = RowIds([f"case {row}" for row in range(500)])
    assert (ids.ids >= 0).all()
    shuffled = np.random.default_rng(0).permutation(500)
    np.testing.assert_array_equal(ids.rows(ids.ids[shuffled]), shuffled)
    assert ids.rows(np.array([7, -1])).tolist() == [-1, -1]
    assert RowIds([f"case {row}" for row in shuffled]).checksum == ids.checksum
    assert RowIds([]).rows(np.array([7])).tolist() == [-1]
    with pytest.raises(SearchServerError, match="'a' and 'a'"):
        RowIds(["b", "a", "a"])
    assert id_list([3, 4]) == "id in [3,4]"
    assert (id_list([]), id_list([], barred=True)) == (NOTHING, "")


def test_a_digest_changes_with_every_part_of_a_row():
    vectors = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    columns = {"source": pd.Series(["a", "b", "a"]), "label": pd.Series([["x", "y"], ["y", "x"], None])}
    fields = fields_of(columns)
    assert fields.lists == {"source": False, "label": True}
    values = {name: values_of(column, fields.lists[name]) for name, column in columns.items()}
    assert values == {"source": ["a", "b", "a"], "label": [["x", "y"], ["x", "y"], []]}
    known = digests(vectors, values)
    np.testing.assert_array_equal(known, digests(vectors.copy(), values))
    moved = vectors.copy()
    moved[0, 3] = np.nextafter(moved[0, 3], np.float32(9))
    assert (digests(moved, values) != known).tolist() == [True, False, False]
    assert (digests(vectors, {**values, "source": ["a", "b", "c"]}) != known).tolist() == [False, False, True]
    assert (digests(vectors, {**values, "label": [["x"], ["x", "y"], []]}) != known).tolist() == [
        True,
        False,
        False,
    ]


def test_what_a_server_holds_is_read_as_it_was_stated():
    state = State("abc", 3, "ids", {"source": False}, 64, 8, 0.99)
    assert State.from_text(state.to_text()) == state
    for text in ("", "no JSON", "[]", '{"format": 0}', '{"format": 1}'):
        assert State.from_text(text) is None
    assert (lists_for(100_000), lists_for(100_001), lists_for(10**9)) == (0, 512, 2048)


def test_an_address_is_read_and_its_secrets_are_not_shown():
    server = MilvusServer.parse("milvus+https://user:secret@host:19530/cases", "root:word")
    assert (server.url, server.name) == ("https://user:secret@host:19530", "cases")
    assert str(server) == "https://host:19530"
    assert "word" not in repr(server)
    for text in ("http://host", "milvus+ftp://host", "milvus+http://"):
        with pytest.raises(SearchServerError, match=r"milvus\+http"):
            MilvusServer.parse(text)
    with pytest.raises(SettingsError, match="MERMED_SEARCH is 'http://host'"):
        Settings.from_environment({"MERMED_SEARCH": "http://host"})
    assert "word" not in repr(Settings.from_environment({"MERMED_SEARCH_TOKEN": "root:word"}))


def test_a_server_that_does_not_answer_is_said_so(monkeypatch):
    monkeypatch.setattr("mermed_core.search.milvus_server._SECONDS", 0.5)
    with pytest.raises(SearchServerError, match=r"http://127\.0\.0\.1:9"):
        MilvusServer("http://127.0.0.1:9").connect()
