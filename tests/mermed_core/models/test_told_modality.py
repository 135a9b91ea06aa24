"""Modalities that the model tells from embeddings that are there."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from mermed_core.data.manifest import Manifest
from mermed_core.data.validation import BY_FILE, BY_MODEL, KIND, KNOWN, TOLD_BY, UNKNOWN, UNUSUAL
from mermed_core.errors import ModelError
from mermed_core.inference.predictor import Predictor
from mermed_core.modalities import LEFT_OPEN
from mermed_core.models import told_modality
from mermed_core.models.embedder import embed_manifest
from mermed_core.models.told_modality import ModalityTeller


@pytest.fixture(scope="module")
def embeddings(embedder, phantoms):
    return embed_manifest(embedder, phantoms)


def unstated(manifest: Manifest, rows: slice) -> Manifest:
    frame = manifest.frame.copy()
    frame.loc[frame.index[rows], "modality"] = LEFT_OPEN
    return Manifest.from_frame(frame, unstated=True)


def test_it_says_what_an_analysis_of_the_image_says(embedder, fitted, embeddings, monkeypatch):
    monkeypatch.setattr(told_modality, "_BLOCK", 7)  # more than one block, and a last one that is shorter
    told = ModalityTeller.of(embedder, fitted.parts).tell(embeddings.vectors)
    predictor = Predictor(embedder, fitted.parts, None)
    for row in range(0, len(told.kinds), 9):
        analysis = predictor.analyse(predictor.embed(embeddings.manifest.read_image(row)))
        assert next(iter(analysis.modality)) == told.modalities[row]
        assert analysis.in_distribution == (told.kinds[row] != UNKNOWN)
        assert analysis.reason.startswith("It is unusual") == (told.kinds[row] == UNUSUAL)


def test_strange_pictures_are_of_no_kind(embedder, fitted, make_strange):
    pictures = [each for some in make_strange(5).values() for each in some]
    vectors = np.stack([embedder.embed(each, None) for each in pictures])
    kinds = ModalityTeller.of(embedder, fitted.parts).tell(vectors).kinds
    assert (kinds == UNKNOWN).mean() > 0.5


def test_what_is_stated_stays_and_each_row_says_of_whom_it_is(embedder, fitted, embeddings, phantoms):
    table = replace(embeddings, manifest=unstated(phantoms, slice(0, 100)))
    complete = ModalityTeller.of(embedder, fitted.parts).complete(table).manifest
    assert not complete.unstated
    assert complete.frame[TOLD_BY].tolist() == [BY_MODEL] * 100 + [BY_FILE] * 40
    assert complete.frame["modality"][100:].tolist() == phantoms.frame["modality"][100:].tolist()
    assert (complete.frame["modality"][:100] == phantoms.frame["modality"][:100]).mean() > 0.9
    assert set(complete.frame[KIND]) <= {KNOWN, UNUSUAL, UNKNOWN}


def test_a_part_of_which_nothing_was_readable_stays_empty(embedder, fitted, embeddings, phantoms):
    manifest = unstated(phantoms, slice(0, 3)).select([])
    none = replace(embeddings, vectors=embeddings.vectors[:0], manifest=manifest)
    assert len(ModalityTeller.of(embedder, fitted.parts).complete(none).manifest) == 0


def test_a_model_that_prepares_each_modality_in_another_way_says_so(fitted):
    other = cast(Any, SimpleNamespace(preprocessing_is_shared=False))
    with pytest.raises(ModelError, match="prepares the images of each modality in another way"):
        ModalityTeller.of(other, fitted.parts)
