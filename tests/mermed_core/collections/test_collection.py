"""The collection in memory: every part is of the same case, and filters are those of a plain loop."""

import io
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.spatial import KDTree

from mermed_core.collections.collection import Collection, Description
from mermed_core.collections.store import load_collection
from mermed_core.errors import CollectionError, SearchError
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.imaging.thumbnails import THUMBNAIL_SIDE
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.records import Case
from mermed_core.search import ivf_engine, stored
from mermed_core.search.faiss_engine import FaissEngine
from mermed_core.search.filters import Filter
from mermed_core.search.ivf_engine import IvfEngine, Settings
from mermed_core.search.lists import Lists


@pytest.fixture(scope="module")
def collection(collection_folder):
    return load_collection(collection_folder)


@pytest.fixture(scope="module")
def cases(collection) -> tuple[Case, ...]:
    return collection.cases_at(np.arange(len(collection)))


def test_every_part_is_of_the_same_case(collection, cases, embedder, fitted):
    assert len(collection) == 42
    assert collection.values("modality") == tuple(sorted(MODALITY_KEYS))
    np.testing.assert_allclose(np.linalg.norm(collection.vectors, axis=1), 1, atol=1e-5)
    similarities, positions = collection.engine.search(collection.vectors, 1)
    np.testing.assert_array_equal(positions[:, 0], np.arange(42))
    np.testing.assert_allclose(similarities, 1, atol=1e-5)
    case = cases[17]
    assert collection.position(case.case_id) == 17
    assert collection.case(case.case_id) == case
    picture = Image.open(io.BytesIO(collection.thumbnail(case.case_id)))
    assert (picture.format, max(picture.size)) == ("JPEG", THUMBNAIL_SIDE)
    near = fitted.parts.space.project(embedder.embed(np.array(picture), case.modality)[None])[0]
    assert collection.nearest(near, 1)[0].case == case


def test_the_map_of_the_bundled_collection_keeps_the_modalities_together():
    bundled = load_collection(BUNDLED_COLLECTION)
    assert np.isfinite(bundled.coordinates).all()
    of = bundled.records["modality"].to_numpy()
    nearest_on_map = np.asarray(KDTree(bundled.coordinates).query(bundled.coordinates, 2)[1])
    assert np.mean(of[nearest_on_map[:, 1]] == of) > 0.95


def test_how_near_cases_usually_are(collection):
    vectors = collection.vectors[:]
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    nearest = similarity.max(axis=1)
    assert len(collection) < 200  # so all of them are in the sample
    assert collection.usual_similarity == pytest.approx(np.quantile(nearest, 0.01), abs=1e-5)


def test_an_unknown_case_or_column_is_a_sentence(collection):
    for ask in (collection.position, collection.case, collection.thumbnail):
        with pytest.raises(CollectionError, match="no case 'nobody'"):
            ask("nobody")
    with pytest.raises(CollectionError, match="no column 'sex'"):
        collection.values("sex")
    with pytest.raises(SearchError, match="no column 'sex'"):
        collection.nearest(collection.vectors[0], 3, where=Filter({"sex": ["f"]}))


@pytest.mark.parametrize("count", [1, 5, 100])
def test_neighbours_under_filters_are_those_of_a_plain_loop(collection, cases, count):
    query, labels = 3, collection.values("label")[:2]
    where = Filter({"modality": ["ct", "oct"], "label": labels, "source": []})
    hits = collection.nearest(collection.vectors[query], count, where=where, without=cases[query])
    similarity = collection.vectors @ collection.vectors[query]
    expected = [
        row
        for row in np.argsort(-similarity)
        if cases[row].modality in ("ct", "oct")
        and set(labels) & set(cases[row].labels)
        and cases[row].group != cases[query].group
    ][:count]
    assert [hit.case for hit in hits] == [cases[row] for row in expected]
    assert [hit.similarity for hit in hits] == pytest.approx(similarity[expected].tolist(), abs=1e-5)
    assert collection.nearest(collection.vectors[query], count, where=Filter({"source": ["nowhere"]})) == ()


def test_a_group_is_left_out_however_large_it_is():
    vectors = np.eye(8, dtype=np.float32)[[0, 0, 0, 0, 1, 2, 3]]
    groups = ["one"] * 5 + ["two", "one"]
    records = pd.DataFrame({"case_id": list("abcdefg"), "group": groups, "labels": [[]] * 7})
    collection = Collection(
        Description("n", "", True, "f"),
        records.assign(modality="ct", source=["s"] * 6 + ["another"], split=""),
        vectors,
        np.zeros((7, 2), np.float32),
        [b""] * 7,
        FaissEngine.build(vectors),
    )
    hits = collection.nearest(vectors[0], 3, without=collection.case("a"))
    assert {hit.case.case_id for hit in hits} == {"f", "g"}  # group "one" of another source is another one


def test_nothing_filtered_passes_no_mask_to_the_engine(collection, cases, monkeypatch):
    masks = []
    search = collection.engine.search

    def spy(queries, count, allowed=None):
        masks.append(allowed)
        return search(queries, count, allowed)

    monkeypatch.setattr(collection.engine, "search", spy)
    collection.nearest(collection.vectors[0], 3, without=cases[0])
    collection.nearest(collection.vectors[0], 3, where=Filter({"modality": []}))
    assert masks == [None, None]


def test_a_large_collection_gets_an_index_that_is_made_again_where_it_is_missing(
    collection, collection_folder, tmp_path, monkeypatch
):
    folder = tmp_path / "large"
    shutil.copytree(collection_folder, folder)
    monkeypatch.setattr(stored, "FLAT", 10)
    built = []

    def build(exact, masks):
        built.append(np.stack(list(masks)))
        settings = Settings({10: 6}, 2, np.inf, 1.0, 1.0)
        return IvfEngine(exact, Lists.build(exact.scan.vectors), settings)

    monkeypatch.setattr(stored, "build_ivf", build)
    monkeypatch.setattr(ivf_engine, "GATHERED", 5)
    for times in (1, 1, 2):
        if times == 2:
            next(folder.glob("index-*.faiss")).unlink()
        hits = load_collection(folder).nearest(collection.vectors[5], 10)
        assert len(built) == times
        assert not hits.exact
        all_compared = collection.nearest(collection.vectors[5], 10)
        similarity = {hit.case.case_id: hit.similarity for hit in all_compared}
        found = [hit for hit in hits if hit.case.case_id in similarity]
        assert len(found) >= 8
        expected = [similarity[hit.case.case_id] for hit in found]
        assert [hit.similarity for hit in found] == pytest.approx(expected, abs=1e-6)
    assert collection.nearest(collection.vectors[5], 10).exact
    names = [collection.values(column) for column in ("source", "modality", "label")]
    assert len(built[0]) == sum(map(len, names))  # it is checked under each


def test_parts_of_different_length_or_without_a_column_are_refused(collection):
    parts = (collection.vectors, collection.coordinates, [b""] * 42, collection.engine)
    description = Description("n", "", True, "f")
    with pytest.raises(CollectionError, match="differ in length"):
        Collection(description, collection.records[1:], *parts)
    with pytest.raises(CollectionError, match="no column 'group'"):
        Collection(description, collection.records.drop(columns="group"), *parts)
