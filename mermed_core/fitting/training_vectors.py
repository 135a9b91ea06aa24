"""Embeddings that heads and detector are fitted on: of images, of changed copies, and of unknown kinds."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from tqdm import tqdm

from mermed_core.data.manifest import Manifest
from mermed_core.data.unknown_images import unknown_images, unknown_medical
from mermed_core.fitting.acquisition_changes import acquired_elsewhere
from mermed_core.fitting.detector_fit import KnownVectors, UnknownVectors
from mermed_core.fitting.image_changes import change, grey_world
from mermed_core.modalities import MODALITIES
from mermed_core.models.embedder import Embedder, Embeddings, embed_manifest
from mermed_core.models.embedding_cache import Copy, EmbeddingCache

# Training images of a source that the detector learns from, and of these how many it also sees changed.
_DETECTOR_IMAGES = 250
_CHANGED_IMAGES = 100
_ROUNDS = 2
# Heads see every training image of these modalities with balanced colours too. Of pathology that gained
# nothing: there the colour is the stain.
_BALANCED = ("dermatology",)


@dataclass(frozen=True)
class TrainingVectors:
    """Everything embedded that a model is fitted on.

    Attributes:
        by_modality: vectors of all images, each normalised as its modality.
        neutral: the same, made without assuming a modality.
        copies: vectors of changed copies of training images, each normalised as its modality.
        neutral_copies: of copies of some training images, made without assuming a modality.
        elsewhere: of copies of the same images as other devices would show them, made without assuming a
            modality. They keep the modality and not the findings, so only the detector learns from them.
        taken: of some training images of modalities without colour, made without assuming a modality.
        negatives: of the same images with dark and light exchanged.
        unknown: of images of unknown kinds.
    """

    by_modality: Embeddings
    neutral: Embeddings
    copies: Embeddings
    neutral_copies: Embeddings
    elsewhere: Embeddings
    taken: Embeddings
    negatives: Embeddings
    unknown: UnknownVectors

    def known(self) -> KnownVectors:
        """Returns what the detector learns known images from, mixed."""
        known = _vectors(self.neutral, self.sampled(), True)
        for copies in (self.neutral_copies, self.elsewhere):
            known = known.joined(_vectors(copies, np.arange(len(copies.vectors)), False))
        return known

    def sampled(self) -> np.ndarray:
        """Returns positions of some training images of every source, mixed."""
        return some_of_each_source(self.neutral.manifest, _DETECTOR_IMAGES)

    def held_out(self) -> KnownVectors:
        """Returns images of the same sources that nothing is fitted on: val, or train where there is none."""
        splits = self.neutral.manifest.frame["split"]
        return _vectors(
            self.neutral, np.flatnonzero(splits == ("val" if (splits == "val").any() else "train")), True
        )


def _vectors(embeddings: Embeddings, rows: np.ndarray, original: bool) -> KnownVectors:
    manifest = embeddings.manifest.select(rows)
    frame = manifest.frame
    classes = [
        f"{task}/{'' if labels is None else '|'.join(labels)}"
        for task, labels in zip(frame["task"], frame["labels"], strict=True)
    ]
    return KnownVectors(
        embeddings.vectors[rows],
        frame["modality"].to_numpy(str),
        frame["source"].to_numpy(str),
        np.array(classes),
        np.full(len(rows), original),
        manifest.patients().astype(str),
    )


def embed_training(
    embedder: Embedder,
    manifest: Manifest,
    unknown: Mapping[str, Sequence[np.ndarray]],
    *,
    cache: EmbeddingCache | None = None,
    workers: int = 0,
) -> TrainingVectors:
    """Embeds what a model is fitted on; the changes are the same each time.

    Args:
        embedder: the encoder.
        manifest: the images with their labels and splits.
        unknown: images of unknown kinds as pixels; those that come with packages or are drawn are added.
        cache: keeps the vectors.
        workers: processes that read images ahead.
    """
    shared = embedder.preprocessing_is_shared
    embed = partial(cache.embed if cache else embed_manifest, embedder, workers=workers)
    by_modality = embed(manifest)
    neutral = by_modality if shared else embed(manifest, neutral=True)
    changed = partial(_copies, embedder, cache, workers)
    to_change = manifest.select(some_of_each_source(manifest, _CHANGED_IMAGES))
    rounds = [Copy(f"changed {number}", partial(_changes, change, number)) for number in range(_ROUNDS)]
    neutral_copies = _joined([changed(to_change, each, neutral=True) for each in rounds])
    devices = [
        Copy(f"elsewhere {number}", partial(_changes, acquired_elsewhere, number))
        for number in range(_ROUNDS)
    ]
    elsewhere = _joined([changed(to_change, each, neutral=True) for each in devices])
    copies = neutral_copies
    if not shared:
        copies = _joined([changed(to_change, each, neutral=False) for each in rounds])
    frame = manifest.frame
    balanced = manifest.select(
        np.flatnonzero(frame["modality"].isin(_BALANCED) & (frame["split"] == "train"))
    )
    if len(balanced):
        copies = _joined(
            [copies, changed(balanced, Copy("grey world", lambda _: _grey_world), neutral=False)]
        )
    taken = _without_colour(neutral)
    negatives = taken
    if len(taken.vectors):
        negatives = changed(taken.manifest, Copy("negative", lambda _: _negative), neutral=True)
    unknown_vectors = embed_unknown(embedder, unknown)
    return TrainingVectors(
        by_modality, neutral, copies, neutral_copies, elsewhere, taken, negatives, unknown_vectors
    )


def _without_colour(embeddings: Embeddings) -> Embeddings:
    """Returns some training images of every source of the modalities that are grey by nature."""
    grey = np.array([MODALITIES[key].channels == 1 for key in embeddings.manifest.frame["modality"]], bool)
    rows = some_of_each_source(embeddings.manifest, _CHANGED_IMAGES)
    rows = rows[grey[rows]]
    return Embeddings(embeddings.vectors[rows], embeddings.manifest.select(rows), (), {})


def _negative(pixels: np.ndarray, _: int) -> np.ndarray:
    return 255 - pixels


def _grey_world(pixels: np.ndarray, _: int) -> np.ndarray:
    return grey_world(pixels)


def embed_unknown(embedder: Embedder, given: Mapping[str, Sequence[np.ndarray]]) -> UnknownVectors:
    """Embeds images of unknown kinds and two changed copies of each, without assuming a modality.

    Args:
        embedder: the encoder.
        given: pixels (height, width, 3) uint8 by kind; what comes with packages or is drawn is added.
    """
    kinds = {kind: list(images) for kind, images in given.items()}
    for kind, images in {**unknown_images(), "MR": unknown_medical()}.items():
        kinds.setdefault(_PART_OF.get(kind, kind), []).extend(images)
    random = np.random.default_rng(0)
    vectors, names, original = [], [], []
    bar = tqdm(total=sum(map(len, kinds.values())), desc="unknown kinds", unit="image", disable=None)
    for kind, images in kinds.items():
        for pixels in images:
            copies = [changed(pixels, "", random) for changed in (change, acquired_elsewhere)]
            vectors += [embedder.embed(each, None) for each in (pixels, *copies)]
            bar.update()
        names += [kind] * (3 * len(images))
        original += [True, False, False] * len(images)
    bar.close()
    return UnknownVectors(np.stack(vectors), np.array(names), np.array(original))


# Kinds that show the same as others: to leave one out and not the other would measure nothing.
_PART_OF = {"crops": "photographs", "textures": "photographs"}


def some_of_each_source(manifest: Manifest, count: int) -> np.ndarray:
    """Returns positions of at most so many training images of each source, mixed but always the same."""
    random = np.random.default_rng(0)
    frame = manifest.frame
    train = (frame["split"] == "train").to_numpy()
    chosen = [
        random.permutation(np.flatnonzero(train & (frame["source"] == source).to_numpy()))[:count]
        for source in sorted(frame["source"].unique())
    ]
    return np.concatenate(chosen)


def _copies(
    embedder: Embedder,
    cache: EmbeddingCache | None,
    workers: int,
    manifest: Manifest,
    copy: Copy,
    *,
    neutral: bool,
) -> Embeddings:
    if cache is not None:
        return cache.embed(embedder, manifest, neutral=neutral, workers=workers, copy=copy)
    return embed_manifest(embedder, manifest, neutral=neutral, workers=workers, augment=copy.of(manifest))


_Changing = Callable[[np.ndarray, str, np.random.Generator], np.ndarray]


def _changes(changing: _Changing, number: int, manifest: Manifest) -> Callable[[np.ndarray, int], np.ndarray]:
    """Returns what changes the image at a position of a manifest, for one round of copies."""
    frame = manifest.frame
    return partial(_change_row, changing, number, frame["modality"].tolist(), frame["case_id"].tolist())


def _change_row(
    changing: _Changing,
    number: int,
    modalities: list[str],
    cases: list[str],
    pixels: np.ndarray,
    position: int,
) -> np.ndarray:
    seed = [number, zlib.crc32(cases[position].encode())]
    return changing(pixels, modalities[position], np.random.default_rng(seed))


def _joined(parts: Sequence[Embeddings]) -> Embeddings:
    first = parts[0]
    frame = pd.concat([each.manifest.frame for each in parts], ignore_index=True)
    vectors = np.concatenate([each.vectors for each in parts])
    return Embeddings(vectors, replace(first.manifest, frame=frame), (), first.broken)
