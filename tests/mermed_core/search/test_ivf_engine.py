"""The approximate engine against the exact one, at sizes that take a second; limits are lowered to them."""

import json
import logging

import faiss
import numpy as np
import pytest

from mermed_core.search import ivf_engine, stored, tuning
from mermed_core.search.engine import Metric
from mermed_core.search.faiss_engine import FaissEngine
from mermed_core.search.ivf_engine import IvfEngine, Settings
from mermed_core.search.lists import Lists
from mermed_core.search.quantised import Part, QuantisedVectors, StoredVectors
from mermed_core.search.stored import index_files, open_engine, update_index
from mermed_core.search.tuning import build_ivf, recall

ROWS, DIM, CLUSTERS = 6000, 16, 30


def made(metric: Metric = "cosine") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns vectors (rows, dim) in clusters, the cluster of each, and queries that are none of them."""
    generator = np.random.default_rng(5)
    centres = generator.normal(size=(CLUSTERS, DIM))
    cluster = generator.integers(0, CLUSTERS, ROWS + 60)
    points = (centres[cluster] + 0.4 * generator.normal(size=(ROWS + 60, DIM))).astype(np.float32)
    if metric == "cosine":
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points[:ROWS], cluster[:ROWS], points[ROWS:]


@pytest.fixture(autouse=True)
def _small(monkeypatch) -> None:
    for module in (ivf_engine, tuning):
        monkeypatch.setattr(module, "GATHERED", 200)
    monkeypatch.setattr(stored, "FLAT", 1000)


@pytest.fixture(scope="module", params=["cosine", "squared_distance"])
def engine(request) -> IvfEngine:
    vectors, cluster, _ = made(request.param)
    with pytest.MonkeyPatch.context() as patch:
        for module in (ivf_engine, tuning):
            patch.setattr(module, "GATHERED", 200)
        built = build_ivf(
            FaissEngine.build(vectors, request.param, on_gpu=False), [cluster < 5, cluster == 2]
        )
    assert built is not None
    return built


def test_what_it_states_about_itself_was_measured(engine):
    queries = made(engine.exact.scan.metric)[2]
    hits = engine.search(queries, 10)
    assert not hits.exact
    assert engine.recall >= tuning.TARGET
    assert recall(hits.positions, engine.exact.search(queries, 10).positions) >= 0.985
    assert max(engine.settings.probes.values()) <= len(engine.lists) // 2


@pytest.mark.parametrize("count", [1, 10, 60, 150, 4000])
@pytest.mark.parametrize("clusters", [range(5), range(0, CLUSTERS, 2), range(3, CLUSTERS), [7], []])
def test_a_filter_loses_nothing_near_or_far(engine, count, clusters):
    _, cluster, queries = made(engine.exact.scan.metric)
    allowed = np.isin(cluster, clusters)
    hits, true = engine.search(queries, count, allowed), engine.exact.search(queries, count, allowed)
    assert hits.positions.shape == true.positions.shape == (60, min(count, allowed.sum()))
    assert allowed[hits.positions].all()
    if hits.positions.size:
        assert recall(hits.positions, true.positions) >= 0.985
        # No hit stands twice, and what stands beside it is its own value.
        assert all(len(set(row)) == len(row) for row in hits.positions.tolist())
        worst_first = np.diff(hits.values, axis=1) * (1 if engine.exact.scan.metric == "cosine" else -1)
        assert (worst_first <= 1e-6).all()
    if hits.exact:
        np.testing.assert_array_equal(hits.positions, true.positions)


def test_few_allowed_vectors_are_all_compared(engine):
    _, cluster, queries = made(engine.exact.scan.metric)
    allowed = np.arange(ROWS) < 200
    assert engine.search(queries, 10, allowed).exact
    assert not engine.search(queries, 10, cluster >= 3).exact


def test_lists_that_hold_too_few_are_left_for_all_vectors(engine):
    queries = made(engine.exact.scan.metric)[2]
    most = max(len(engine.lists.list_of[engine.lists.list_of == each]) for each in range(len(engine.lists)))
    narrow = IvfEngine(engine.exact, engine.lists, Settings({most + 1: 1}, 2, np.inf, 1, 1))
    hits = narrow.search(queries, most + 1)
    np.testing.assert_array_equal(hits.positions, engine.exact.search(queries, most + 1).positions)


@pytest.mark.parametrize("stored_in", ["numbers", "codes", "codes of which some are gone"])
def test_each_value_is_that_of_the_full_vector(engine, stored_in):
    metric = engine.exact.scan.metric
    if metric != "cosine" and stored_in != "numbers":
        pytest.skip("stored vectors have no distance")
    vectors, _, queries = made(metric)
    kept: np.ndarray | StoredVectors = vectors
    if stored_in != "numbers":
        quantised = QuantisedVectors.encode(vectors)
        gone = stored_in != "codes"
        rows = np.flatnonzero(np.arange(ROWS) % 7) if gone else None
        kept = StoredVectors([Part(quantised, rows)], DIM)
    exact = FaissEngine.build(kept, metric, on_gpu=False)
    lists = engine.lists if len(kept) == ROWS else Lists.build(kept)
    hits = IvfEngine(exact, lists, engine.settings).search(queries, 10)
    full = np.asarray(kept)[hits.positions]
    dot = np.einsum("qhd,qd->qh", full, queries)
    expected = dot if metric == "cosine" else ((full - queries[:, None]) ** 2).sum(axis=2)
    assert not hits.exact
    np.testing.assert_allclose(hits.values, expected, atol=1e-5)
    assert (np.diff(hits.values * (1 if metric == "cosine" else -1), axis=1) <= 1e-6).all()
    assert recall(hits.positions, exact.search(queries, 10).positions) >= 0.97


@pytest.mark.parametrize("stored_in", ["numbers", "codes of which some are gone"])
def test_queries_of_other_numbers_find_the_same(engine, stored_in):
    vectors, _, queries = made("cosine")
    if engine.exact.scan.metric != "cosine":
        pytest.skip("stored vectors have no distance")
    gone = np.flatnonzero(np.arange(ROWS) % 7)
    kept = (
        vectors
        if stored_in == "numbers"
        else StoredVectors([Part(QuantisedVectors.encode(vectors), gone)], DIM)
    )
    lists = engine.lists if len(kept) == ROWS else Lists.build(kept)
    searched = IvfEngine(FaissEngine.build(kept, on_gpu=False), lists, engine.settings)
    wide = np.asfortranarray(queries, dtype=np.float64)
    np.testing.assert_array_equal(searched.search(wide, 10).positions, searched.search(queries, 10).positions)
    np.testing.assert_array_equal(searched.search(wide, 10).values, searched.search(queries, 10).values)


def test_a_gpu_answers_what_is_not_filtered(engine, monkeypatch):
    queries = made(engine.exact.scan.metric)[2]
    monkeypatch.setattr(engine.exact, "on_gpu", True)
    assert engine.search(queries, 10).exact


def test_vectors_without_clusters_get_no_index_that_misses_them():
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(1500, 128)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    exact = FaissEngine.build(vectors, on_gpu=False)
    built = build_ivf(exact)
    assert built is None or built.recall >= tuning.TARGET


@pytest.mark.parametrize("damage", ["index", "about", "words", "rows"])
def test_an_index_is_kept_and_made_again_where_it_does_not_fit(tmp_path, caplog, damage):
    vectors, _, queries = made()
    first = open_engine(vectors, tmp_path, "one", on_gpu=False)
    assert isinstance(first, IvfEngine)
    index, about_it = index_files("one")
    written = (tmp_path / index).stat().st_mtime_ns
    caplog.set_level(logging.INFO)
    again = open_engine(vectors, tmp_path, "one", iter([np.ones(3, bool)]), on_gpu=False)
    assert isinstance(again, IvfEngine)
    assert again.settings == first.settings
    np.testing.assert_array_equal(again.search(queries, 10).positions, first.search(queries, 10).positions)
    assert (tmp_path / index).stat().st_mtime_ns == written
    assert "building" not in caplog.text
    about = json.loads((tmp_path / about_it).read_text())
    if damage == "index":
        (tmp_path / index).write_bytes((tmp_path / index).read_bytes()[:-9])
    elif damage == "about":
        del about["settings"]["refine"]
        (tmp_path / about_it).write_text(json.dumps(about))
    elif damage == "words":
        (tmp_path / about_it).write_text("no JSON")
    elif damage == "rows":
        (tmp_path / about_it).write_text(json.dumps(about | {"rows": 5}))
    mended = open_engine(vectors, tmp_path, "one", on_gpu=False)
    assert isinstance(mended, IvfEngine)
    assert "built again" in caplog.text
    assert json.loads((tmp_path / about_it).read_text())["settings"] == mended.settings.to_dict()


def test_an_index_of_other_vectors_lies_beside_it(tmp_path):
    vectors = made()[0]
    for number, name in enumerate(("one", "two")):
        open_engine(vectors[number:], tmp_path, name, on_gpu=False)
    names = {*index_files("one"), *index_files("two"), f".{stored.LOCK}.lock"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_an_index_is_not_kept_of_vectors_that_were_replaced_meanwhile(tmp_path):
    engine = open_engine(made()[0], tmp_path, "one", on_gpu=False, current=lambda: False)
    assert isinstance(engine, IvfEngine)
    assert not list(tmp_path.glob("index*"))


@pytest.mark.parametrize("came", [0, 40])
@pytest.mark.parametrize("gone", [0, 70])
def test_what_comes_and_goes_is_changed_in_the_index(tmp_path, monkeypatch, came, gone):
    vectors, _, queries = made()
    codes = QuantisedVectors.encode(vectors)
    old = StoredVectors.of(codes.take(np.arange(ROWS - 40)))
    open_engine(old, tmp_path, "one", on_gpu=False)
    kept = np.ones(ROWS - 40, bool)
    kept[np.random.default_rng(0).choice(len(kept), gone, replace=False)] = False
    rows = np.append(np.flatnonzero(kept), np.arange(ROWS - 40, ROWS - 40 + came))
    new = StoredVectors.of(codes.take(rows))
    update_index(tmp_path, "one", "two", new, kept)
    monkeypatch.setattr(stored, "build_ivf", None)  # nothing is built from here on
    engine = open_engine(new, tmp_path, "two", on_gpu=False)
    assert isinstance(engine, IvfEngine)
    hits, exact = engine.search(queries, 10), engine.exact.search(queries, 10)
    assert recall(hits.positions, exact.positions) >= 0.98
    some = new[len(new) - 30 :]  # new ones are found, and under their new positions
    np.testing.assert_array_equal(engine.search(some, 1).positions[:, 0], np.arange(len(new) - 30, len(new)))
    fresh = build_ivf(FaissEngine.build(new, on_gpu=False))
    assert fresh is not None
    assert abs(fresh.lists.spread.mean() - engine.lists.spread.mean()) < 0.05


def test_an_index_of_too_many_changes_is_left_to_be_built_anew(tmp_path):
    codes = QuantisedVectors.encode(made()[0])
    open_engine(StoredVectors.of(codes), tmp_path, "one", on_gpu=False)
    kept = np.arange(ROWS) % 2 == 0
    half = StoredVectors.of(codes.take(np.flatnonzero(kept)))
    update_index(tmp_path, "one", "two", half, kept)
    update_index(tmp_path, "none", "two", half, kept)
    assert not (tmp_path / index_files("two")[1]).exists()


def test_a_folder_that_cannot_be_written_to_gets_an_index_in_memory(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(stored.os, "access", lambda *_: False)
    engine = open_engine(made()[0], tmp_path, "one", on_gpu=False)
    assert isinstance(engine, IvfEngine)
    assert not list(tmp_path.iterdir())
    assert "cannot be written to" in caplog.text


def test_few_vectors_get_no_index(tmp_path):
    engine = open_engine(made()[0][:1000], tmp_path, "one", on_gpu=False)
    assert isinstance(engine, FaissEngine)
    assert engine.recall == 1
    assert not list(tmp_path.iterdir())


def test_that_no_index_is_good_enough_is_remembered(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(stored, "build_ivf", lambda *_: asked.append(1))
    for _ in range(2):
        assert isinstance(open_engine(made()[0], tmp_path, "one", on_gpu=False), FaissEngine)
    assert len(asked) == 1


def test_a_full_disk_leaves_the_index_in_memory(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(stored, "write_json", full)
    assert isinstance(open_engine(made()[0], tmp_path, "one", on_gpu=False), IvfEngine)
    assert "No space left" in caplog.text


def test_the_centre_of_a_list_goes_with_its_last_vector():
    vectors = made()[0][:4]
    lists = Lists.build(vectors)  # as many lists as vectors: each centre is one of them
    assert {centre.tobytes() for centre in lists.centres} == {vector.tobytes() for vector in vectors}
    kept = np.array([True, False, True, True])
    after = lists.keeping(kept)
    written = faiss.serialize_index(after.index).tobytes()
    assert [vector.tobytes() in written for vector in vectors] == kept.tolist()
    assert vectors[1].tobytes() not in after.centres.tobytes()
    assert after.candidates(vectors[[0, 2, 3]], 1, 4)[:, 0].tolist() == [0, 1, 2]
