"""Unknown input: the detector is asked as when serving."""

from dataclasses import replace

import numpy as np
import pytest

from mermed_core.data.phantoms import draw_phantom
from mermed_core.evaluation.protocols import unknown_input
from mermed_core.evaluation.protocols.unknown_input import rejection, rejection_by_kind
from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.predictor import Predictor
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.models.heads import MODALITY_TASK


def test_the_share_is_that_of_the_predictor(embedder, fitted, make_strange):
    predictor = Predictor(embedder, fitted.parts, None)
    known = [draw_phantom(key, seed=900).pixels for key in MODALITY_KEYS]
    pictures = [*make_strange(9)["squares of 1"], *known]
    analyses = [predictor.analyse(MedicalImage(pixels, 1, 0, "PNG", ())) for pixels in pictures]
    rejected = [not analysis.in_distribution for analysis in analyses]
    assert 0 < np.mean(rejected) < 1
    head = fitted.parts.heads.get(MODALITY_TASK)
    assert rejection(embedder, head, fitted.parts.detector, pictures) == pytest.approx(np.mean(rejected))
    assert np.isnan(rejection(embedder, head, fitted.parts.detector, []))


def test_the_encoder_is_asked_once_without_assuming_a_modality(embedder, fitted):
    asked = []

    class Spy(type(embedder)):
        def embed(self, pixels, modality):
            asked.append(modality)
            return super().embed(pixels, modality)

    spy = Spy(embedder.backbone, embedder.config, "spy", embedder.device)
    head = fitted.parts.heads.get(MODALITY_TASK)
    rejection(spy, head, fitted.parts.detector, [np.zeros((8, 8, 3), np.uint8)])
    assert asked == [None]


def test_every_kind_has_its_share(monkeypatch, embedder, fitted, make_strange):
    few = make_strange(9, 1)
    monkeypatch.setattr(unknown_input, "unknown_images", lambda seed: few)
    head = fitted.parts.heads.get(MODALITY_TASK)
    everyone = replace(fitted.parts.detector, threshold=np.array([np.inf], np.float32))
    assert rejection_by_kind(embedder, head, everyone) == dict.fromkeys([*few, "MR"], 1.0)
