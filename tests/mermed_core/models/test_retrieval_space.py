"""The space in which images are compared: a projection that can be worked out by hand and is kept whole."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from mermed_core.errors import ModelError
from mermed_core.models.retrieval_space import (
    RETRIEVAL_SPACE,
    RetrievalSpace,
    load_retrieval_space,
    save_retrieval_space,
)


def space() -> RetrievalSpace:
    return RetrievalSpace(np.array([1, 0, 0], np.float32), np.array([[1, 0, 0], [0, 2, 0]], np.float32))


def test_it_projects_as_by_hand():
    projected = space().project(np.array([[4, 2, 9], [1, 0, 5]], np.float32))
    # (3, 0) + (0, 4) of length 5; what the projection does not see stays at the origin.
    np.testing.assert_allclose(projected, [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert projected.dtype == np.float32
    assert space().dim == 2


def test_the_identity_changes_nothing():
    identity = RetrievalSpace.identity(5)
    vectors = np.random.default_rng(0).normal(size=(3, 5))
    np.testing.assert_array_equal(identity.project(vectors), vectors)
    assert (identity.dim, identity.digest) == (5, "")
    assert identity.fingerprint("encoder") == "encoder"


def test_its_digest_changes_with_any_number():
    digest = space().digest
    assert len(digest) == 8
    assert int(digest, 16) >= 0
    assert space().digest == digest
    assert space().fingerprint("encoder") == f"encoder-{digest}"
    for part in ("mean", "basis"):
        other = space()
        getattr(other, part)[0] += 0.5
        assert other.digest != digest


def test_it_comes_back_as_it_was(tmp_path):
    before = space()
    save_retrieval_space(tmp_path, before)
    after = load_retrieval_space(tmp_path, 3)
    assert after.digest == before.digest
    vectors = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    np.testing.assert_array_equal(after.project(vectors), before.project(vectors))


def test_the_identity_needs_no_file(tmp_path):
    save_retrieval_space(tmp_path, RetrievalSpace.identity(4))
    assert list(tmp_path.iterdir()) == []
    assert load_retrieval_space(tmp_path, 4).dim == 4
    assert load_retrieval_space(tmp_path, 4).basis is None


@pytest.mark.parametrize("content", [b"", b"nothing", b"\0" * 64])
def test_a_damaged_file_is_a_sentence(tmp_path, content):
    (tmp_path / RETRIEVAL_SPACE).write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        load_retrieval_space(tmp_path, 3)


def test_a_file_that_lacks_an_array_is_damaged(tmp_path):
    save_file({"mean": np.zeros(3, np.float32)}, tmp_path / RETRIEVAL_SPACE)
    with pytest.raises(ModelError, match="damaged"):
        load_retrieval_space(tmp_path, 3)


def test_a_projection_of_other_embeddings_is_refused(tmp_path):
    save_retrieval_space(tmp_path, space())
    with pytest.raises(ModelError, match="length 4"):
        load_retrieval_space(tmp_path, 4)
    save_file(
        {"mean": np.zeros(3, np.float32), "basis": np.ones((2, 4), np.float32)}, tmp_path / RETRIEVAL_SPACE
    )
    with pytest.raises(ModelError, match="length 3"):
        load_retrieval_space(tmp_path, 3)
