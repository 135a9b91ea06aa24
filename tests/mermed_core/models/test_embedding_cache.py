"""Images are embedded once: what is kept is what would be made, and a change of anything makes it anew."""

import numpy as np
import pytest

from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError
from mermed_core.models import embedding_cache as vectors
from mermed_core.models.embedder import Embedder, Embeddings, embed_manifest
from mermed_core.models.embedding_cache import Copy, EmbeddingCache
from mermed_core.models.shard import Shard


@pytest.fixture
def counted(monkeypatch):
    """The case ids of every image that is embedded."""
    embedded: list[str] = []

    def embed(embedder, manifest, **options):
        embedded.extend(manifest.frame["case_id"])
        return embed_manifest(embedder, manifest, **options)

    monkeypatch.setattr(vectors, "embed_manifest", embed)
    return embedded


@pytest.fixture
def few(phantoms):
    frame = phantoms.select(np.arange(0, len(phantoms), 9)).frame
    return Manifest.from_frame(frame.assign(split="train"))


def test_a_second_call_embeds_nothing_and_gives_the_same(embedder, few, counted, tmp_path):
    cache = EmbeddingCache(tmp_path / "vectors")
    first, second = cache.embed(embedder, few), cache.embed(embedder, few)
    assert sorted(counted) == sorted(few.frame["case_id"])
    np.testing.assert_array_equal(first.vectors, second.vectors)
    np.testing.assert_allclose(first.vectors, embed_manifest(embedder, few).vectors, atol=1e-6)
    assert first.manifest == second.manifest == few


def test_what_was_stopped_loses_one_block_at_most(embedder, few, counted, tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "_BLOCK", 2)
    cache = EmbeddingCache(tmp_path / "vectors")
    cache.embed(embedder, few)
    for path in sorted((tmp_path / "vectors").iterdir())[:2]:
        path.unlink()
    counted.clear()
    cache.embed(embedder, few)
    assert 2 <= len(counted) <= 4


def test_another_encoder_or_another_normalisation_is_embedded_anew(
    embedder, few, counted, tmp_path, make_model
):
    cache, other = EmbeddingCache(tmp_path / "vectors"), make_model(tmp_path / "other", seed=1)
    for each, neutral in ((embedder, False), (other, False), (embedder, True)):
        cache.embed(each, few, neutral=neutral)
    assert len(counted) == 3 * len(few)


def test_a_file_that_changed_is_embedded_anew(embedder, counted, tmp_path, few):
    image = few.frame["image"].iat[0]
    path = tmp_path / "image.png"
    path.write_bytes(image)
    frame = few.frame.iloc[:1].assign(image=None, path=str(path))
    cache = EmbeddingCache(tmp_path / "vectors")
    cache.embed(embedder, Manifest.from_frame(frame))
    path.write_bytes(few.frame["image"].iat[1])
    cache.embed(embedder, Manifest.from_frame(frame))
    assert len(counted) == 2


def test_broken_images_are_named_also_from_the_cache(embedder, few, tmp_path):
    frame = few.frame.copy()
    frame["image"] = [b"nothing", *frame["image"][1:]]
    cache = EmbeddingCache(tmp_path / "vectors")
    for _ in range(2):
        embeddings = cache.embed(embedder, Manifest.from_frame(frame))
        assert list(embeddings.broken) == [frame["case_id"].iat[0]]
        assert len(embeddings.vectors) == len(embeddings.manifest) == len(few) - 1


def test_how_many_are_broken_is_logged_also_from_the_cache(embedder, few, tmp_path, caplog):
    frame = few.frame.copy()
    first = ~frame["source"].duplicated() & (frame["source"] != frame["source"].iat[0])
    frame["image"] = frame["image"].where(~first, b"nothing")
    broken = frame["case_id"][first].tolist()
    cache = EmbeddingCache(tmp_path / "vectors")
    for _ in range(2):
        caplog.clear()
        cache.embed(embedder, Manifest.from_frame(frame))
        summary = caplog.messages[-1]
        assert summary.startswith(f"tiny: {len(broken)} of {len(few)} images cannot be read")
        assert sum(f"{case_id} (This is not an image" in summary for case_id in broken) == 3
    assert len(caplog.messages) == 1


def test_a_source_without_any_readable_image_leaves_the_others(embedder, few, tmp_path, caplog):
    frame = few.frame.copy()
    whole = frame["source"] == frame["source"].iat[0]
    frame["image"] = frame["image"].where(~whole, b"nothing")
    embeddings = EmbeddingCache(tmp_path / "vectors").embed(embedder, Manifest.from_frame(frame))
    assert list(embeddings.broken) == frame["case_id"][whole].tolist()
    assert embeddings.manifest.frame["case_id"].tolist() == frame["case_id"][~whole].tolist()
    assert f"{whole.sum()} of {len(few)} images cannot be read" in caplog.messages[-1]


def test_nothing_but_broken_images_is_an_error(embedder, few, tmp_path):
    frame = few.frame.assign(image=[b"nothing"] * len(few))
    with pytest.raises(ManifestError, match="Not one image"):
        EmbeddingCache(tmp_path / "vectors").embed(embedder, Manifest.from_frame(frame))


def test_a_split_can_be_had_alone(embedder, few, counted, tmp_path):
    frame = few.frame
    frame["split"] = np.where(np.arange(len(few)) % 2, "train", "val")
    divided = Manifest.from_frame(frame)
    cache = EmbeddingCache(tmp_path / "vectors")
    whole = cache.embed(embedder, divided)
    counted.clear()
    part = cache.embed(embedder, divided.split("val"))
    assert counted == []
    np.testing.assert_array_equal(part.vectors, whole.vectors[::2])


def darker(_: Manifest):
    return lambda pixels, position: (pixels * (0.3 + 0.2 * (position % 2))).astype(np.uint8)


def test_changed_copies_are_filed_beside_the_images_themselves(embedder, few, counted, tmp_path):
    cache = EmbeddingCache(tmp_path / "vectors")
    plain = cache.embed(embedder, few)
    files = set((tmp_path / "vectors").iterdir())
    first, second = (cache.embed(embedder, few, copy=Copy("darker", darker)) for _ in range(2))
    assert len(counted) == 2 * len(few)
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert not np.allclose(first.vectors, plain.vectors, atol=1e-3)
    added = set((tmp_path / "vectors").iterdir()) - files
    assert len(added) == len(files)
    cache.embed(embedder, few, copy=Copy("darker still", darker))
    assert len(counted) == 3 * len(few)
    np.testing.assert_array_equal(cache.embed(embedder, few).vectors, plain.vectors)
    assert len(counted) == 3 * len(few)


def test_a_copy_is_made_of_the_image_at_its_position(embedder, few, tmp_path):
    """The change of a block knows the block, also where an image before it cannot be read."""
    asked = []

    def named(block: Manifest):
        cases = block.frame["case_id"].tolist()
        return lambda pixels, position: asked.append((cases[position], pixels.tobytes())) or pixels

    frame = few.frame
    frame["source"] = "one"
    frame["image"] = [b"nothing", *frame["image"][1:]]
    broken = Manifest.from_frame(frame)
    EmbeddingCache(tmp_path / "vectors").embed(embedder, broken, copy=Copy("named", named))
    assert sorted(asked) == sorted(
        (case_id, broken.read_image(row).pixels.tobytes())
        for row, case_id in enumerate(frame["case_id"])
        if row
    )


def test_images_as_they_are_keep_the_file_names_of_earlier_versions(embedder, few, tmp_path, monkeypatch):
    """What was embedded before there were copies is not embedded again."""
    known = Embedder(embedder.backbone, embedder.config, "0" * 64, embedder.device)
    content = {"case_id": ["a", "b"], "image": [b"first", b"second"]}
    manifest = Manifest.from_frame(few.frame.iloc[:2].assign(source="set", modality="ct", **content))
    made = Embeddings(np.ones((2, 4), np.float32), manifest, (), {})
    monkeypatch.setattr(vectors, "embed_manifest", lambda *_, **__: made)
    for neutral in (False, True):
        EmbeddingCache(tmp_path).embed(known, manifest, neutral=neutral)
    assert {path.stem for path in tmp_path.iterdir()} == {
        "43950988d4d0108b89eb691b5b4f6297",
        "7f826fa1f5da263973cb2b608bdff77f",
    }


def test_a_file_that_is_not_there_is_a_broken_image(embedder, few, tmp_path):
    frame = few.frame.iloc[:2].assign(source="one")
    missing = str(tmp_path / "missing.png")
    frame = frame.assign(image=[None, frame["image"].iloc[1]], path=[missing, None])
    embeddings = EmbeddingCache(tmp_path / "vectors").embed(embedder, Manifest.from_frame(frame))
    assert list(embeddings.broken) == [frame["case_id"].iloc[0]]


def test_shards_share_the_work_and_the_whole_is_found(embedder, few, counted, tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "_BLOCK", 2)
    cache = EmbeddingCache(tmp_path / "vectors")
    halves = [few.select(np.arange(len(few) // 2)), few.select(np.arange(len(few) // 2, len(few)))]
    blocks = len(cache.missing(embedder, halves))
    shares = [cache.embed_share(embedder, halves, Shard(index, 3)) for index in range(2)]
    assert all(number % 3 == 2 for number in cache.missing(embedder, halves))
    shares.append(cache.embed_share(embedder, halves, Shard(2, 3)))
    assert cache.missing(embedder, halves) == []
    assert sum(share.blocks for share in shares) == blocks
    assert sum(share.images for share in shares) == len(few) == len(counted)
    assert [share.there for share in shares] == [0, 0, 0]
    counted.clear()
    assert cache.embed_share(embedder, halves, Shard(1, 3)).there == shares[1].blocks
    found = np.concatenate([cache.embed(embedder, half).vectors for half in halves])
    assert counted == []
    np.testing.assert_allclose(found, embed_manifest(embedder, few).vectors, atol=1e-6)


@pytest.mark.parametrize("damage", ["cut", "other encoder", "lost row"])
def test_a_part_that_is_not_whole_is_made_again(embedder, few, counted, tmp_path, caplog, damage):
    cache = EmbeddingCache(tmp_path / "vectors")
    whole = cache.embed(embedder, few)
    path = min((tmp_path / "vectors").iterdir())
    with np.load(path) as stored:
        parts = dict(stored)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "other encoder":
        np.savez(path, **{**parts, "fingerprint": np.array("another")})
    else:
        np.savez(path, **{**parts, "rows": parts["rows"][1:], "vectors": parts["vectors"][1:]})
    assert len(cache.missing(embedder, [few])) == 1
    counted.clear()
    again = cache.embed(embedder, few)
    assert len(counted) == len(parts["rows"])
    np.testing.assert_allclose(again.vectors, whole.vectors, atol=1e-6)
    assert "embedded again" in caplog.text


def test_a_block_of_broken_images_is_not_tried_again(embedder, few, counted, tmp_path):
    frame = few.frame.assign(image=[b"nothing"] * len(few))
    broken = Manifest.from_frame(frame)
    cache = EmbeddingCache(tmp_path / "vectors")
    share = cache.embed_share(embedder, [broken], Shard())
    assert (share.images, len(share.broken)) == (0, len(few))
    assert cache.missing(embedder, [broken]) == []
