import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError, ModelError
from mermed_core.imaging.thumbnails import make_thumbnail
from mermed_core.models.embedder import embed_manifest
from mermed_core.models.preprocessing import paper_normalisation


def test_one_image_is_embedded_as_in_a_batch_and_as_by_hand(embedder, phantoms):
    part = phantoms.select([0, 30, 60])
    vectors = embed_manifest(embedder, part, batch_size=2).vectors
    for position in range(3):
        pixels = np.asarray(Image.open(io.BytesIO(part.image_source(position))).convert("RGB"))
        single = embedder.embed(pixels, None)
        np.testing.assert_allclose(vectors[position], single, atol=1e-5)
        with torch.inference_mode():
            raw = embedder.backbone(embedder.prepare(pixels, None)[None])[0].numpy()
        np.testing.assert_allclose(single, raw / np.linalg.norm(raw), atol=1e-5)


def test_workers_change_nothing(embedder, phantoms):
    part = phantoms.select(list(range(6)))
    alone = embed_manifest(embedder, part).vectors
    np.testing.assert_array_equal(alone, embed_manifest(embedder, part, workers=1).vectors)


def upside_down_from_the_second_on(pixels, position):
    return pixels[::-1] if position else pixels


def test_an_image_can_be_altered_before_it_is_prepared(embedder, phantoms):
    part = phantoms.select([0, 30])
    options = {"augment": upside_down_from_the_second_on, "thumbnails": True}
    altered = embed_manifest(embedder, part, **options)
    pixels = np.asarray(Image.open(io.BytesIO(part.image_source(1))).convert("RGB"))
    np.testing.assert_allclose(altered.vectors[0], embed_manifest(embedder, part).vectors[0], atol=1e-5)
    np.testing.assert_allclose(altered.vectors[1], embedder.embed(pixels[::-1], "fundus"), atol=1e-5)
    assert altered.thumbnails[1] == make_thumbnail(np.ascontiguousarray(pixels[::-1]))
    in_a_worker = embed_manifest(embedder, part, workers=1, **options)
    np.testing.assert_array_equal(altered.vectors, in_a_worker.vectors)


def test_broken_images_are_left_out_and_named(embedder, phantoms):
    good = phantoms.image_source(0)
    frame = pd.DataFrame({"image": [good, b"no image", good], "modality": "ct", "source": "made_up"})
    manifest = Manifest.from_frame(frame)
    embeddings = embed_manifest(embedder, manifest, thumbnails=True)
    assert len(embeddings.vectors) == len(embeddings.manifest) == len(embeddings.thumbnails) == 2
    assert list(embeddings.broken) == [manifest.frame["case_id"].iloc[1]]


def test_nothing_readable_is_a_sentence(embedder):
    frame = pd.DataFrame({"image": [b"no image"], "modality": "ct", "source": "made_up"})
    with pytest.raises(ManifestError, match="Not one image"):
        embed_manifest(embedder, Manifest.from_frame(frame))


def test_a_folder_without_a_model_is_a_sentence(tmp_path, embedder):
    with pytest.raises(ModelError):
        type(embedder).load(tmp_path)


def test_an_encoder_that_normalises_each_modality_embeds_each_in_its_way(embedder, phantoms):
    preprocessing = replace(embedder.config.preprocessing, modalities=paper_normalisation())
    config = replace(embedder.config, preprocessing=preprocessing)
    own = type(embedder)(embedder.backbone, config, "made up", embedder.device)
    assert embedder.preprocessing_is_shared
    assert not own.preprocessing_is_shared
    part = phantoms.select([0, len(phantoms) - 1])
    neutral = embed_manifest(own, part, neutral=True).vectors
    np.testing.assert_allclose(neutral, embed_manifest(embedder, part).vectors, atol=1e-5)
    by_modality = embed_manifest(own, part).vectors
    for position, key in enumerate(("ct", "dermatology")):
        pixels = np.asarray(Image.open(io.BytesIO(part.image_source(position))).convert("RGB"))
        np.testing.assert_allclose(by_modality[position], own.embed(pixels, key), atol=1e-5)
        assert not np.allclose(by_modality[position], neutral[position], atol=1e-3)
