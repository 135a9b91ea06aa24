"""What tells two selections apart, against shares and pictures worked out by hand."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mermed_core.collections.collection import Collection, Description
from mermed_core.collections.compare import compare, mean_picture, separability
from mermed_core.errors import CollectionError
from mermed_core.search.faiss_engine import FaissEngine

HALF = 40
FIRST, SECOND = np.arange(HALF), np.arange(HALF, 2 * HALF)


def jpeg(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 20), (grey, grey, grey)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def collection_of(apart: float, thumbnails: list[bytes] | None = None, **columns: object) -> Collection:
    """Two halves whose vectors lie apart in one direction, beside noise."""
    random = np.random.default_rng(4)
    vectors = random.normal(size=(2 * HALF, 8)).astype(np.float32)
    vectors[FIRST, 0] += apart
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    records = pd.DataFrame(
        {
            "case_id": [f"c{i}" for i in range(2 * HALF)],
            "modality": ["ct"] * 2 * HALF,
            "labels": [("a", "b") if i < 10 else ("b",) if i < 70 else None for i in range(2 * HALF)],
            "source": ["here"] * HALF + ["there"] * HALF,
            "group": [f"p{i}" for i in range(2 * HALF)],
            "split": ["train", "test"] * HALF,
            "age": np.arange(2.0 * HALF),
            **columns,
        }
    )
    description = Description("", "", False, "")
    engine = FaissEngine.build(vectors)
    return Collection(description, records, vectors, vectors[:, :2].copy(), thumbnails, engine)


def test_columns_are_ranked_by_how_far_their_shares_lie_apart():
    found = compare(collection_of(0.0), FIRST, SECOND)
    assert found.cases == (40, 40)
    by_name = {column.name: column for column in found.columns}
    assert list(by_name)[-1] == "split"  # the same on both sides
    assert by_name["split"].distance == 0
    assert by_name["source"].distance == 1
    assert by_name["source"].values == {"here": (1.0, 0.0), "there": (0.0, 1.0)}
    assert "modality" not in by_name  # one value alone
    assert by_name["label"].values == {"a": (0.25, 0.0), "b": (1.0, 0.75), "": (0.0, 0.25)}
    assert by_name["age"].distance == pytest.approx(1)  # the halves share no tenth
    assert len(by_name["age"].values) == 10


def test_numbers_that_a_table_wrote_as_texts_are_compared_by_tenths():
    collection = collection_of(0.0)
    collection.records["dose"] = [str(i) for i in range(len(collection))]
    by_name = {column.name: column for column in compare(collection, FIRST, SECOND).columns}
    assert len(by_name["dose"].values) == 10
    assert by_name["dose"].distance == pytest.approx(1)


def test_dates_are_compared_by_tenths_that_are_listed_in_their_order():
    days = [f"2024-{1 + i // 28:02}-{1 + i % 28:02}" for i in range(2 * HALF)]
    days[5] = ""
    by_name = {each.name: each for each in compare(collection_of(0.0, taken=days), FIRST, SECOND).columns}
    names = list(by_name["taken"].values)
    assert names[0] == "2024-01-01 – 2024-01-09"  # of 79 dates the least eight, one of which is missing
    assert names == [*sorted(names[:10]), ""]
    assert by_name["taken"].values[names[0]] == (8 / HALF, 0.0)
    assert by_name["taken"].values[""] == (1 / HALF, 0.0)


def test_tenths_of_numbers_are_called_by_their_least_and_greatest_number():
    by_name = {each.name: each for each in compare(collection_of(0.0), FIRST, SECOND).columns}
    assert list(by_name["age"].values)[:2] == ["0 – 7", "8 – 15"]


def told_apart(collection: Collection) -> float:
    auroc = separability(collection, FIRST, SECOND)
    assert auroc is not None
    return auroc


def test_vectors_that_lie_apart_are_told_apart_and_others_are_not():
    assert told_apart(collection_of(9.0)) > 0.98
    assert 0.25 < told_apart(collection_of(0.0)) < 0.75


def test_the_classifier_never_sees_a_patient_of_both_sides_of_a_fold():
    """Twins of one patient on both sides: who learned from one would know the other."""
    twins = collection_of(0.0, group=[f"p{i % HALF}" for i in range(2 * HALF)], source="here")
    assert told_apart(twins) < 0.75


def test_one_patient_alone_cannot_be_judged():
    assert separability(collection_of(9.0), FIRST[:1], SECOND) is None
    assert separability(collection_of(9.0), FIRST, FIRST) is None


def test_the_mean_picture_is_the_mean():
    collection = collection_of(0.0, [jpeg(40)] * HALF + [jpeg(200)] * HALF)
    encoded = mean_picture(collection, np.arange(2 * HALF))
    assert encoded
    pixels = np.asarray(Image.open(io.BytesIO(encoded)))
    assert abs(pixels.astype(int) - 120).max() <= 2
    assert mean_picture(collection_of(0.0), FIRST) is None


def test_an_empty_selection_is_refused():
    with pytest.raises(CollectionError, match="needs a case"):
        compare(collection_of(0.0), FIRST, FIRST[:0])
