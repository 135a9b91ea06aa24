"""Images are embedded once: what is kept is what would be made, and a change of anything makes it anew."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError
from mermed_core.models import embedding_blocks as blocks
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


class Killed(BaseException):
    """Stands for a kill: nothing cleans up after it that would not be cleaned up after a kill."""


@pytest.fixture
def stopped(embedder, few, monkeypatch):
    """Embeds in parts of two images, and is stopped after so many; returns what is to be embedded."""
    monkeypatch.setattr(blocks, "_LEAST", 2)
    monkeypatch.setattr(blocks, "_SECONDS", 0)
    monkeypatch.setattr(blocks, "_RARELY", 0)
    monkeypatch.setattr("mermed_core.models.embedder.batch_for", lambda _: 1)
    one = Manifest.from_frame(few.frame.assign(source="one"))

    def stop(cache: EmbeddingCache, after: int, manifest: Manifest = one, **options) -> Manifest:
        add, seen = blocks.UnfinishedBlock.add, []

        def added(self, batch):
            seen.append(batch)
            if len(seen) > after:
                raise Killed
            add(self, batch)

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(blocks.UnfinishedBlock, "add", added)
            cache.embed(embedder, manifest, **options)
        return manifest

    return stop


def test_what_was_stopped_within_a_block_goes_on_there(embedder, counted, tmp_path, stopped):
    cache = EmbeddingCache(tmp_path / "vectors")
    manifest = stopped(cache, 5)
    assert len(list(cache.folder.iterdir())) == 2  # two images each; the fifth is lost
    counted.clear()
    made = cache.embed(embedder, manifest)
    assert counted == manifest.frame["case_id"].tolist()[4:]
    np.testing.assert_allclose(made.vectors, embed_manifest(embedder, manifest).vectors, atol=1e-6)
    assert made.manifest == manifest
    assert len(list(cache.folder.iterdir())) == 1  # the whole block, and no part of it


def test_a_block_that_is_stopped_again_and_again_is_embedded_once(embedder, counted, tmp_path, stopped):
    cache = EmbeddingCache(tmp_path / "vectors")
    frame = stopped(cache, 2).frame.copy()
    frame["image"] = [*frame["image"][:3], b"nothing", *frame["image"][4:]]
    manifest = stopped(cache, 2, Manifest.from_frame(frame))
    stopped(cache, 4, manifest)
    counted.clear()
    made = cache.embed(embedder, manifest)
    assert counted == frame["case_id"].tolist()[6:]
    assert list(made.broken) == [frame["case_id"].iat[3]]
    assert made.manifest.frame["case_id"].tolist() == frame["case_id"].drop(index=3).tolist()


def test_the_rest_of_a_block_of_copies_is_changed_at_its_own_positions(embedder, few, tmp_path, stopped):
    manifest = stopped(EmbeddingCache(tmp_path / "vectors"), 5, copy=Copy("darker", darker))
    made = EmbeddingCache(tmp_path / "vectors").embed(embedder, manifest, copy=Copy("darker", darker))
    whole = EmbeddingCache(tmp_path / "whole").embed(embedder, manifest, copy=Copy("darker", darker))
    np.testing.assert_allclose(made.vectors, whole.vectors, atol=1e-6)


def test_a_rest_that_cannot_be_read_leaves_what_could(embedder, few, tmp_path, stopped):
    frame = few.frame.assign(source="one")
    frame["image"] = [*frame["image"][:4], *[b"nothing"] * (len(frame) - 4)]
    cache = EmbeddingCache(tmp_path / "vectors")
    made = cache.embed(embedder, stopped(cache, 4, Manifest.from_frame(frame)))
    assert made.manifest.frame["case_id"].tolist() == frame["case_id"].tolist()[:4]
    assert list(made.broken) == frame["case_id"].tolist()[4:]


@pytest.mark.parametrize("damage", ["cut", "other images"])
def test_a_damaged_part_of_a_block_is_made_again(embedder, counted, tmp_path, caplog, stopped, damage):
    cache = EmbeddingCache(tmp_path / "vectors")
    manifest = stopped(cache, 4)
    first, second = sorted(cache.folder.iterdir())
    if damage == "cut":
        second.write_bytes(second.read_bytes()[:-20])
    else:
        with np.load(second) as stored:
            np.savez(first, **{**stored, "rows": stored["rows"] + 1, "name": np.array(first.stem)})
    counted.clear()
    made = cache.embed(embedder, manifest)
    assert counted == manifest.frame["case_id"].tolist()[2 if damage == "cut" else 0 :]
    np.testing.assert_allclose(made.vectors, embed_manifest(embedder, manifest).vectors, atol=1e-6)
    assert "is not used" in caplog.text or "and not used" in caplog.text
    assert len(list(cache.folder.iterdir())) == 1


def test_parts_that_stayed_beside_a_whole_block_are_deleted(embedder, counted, tmp_path, stopped):
    cache = EmbeddingCache(tmp_path / "vectors")
    manifest = stopped(cache, 4)
    parts = {path: path.read_bytes() for path in cache.folder.iterdir()}
    cache.embed(embedder, manifest)
    for path, content in parts.items():
        path.write_bytes(content)  # as if it had been killed before it deleted them
    counted.clear()
    cache.embed(embedder, manifest)
    assert counted == []
    assert len(list(cache.folder.iterdir())) == 1


def test_parts_are_written_rarely_where_writing_takes_long(embedder, few, tmp_path, monkeypatch):
    """A part costs time that the encoder does not have: it may take a fiftieth of it."""
    clock = iter(range(0, 1000, 10))  # each look at the clock comes ten seconds after the one before
    monkeypatch.setattr(blocks, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    monkeypatch.setattr(blocks, "_LEAST", 1)
    monkeypatch.setattr("mermed_core.models.embedder.batch_for", lambda _: 1)
    written: list[Path] = []
    write = blocks.write_block
    monkeypatch.setattr(
        blocks, "write_block", lambda path, *given: (written.append(path), write(path, *given))
    )
    cache = EmbeddingCache(tmp_path / "vectors")
    cache.embed(embedder, Manifest.from_frame(few.frame.assign(source="one")))
    assert len(few) > 4
    assert len(written) == 1  # the next is due after 500 seconds


def test_a_broken_image_is_named_once(embedder, few, tmp_path, caplog):
    frame = few.frame.assign(source="one")
    frame["image"] = [b"nothing", *frame["image"][1:]]
    EmbeddingCache(tmp_path / "vectors").embed(embedder, Manifest.from_frame(frame))
    assert caplog.text.count(frame["case_id"].iat[0]) == 1


def test_a_check_that_embeds_nothing_does_not_say_that_it_does(embedder, few, tmp_path, caplog):
    cache = EmbeddingCache(tmp_path / "vectors")
    cache.embed(embedder, few)
    path = min(cache.folder.iterdir())
    path.write_bytes(path.read_bytes()[:-20])
    assert len(cache.missing(embedder, [few])) == 1
    assert "is damaged" in caplog.text
    assert "embedded again" not in caplog.text


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


@pytest.mark.parametrize("damage", ["cut", "other encoder", "lost row", "encrypted", "compressed"])
def test_a_part_that_is_not_whole_is_made_again(embedder, few, counted, tmp_path, caplog, damage):
    cache = EmbeddingCache(tmp_path / "vectors")
    whole = cache.embed(embedder, few)
    path = min((tmp_path / "vectors").iterdir())
    with np.load(path) as stored:
        parts = dict(stored)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage in ("encrypted", "compressed"):  # by one bit that flipped in the archive's table
        content = bytearray(path.read_bytes())
        content[content.rindex(b"PK\1\2") + (8 if damage == "encrypted" else 10)] ^= 1
        path.write_bytes(content)
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


def test_a_part_of_as_many_other_images_is_made_again(embedder, few, counted, tmp_path, caplog):
    """Somebody has given it the name of another, and its encoder and number of images are right."""
    frame, cache = few.frame.assign(source="one"), EmbeddingCache(tmp_path / "vectors")
    mine, theirs = (Manifest.from_frame(frame.iloc[rows]) for rows in (slice(0, 4), slice(4, 8)))
    whole = cache.embed(embedder, mine)
    (part,) = cache.folder.iterdir()
    cache.embed(embedder, theirs)
    (other,) = set(cache.folder.iterdir()) - {part}
    part.write_bytes(other.read_bytes())
    assert len(cache.missing(embedder, [mine, theirs])) == 1
    counted.clear()
    again = cache.embed(embedder, mine)
    assert counted == mine.frame["case_id"].tolist()
    np.testing.assert_allclose(again.vectors, whole.vectors, atol=1e-6)
    assert "does not hold what its name says" in caplog.text


def test_a_block_of_broken_images_is_not_tried_again(embedder, few, counted, tmp_path):
    frame = few.frame.assign(image=[b"nothing"] * len(few))
    broken = Manifest.from_frame(frame)
    cache = EmbeddingCache(tmp_path / "vectors")
    share = cache.embed_share(embedder, [broken], Shard())
    assert (share.images, len(share.broken)) == (0, len(few))
    assert cache.missing(embedder, [broken]) == []
