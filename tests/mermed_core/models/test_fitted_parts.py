"""All that was fitted is written together and read together."""

import numpy as np
import pytest

from mermed_core.errors import ModelError
from mermed_core.models.fitted_parts import FittedParts


def test_what_was_fitted_answers_alike_when_it_is_read_again(fitted, embedder, tmp_path):
    fitted.parts.save(tmp_path)
    width = embedder.backbone.dim
    again = FittedParts.load(tmp_path, width)
    vectors = np.random.default_rng(0).normal(size=(6, width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for left, right in zip(fitted.parts.heads.heads, again.heads.heads, strict=True):
        np.testing.assert_array_equal(left.logits(vectors), right.logits(vectors))
    logits = fitted.parts.heads.get("modality").logits(vectors)
    np.testing.assert_allclose(
        again.detector.scores(vectors, logits), fitted.parts.detector.scores(vectors, logits), atol=0.02
    )
    assert again.space.digest == fitted.parts.space.digest
    np.testing.assert_allclose(again.space.project(vectors), fitted.parts.space.project(vectors), atol=1e-6)
    assert [scope.task for scope in again.scopes] == [scope.task for scope in fitted.parts.scopes]


def test_a_folder_without_them_says_how_to_fit_them(tmp_path):
    with pytest.raises(ModelError, match="mermed fit"):
        FittedParts.load(tmp_path, 4)
