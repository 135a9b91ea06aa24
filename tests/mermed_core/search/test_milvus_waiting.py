"""Servers that get no further: nobody waits for ever, and who waits is told."""

from types import SimpleNamespace

import pytest

from mermed_core.errors import SearchServerError
from mermed_core.search import milvus_waiting
from mermed_core.search.milvus_waiting import load, wait_for_index

pymilvus = pytest.importorskip("pymilvus")


def client(**answers) -> SimpleNamespace:
    """A client whose calls give one answer after the other; an exception is raised."""
    asked = {name: iter(given) for name, given in answers.items()}

    def call(name: str):
        def answer(*_: object, **__: object) -> object:
            given = next(asked[name])
            if isinstance(given, Exception):
                raise given
            return given

        return answer

    return SimpleNamespace(**{name: call(name) for name in asked})


LATE = pymilvus.MilvusException(message="wait for loading collection timeout")


def test_loading_goes_on_as_long_as_it_gets_further():
    load(client(load_collection=[LATE, LATE, None], get_load_state=[{"progress": 10}, {"progress": 60}]), "a")  # type: ignore[arg-type]


@pytest.mark.parametrize("progress", [[0], [10, 10]])
def test_loading_that_gets_no_further_ends_with_the_reason(progress):
    states = [{"progress": share} for share in progress]
    stuck = client(load_collection=[LATE] * 3, get_load_state=states)
    with pytest.raises(SearchServerError, match=f"has been at {progress[-1]} % for 120 seconds"):
        load(stuck, "a")  # type: ignore[arg-type]


def test_another_refusal_is_passed_on():
    refused = client(
        load_collection=[pymilvus.MilvusException(message="index not found")], get_load_state=[{}]
    )
    with pytest.raises(pymilvus.MilvusException, match="index not found"):
        load(refused, "a")  # type: ignore[arg-type]


def test_an_index_that_is_not_made_ends_the_waiting(monkeypatch):
    clock = iter(range(0, 100_000, 700))
    fake = SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda _: None)
    monkeypatch.setattr(milvus_waiting, "time", fake)
    rows = [{"pending_index_rows": count} for count in (9, 5, 5, 5)]
    wait_for_index(client(describe_index=[*rows, None]), "a", "vector")  # type: ignore[arg-type]
    stuck = client(describe_index=[*rows, *rows[-1:] * 4])
    with pytest.raises(SearchServerError, match="5 rows have been waiting for 30 minutes"):
        wait_for_index(stuck, "a", "vector")  # type: ignore[arg-type]
