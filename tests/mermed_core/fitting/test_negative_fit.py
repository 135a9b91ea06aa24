import numpy as np
import pytest

from mermed_core.fitting.negative_fit import fit_negative_head
from mermed_core.models.embedder import Embeddings, embed_manifest
from mermed_core.models.heads import NEGATIVE_CLASSES, NEGATIVE_TASK


def embeddings(vectors: np.ndarray, manifest) -> Embeddings:
    return Embeddings(vectors.astype(np.float32), manifest, (), {})


def test_a_negative_is_told_from_what_separates_the_two(phantoms):
    grey = phantoms.select(np.flatnonzero(phantoms.frame["modality"].isin(["ct", "cxr"]))[:40])
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.3, (2, len(grey), 8))
    noise[1, :, 3] += 1.0
    head = fit_negative_head(*(embeddings(each, grey) for each in noise))
    assert head is not None
    assert (head.task, head.modality, head.classes) == (NEGATIVE_TASK, "", NEGATIVE_CLASSES)
    assert head.training_images == 2 * len(grey)
    asked = random.normal(0, 0.3, (200, 8))
    asked[100:, 3] += 1.0
    named = head.probabilities(asked)[:, 1] > 0.5
    assert np.mean(named == (np.arange(200) >= 100)) > 0.9


def test_without_grey_images_there_is_no_head(phantoms):
    none = embeddings(np.empty((0, 8)), phantoms.select(np.empty(0, int)))
    assert fit_negative_head(none, none) is None


def test_drawn_x_rays_and_their_negatives_are_told_apart(embedder, phantoms):
    films = phantoms.select(np.flatnonzero(phantoms.frame["modality"] == "cxr"))
    taken = embed_manifest(embedder, films)
    negatives = embed_manifest(embedder, films, augment=lambda pixels, _: 255 - pixels)
    half = np.arange(len(films)) % 2 == 0
    parts = [embeddings(each.vectors[half], films.select(half)) for each in (taken, negatives)]
    head = fit_negative_head(*parts)
    assert head is not None
    wrong = [head.probabilities(each.vectors[~half])[:, 1] for each in (taken, negatives)]
    assert np.mean(wrong[0] < 0.5) == pytest.approx(1, abs=0.1)
    assert np.mean(wrong[1] > 0.5) == pytest.approx(1, abs=0.1)
