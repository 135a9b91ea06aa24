"""Files of vectors from elsewhere: every kind is read alike, and what cannot be used is a sentence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from mermed_core.data.vector_file import MOST_NUMBERS, read_vectors
from mermed_core.errors import VectorsError

IDS = ["b", "a", "c"]
VECTORS = np.arange(1, 13, dtype=np.float64).reshape(3, 4)


def write(path: Path, vectors=VECTORS, ids=IDS) -> Path:
    match path.suffix:
        case ".npy":
            np.save(path, vectors)
        case ".npz":
            named: dict[str, Any] = {} if ids is None else {"case_ids": np.array(ids)}
            np.savez(path, vectors=vectors, **named)
        case ".safetensors":
            save_file({"vectors": vectors}, path, None if ids is None else {"case_ids": json.dumps(ids)})
        case _:
            columns = {"embedding": list(vectors)} | ({} if ids is None else {"case_id": ids})
            pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".safetensors", ".parquet"])
def test_vectors_are_found_by_the_ids_of_their_cases(tmp_path, suffix):
    found = read_vectors(write(tmp_path / f"theirs{suffix}"))
    np.testing.assert_array_equal(found.vectors, VECTORS)
    assert found.rows_of(pd.Series(["a", "b", "c"])).tolist() == [1, 0, 2]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".parquet"])
def test_without_ids_they_are_in_the_order_of_the_table(tmp_path, suffix):
    found = read_vectors(write(tmp_path / f"theirs{suffix}", ids=None))
    assert found.rows_of(pd.Series(["x", "y", "z"])).tolist() == [0, 1, 2]
    with pytest.raises(VectorsError, match=r"3 vectors, and the table has 2 images.*in the table's order"):
        found.rows_of(pd.Series(["x", "y"]))


def test_lists_of_a_fixed_size_are_read_too(tmp_path):
    column = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel().astype(np.float32)), 4)
    pq.write_table(pa.table({"vector": column}), tmp_path / "theirs.parquet")
    np.testing.assert_array_equal(read_vectors(tmp_path / "theirs.parquet").vectors, VECTORS)


@pytest.mark.parametrize("type_", [np.float16, np.float32, np.int32, np.uint8])
def test_any_real_number_will_do(tmp_path, type_):
    assert read_vectors(write(tmp_path / "theirs.npy", VECTORS.astype(type_))).vectors.dtype == type_


def test_a_case_without_a_vector_and_a_vector_without_a_case_are_named(tmp_path):
    found = read_vectors(write(tmp_path / "theirs.npz"))
    with pytest.raises(VectorsError, match=r"no vector of 'd' \(2 such"):
        found.rows_of(pd.Series(["a", "b", "d", "e"]))
    with pytest.raises(VectorsError, match=r"vector of 'b' \(2 such in all\), which the table"):
        found.rows_of(pd.Series(["a"]))


@pytest.mark.parametrize(
    ("vectors", "ids", "sentence"),
    [
        (np.where(VECTORS == 6, np.nan, VECTORS), IDS, r"row 1 of 'theirs.npz' .*not finite"),
        (np.where(VECTORS == 6, np.inf, VECTORS), IDS, "not finite"),
        (VECTORS * (VECTORS < 5), IDS, "row 1 .*all of its numbers are 0"),
        (VECTORS, ["a", "b"], "3 vectors and 2 case ids"),
        (VECTORS, ["a", "b", "a"], "two vectors of 'a'"),
        (VECTORS[0], IDS, "shape"),
        (VECTORS.astype(complex), IDS, "real numbers"),
        (np.ones((3, 1)), IDS, "have 1 numbers each"),
        (np.ones((3, MOST_NUMBERS + 1), np.float16), IDS, "there may be 2 to 16,384"),
        (np.ones((0, 4)), [], "shape"),
        (VECTORS.astype(object), IDS, "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_a_sentence(tmp_path, vectors, ids, sentence):
    with pytest.raises(VectorsError, match=sentence):
        read_vectors(write(tmp_path / "theirs.npz", vectors, ids))


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("theirs.pt", b"x", "must be .npy, .npz, .parquet, .safetensors"),
        ("theirs.npy", b"x", "cannot be read"),
        ("theirs.npz", b"x", "cannot be read"),
        ("theirs.parquet", b"x", "cannot be read"),
        ("theirs.safetensors", b"x", "cannot be read"),
    ],
)
def test_a_file_of_another_kind_or_a_damaged_one_is_a_sentence(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(VectorsError, match=sentence):
        read_vectors(tmp_path / name)


def test_a_pickle_is_never_opened(tmp_path):
    np.save(tmp_path / "theirs.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(VectorsError, match="cannot be read"):
        read_vectors(tmp_path / "theirs.npy")


def test_what_the_file_holds_instead_is_named(tmp_path):
    with pytest.raises(VectorsError, match="no file"):
        read_vectors(tmp_path / "none.npy")
    np.savez(tmp_path / "theirs.npz", features=VECTORS)
    with pytest.raises(VectorsError, match="no array 'vectors', but features"):
        read_vectors(tmp_path / "theirs.npz")
    save_file({"features": VECTORS}, tmp_path / "theirs.safetensors")
    with pytest.raises(VectorsError, match="no tensor 'vectors', but features"):
        read_vectors(tmp_path / "theirs.safetensors")
    for column, sentence in (
        ({"text": ["a"]}, "no column vector or vectors or embedding, but text"),
        ({"vector": [1.0]}, "does not hold a list in every row"),
        ({"vector": [[1.0, 2.0], [1.0]]}, "differ in length"),
        ({"vector": [[1.0, 2.0], [1.0], [1.0, 2.0, 3.0]]}, "differ in length"),
        ({"vector": [[1.0, None]]}, "empty or differ"),
    ):
        pq.write_table(pa.table(column), tmp_path / "theirs.parquet")
        with pytest.raises(VectorsError, match=sentence):
            read_vectors(tmp_path / "theirs.parquet")
