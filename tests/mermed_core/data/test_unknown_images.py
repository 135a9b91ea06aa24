"""Unknown input: what is in the sets, and that the detector is asked as when serving."""

from dataclasses import replace

import numpy as np
import pytest

from mermed_core.data.phantoms import draw_phantom
from mermed_core.evaluation.protocols import unknown_input
from mermed_core.evaluation.protocols.unknown_input import (
    rejection,
    rejection_by_kind,
    unknown_images,
    unknown_medical,
)
from mermed_core.imaging.reader import MedicalImage
from mermed_core.inference.predictor import Predictor
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.models.heads import MODALITY_TASK


@pytest.fixture(scope="module")
def images():
    return unknown_images(3)


def test_there_are_about_two_hundred_of_every_kind_and_all_can_be_embedded(images):
    counts = {kind: len(pictures) for kind, pictures in images.items()}
    assert 180 <= sum(counts.values()) <= 220
    assert min(counts.values()) >= 3
    for pictures in images.values():
        for pixels in pictures:
            assert pixels.dtype == np.uint8
            assert pixels.ndim == 3
            assert pixels.shape[2] == 3
            assert min(pixels.shape[:2]) >= 32


def test_no_two_are_the_same(images):
    everything = [pixels.tobytes() for pictures in images.values() for pixels in pictures]
    assert len(set(everything)) == len(everything)


def test_the_seed_decides(monkeypatch):
    few = {kind: names[:1] for kind, names in unknown_input._PICTURES.items()}
    monkeypatch.setattr(unknown_input, "_PICTURES", few)
    monkeypatch.setattr(unknown_input, "_DRAWN", 2)
    monkeypatch.setattr(unknown_input, "_CROPS", 2)
    images, again, other = (unknown_images(seed) for seed in (3, 3, 4))
    for kind, pictures in images.items():
        for first, second in zip(pictures, again[kind], strict=True):
            np.testing.assert_array_equal(first, second)
    assert not np.array_equal(images["solid colours"][0], other["solid colours"][0])


def test_documents_have_ink_on_paper(images):
    for pixels in images["documents"][2:]:
        colours, counts = np.unique(pixels @ (1, 256, 65536), return_counts=True)
        assert len(colours) > 2
        assert 0.5 < counts.max() / counts.sum() < 0.99


def test_the_medical_images_are_mr_and_each_is_there_once(tmp_path, make_dicom):
    values = np.random.default_rng(0).integers(0, 200, (2, 40, 40), dtype=np.uint8)
    for name, picture, modality in (("a", 0, "MR"), ("b", 0, "MR"), ("c", 1, "MR"), ("d", 1, "CT")):
        (tmp_path / f"{name}.dcm").write_bytes(make_dicom(values[picture], Modality=modality))
    (tmp_path / "e.dcm").write_bytes(b"no DICOM file")
    (tmp_path / "f.dcm").write_bytes(make_dicom(values[0], Modality="MR")[:-900])
    assert len(unknown_medical(tmp_path)) == 2
    assert 1 <= len(unknown_medical()) <= 9


def test_the_share_is_that_of_the_predictor(embedder, fitted, images):
    predictor = Predictor(embedder, fitted.heads, fitted.detector, None)
    strange = [*images["noise"][:6], *images["photographs"][:6]]
    known = [draw_phantom(key, seed=900).pixels for key in MODALITY_KEYS]
    pictures = strange + known
    analyses = [predictor.analyse(MedicalImage(pixels, 1, 0, "PNG", ())) for pixels in pictures]
    rejected = [not analysis.in_distribution for analysis in analyses]
    assert 0 < np.mean(rejected) < 1
    head = fitted.heads.get(MODALITY_TASK)
    assert rejection(embedder, head, fitted.detector, pictures) == pytest.approx(np.mean(rejected))
    assert np.isnan(rejection(embedder, head, fitted.detector, []))


def test_an_encoder_that_normalises_each_modality_is_asked_in_the_modality_named(embedder, fitted):
    asked = []

    class Spy(type(embedder)):
        def embed(self, pixels, modality):
            asked.append(modality)
            return super().embed(pixels, modality)

    spy = Spy(embedder.backbone, embedder.config, "spy", embedder.device)
    head = fitted.heads.get(MODALITY_TASK)
    sure = replace(head, bias=np.where(np.array(head.classes) == "oct", 1e6, 0).astype(np.float32))
    rejection(spy, sure, fitted.detector, [np.zeros((8, 8, 3), np.uint8)])
    assert asked == [None, "oct"]


def test_every_kind_has_its_share(monkeypatch, embedder, fitted, images):
    few = {kind: pictures[:1] for kind, pictures in images.items()}
    monkeypatch.setattr(unknown_input, "unknown_images", lambda seed: few)
    head = fitted.heads.get(MODALITY_TASK)
    everyone = replace(fitted.detector, threshold=-1.0)
    assert rejection_by_kind(embedder, head, everyone) == dict.fromkeys([*images, "MR"], 1.0)
