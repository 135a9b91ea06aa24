"""Clusters and their names, against clusters and records that were planted."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from mermed_core.collections.case_columns import CaseColumns, FilterColumns
from mermed_core.collections.cluster_names import ClusterName, known_cases, labels_of_known, name_clusters
from mermed_core.collections.clusters import cluster_columns, cluster_levels, find_clusters
from mermed_core.collections.collection import Collection, Description
from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_ATLAS
from mermed_core.search.faiss_engine import FaissEngine
from mermed_core.search.self_search import nearest_to_each


def planted(groups: int = 4, parts: int = 3, each: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups that consist of parts: vectors, the group and the part of each."""
    generator = np.random.default_rng(0)
    part = np.repeat(np.arange(groups * parts), each)
    group = part // parts
    inner = generator.normal(size=(groups * parts, 32))
    vectors = 3 * np.eye(32)[group] + 0.06 * inner[part] + 0.08 * generator.normal(size=(len(part), 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), group, part


def columns_of(**columns: Sequence[object]) -> FilterColumns:
    return FilterColumns(CaseColumns.of(pd.DataFrame(columns)))


def test_planted_clusters_are_found_nested_and_repeatably():
    vectors, group, part = planted()
    near = nearest_to_each(vectors, 15).positions
    levels = find_clusters(near)
    assert max(adjusted_mutual_info_score(group, level) for level in levels) > 0.95
    assert adjusted_mutual_info_score(part, levels[-1]) > 0.9
    counts = [int(level.max()) + 1 for level in levels]
    assert counts == sorted(set(counts))
    for coarse, fine in pairwise(levels):
        assert pd.Series(coarse).groupby(fine).nunique().max() == 1
    for level in levels:
        assert (np.diff(np.bincount(level)) <= 0).all()
    for first, again in zip(levels, find_clusters(near), strict=True):
        np.testing.assert_array_equal(first, again)


def test_no_level_puts_all_cases_together_where_another_tells_some_apart():
    near = nearest_to_each(planted(groups=1)[0], 15).positions
    levels = find_clusters(near)
    assert levels[-1].max() > 0
    assert all(level.max() > 0 for level in levels)


@pytest.mark.parametrize("count", [1, 2, 5, 30])
def test_few_cases_have_clusters_too(count):
    vectors = planted(1, 1, count)[0]
    columns = cluster_columns(nearest_to_each(vectors, 15).positions)
    assert cluster_levels({"placed": 0, **columns}) == list(columns)
    assert all(len(column) == count for column in columns.values())


def test_names_say_what_tells_apart_and_no_more():
    member = np.repeat([0, 1, 2, 3], [6, 5, 4, 4])
    columns = columns_of(
        label=[""] * 19,
        labels=[["nv"]] * 5 + [["mel", "nv"]] + [["normal"]] * 9 + [[]] * 4,
        modality=["skin"] * 6 + ["cxr"] * 5 + ["oct"] * 4 + ["ct"] * 4,
        source=["a"] * 11 + ["b"] * 8,
    )
    assert name_clusters(member, columns) == [
        ClusterName(("nv",)),
        ClusterName(("normal",), ("cxr",)),
        ClusterName(("normal",), ("oct",)),
        ClusterName((), ("ct",)),
    ]


def test_a_cluster_of_several_modalities_is_called_by_each_of_them():
    member = np.repeat([0, 1], [20, 5])
    columns = columns_of(
        labels=[[f"kind {number}"] for number in range(20)] + [["mass"]] * 5,
        modality=["fundus"] * 11 + ["dermatology"] * 5 + ["ct"] * 4 + ["oct"] * 5,
        source=["a"] * 25,
    )
    first, second = name_clusters(member, columns)
    assert first == ClusterName((), ("fundus", "dermatology", "ct"))
    assert second == ClusterName(("mass",))


def test_a_cluster_whose_cases_were_removed_takes_no_name_from_others():
    member = np.repeat([0, 1, 3], [6, 5, 4])  # 2 is empty
    columns = columns_of(
        labels=[["mass"]] * 6 + [["cyst"]] * 5 + [["naevus"]] * 4,
        modality=["ultrasound"] * 11 + ["dermatology"] * 4,
        source=["here"] * 15,
    )
    names = name_clusters(member, columns)
    assert [name.labels for name in names] == [("mass",), ("cyst",), (), ("naevus",)]


def test_alike_clusters_are_told_apart_by_source_and_then_by_number():
    member = np.repeat([0, 1, 2], 4)
    columns = columns_of(
        labels=[["x"]] * 12, modality=["ct"] * 12, source=["a"] * 4 + ["b"] * 8, label=[""] * 12
    )
    names = name_clusters(member, columns)
    assert [name.source for name in names] == ["a", "b", "b"]
    assert [name.number for name in names] == [0, 1, 2]
    assert len(set(names)) == 3


def test_a_label_that_is_frequent_everywhere_does_not_name_a_cluster():
    member = np.repeat([0, 1], 10)
    columns = columns_of(
        labels=[["normal"]] * 10 + [["normal"]] * 5 + [["rare"]] * 5,
        modality=["ct"] * 20,
        source=["a"] * 20,
        label=[""] * 20,
    )
    assert name_clusters(member, columns)[1].labels == ("rare",)


def test_without_labels_known_cases_say_what_a_cluster_holds():
    vectors, group, _ = planted(3, 1, 20)
    records = pd.DataFrame(
        {
            "case_id": [str(row) for row in range(60)],
            "modality": "ct",
            "labels": [(f"kind {kind}",) for kind in group],
            "source": "s",
            "group": "",
            "split": "",
        }
    )

    def collection(records: pd.DataFrame, fingerprint: str = "f") -> Collection:
        about = Description("", "", False, fingerprint)
        return Collection(about, records, vectors, vectors[:, :2], None, FaissEngine.build(vectors))

    known, bare = collection(records), collection(records.assign(labels=pd.Series([()] * 60)))
    near = labels_of_known(group, bare, known)
    assert near == [("kind 0",), ("kind 1",), ("kind 2",)]
    names = name_clusters(group, bare.columns, near)
    assert names[1] == ClusterName(("kind 1",), by_known=True)
    assert labels_of_known(group, bare, collection(records, "another")) == [(), (), ()]
    assert [name.by_known for name in name_clusters(group, known.columns, near)] == [False] * 3
    assert known_cases(known) is None  # has labels
    assert known_cases(bare) is None  # another model's
    atlas = load_collection(BUNDLED_ATLAS)
    of_same = known_cases(collection(records.assign(labels=pd.Series([()] * 60)), atlas.fingerprint))
    assert of_same is not None
    assert len(of_same) == len(atlas)
