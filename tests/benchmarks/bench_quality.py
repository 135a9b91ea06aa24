"""How well a collection's troubles are found: copies of LC25000, copies and wrong labels that were planted,
labels that the hospital alone predicts.

    python tests/benchmarks/bench_quality.py --data "$MERMED_DATA" --cache runs/evaluation
    python tests/benchmarks/bench_quality.py --data "$MERMED_DATA" --cache runs/evaluation --seed 7

Prints a line a set, and as its last line one JSON object with duplicates_ap and planted_labels_auroc. All
are measured as `mermed check` does it: on the bundled model's retrieval vectors, and on small pictures.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import pandas as pd
from PIL import Image

from mermed_core.collections.quality.confounding import Frames, predicted
from mermed_core.collections.quality.doubtful_labels import label_doubts, label_sets
from mermed_core.collections.quality.duplicates import compare_pairs
from mermed_core.collections.quality.neighbourhood import NEIGHBOURS, Neighbourhood, patients
from mermed_core.collections.quality.polar_picture import PolarPictures
from mermed_core.data.manifest import Manifest
from mermed_core.data.sources.opener import open_manifests
from mermed_core.files import BUNDLED_MODEL
from mermed_core.metrics.scores import auroc, unweighted
from mermed_core.models.embedder import Embedder, embed_manifest
from mermed_core.models.embedding_cache import EmbeddingCache
from mermed_core.models.heads import HEADS_FOLDER
from mermed_core.models.retrieval_space import load_retrieval_space
from mermed_core.search.neighbours import nearest

LABELLED = (
    "busi",
    "covid_cxr",
    "eye_diseases",
    "ham10000",
    "head_ct",
    "iq_oth_nccd",
    "lc25000_lung",
    "mednist_ct",
)
COPIES = "lc25000_lung"
PLANTED = 0.05
_ROUNDS = 5
_COPIED = 250  # tiles that are copied once each
CONFOUNDED = "covid_cxr"  # its classes are of different hospitals
_FRAMED = 3000  # images of a set whose frames are asked, as `mermed check` asks them


def embedded(folder: Path, source: str, cache: Path) -> tuple[Manifest, np.ndarray]:
    """Returns the images of a set and their retrieval vectors (images, dim)."""
    embedder = Embedder.load(BUNDLED_MODEL)
    found = EmbeddingCache(cache / "vectors").embed(
        embedder, open_manifests([str(folder / f"{source}.parquet")])
    )
    space = load_retrieval_space(BUNDLED_MODEL / HEADS_FOLDER, embedder.backbone.dim)
    return found.manifest, space.project(found.vectors)


def neighbourhood(manifest: Manifest, vectors: np.ndarray) -> Neighbourhood:
    """Returns the nearest images of every image, exactly."""
    count = min(NEIGHBOURS, len(vectors) - 1)
    values, positions = nearest(vectors, vectors, count + 1)
    own = positions == np.arange(len(vectors))[:, None]
    own[~own.any(axis=1), -1] = True
    shape = (len(vectors), count)
    return Neighbourhood(
        positions[~own].reshape(shape), values[~own].reshape(shape), patients(manifest.frame)
    )


def duplicates(folder: Path, cache: Path) -> dict[str, float]:
    """Returns how well pairs of copies of one tile are ranked, among all pairs of tiles."""
    manifest, vectors = embedded(folder, COPIES, cache)
    pictures = PolarPictures.empty(len(manifest))
    for row in range(len(manifest)):
        pictures.put(row, manifest.read_image(row).pixels)
    return {f"duplicates_{name}": value for name, value in ranking(manifest, vectors, pictures).items()}


def ranking(manifest: Manifest, vectors: np.ndarray, pictures: PolarPictures) -> dict[str, float]:
    """Returns how well the pairs of one group are ranked among all pairs."""
    pairs = compare_pairs(
        vectors, manifest.frame["modality"].to_numpy(), neighbourhood(manifest, vectors), pictures
    )
    tiles, sizes = pd.factorize(manifest.frame["group"])[0], manifest.frame["group"].value_counts()
    copies = int((sizes * (sizes - 1) // 2).sum())
    same = tiles[pairs.positions[:, 0]] == tiles[pairs.positions[:, 1]]
    hits = same[np.argsort(-pairs.score, kind="stable")]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    flagged = same[pairs.flagged]
    return {
        # A pair that is no candidate counts as never found.
        "ap": float((precision * hits).sum() / copies),
        "precision": float(flagged.mean()) if len(flagged) else float("nan"),
        "recall": float(flagged.sum() / copies),
        "threshold": pairs.threshold,
    }


def planted_copies(folder: Path, cache: Path, seed: int) -> dict[str, float]:
    """Returns how well copies are ranked that are made here as LC25000's were: turned, mirrored, cut.

    Args:
        folder: of the sets.
        cache: keeps embeddings.
        seed: of which image of a tile is copied, and of how it is turned.
    """
    manifest, vectors = embedded(folder, COPIES, cache)
    random = np.random.default_rng(seed)
    shuffled = manifest.frame["group"].iloc[random.permutation(len(manifest))]
    one_each = shuffled.index[~shuffled.duplicated()]  # an image of each tile
    rows = np.sort(manifest.frame.index.get_indexer(one_each[:_COPIED]))
    return _copied(manifest.select(rows), vectors[rows], seed)


def _copied(originals: Manifest, vectors: np.ndarray, seed: int) -> dict[str, float]:
    def copy(pixels: np.ndarray, row: int) -> np.ndarray:
        return turned(pixels, np.random.default_rng([seed, row]))

    embedder = Embedder.load(BUNDLED_MODEL)
    made = embed_manifest(embedder, originals, augment=copy).vectors
    copies = originals.frame.assign(case_id=originals.frame["case_id"] + " copied")
    both = Manifest.from_frame(pd.concat([originals.frame, copies], ignore_index=True))
    pictures = PolarPictures.empty(len(both))
    for row in range(len(originals)):
        pixels = originals.read_image(row).pixels
        pictures.put(row, pixels)
        pictures.put(row + len(originals), copy(pixels, row))
    space = load_retrieval_space(BUNDLED_MODEL / HEADS_FOLDER, embedder.backbone.dim)
    found = ranking(both, np.concatenate([vectors, space.project(made)]), pictures)
    return {f"planted_copies_{name}": value for name, value in found.items()}


def turned(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Returns an image turned by up to 25 degrees, cut to what is inside, and perhaps mirrored, as there."""
    degrees, side = random.uniform(-25, 25), min(pixels.shape[:2])
    angle = np.deg2rad(abs(degrees))
    inside = side / (np.cos(angle) + np.sin(angle))
    first, last = (side - inside) / 2, (side + inside) / 2
    image = Image.fromarray(pixels[:side, :side]).rotate(degrees, Image.Resampling.BICUBIC)
    image = image.resize((side, side), Image.Resampling.BICUBIC, box=(first, first, last, last))
    for flip in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM):
        image = image.transpose(flip) if random.random() < 0.5 else image
    return np.asarray(image)


def planted_labels(folder: Path, cache: Path, seed: int) -> dict[str, float]:
    """Returns the mean AUROC over eight sets with which 5 % of wrong labels are told from the others.

    Five times, with other labels wrong each time: the smallest set has nine of them.
    """
    aurocs, precisions = [], []
    for source in LABELLED:
        manifest, vectors = embedded(folder, source, cache)
        near = neighbourhood(manifest, vectors)
        rounds = [_planted(manifest, vectors, near, seed + number) for number in range(_ROUNDS)]
        aurocs.append(np.mean([each[0] for each in rounds]))
        precisions.append(np.mean([each[1] for each in rounds]))
        print(f"{source}: AUROC {aurocs[-1]:.4f}, precision among as many as are wrong: {precisions[-1]:.2f}")
    return {
        "planted_labels_auroc": float(np.mean(aurocs)),
        "planted_labels_precision": float(np.mean(precisions)),
    }


def _planted(manifest: Manifest, vectors: np.ndarray, near: Neighbourhood, seed: int) -> tuple[float, float]:
    """Returns AUROC and precision of one planting."""
    ((_, rows, labels, names),) = label_sets(manifest.frame)
    random = np.random.default_rng(seed)
    wrong = np.zeros(len(rows), bool)
    wrong[random.choice(len(rows), round(PLANTED * len(rows)), replace=False)] = True
    stated = labels.copy()
    stated[wrong] = (stated[wrong] + random.integers(1, len(names), wrong.sum())) % len(names)
    doubts = label_doubts(stated, near, rows, vectors)
    scores = np.zeros(len(rows))
    scores[doubts.rows] = doubts.doubt
    first = np.argsort(-scores, kind="stable")[: wrong.sum()]
    return unweighted(auroc, wrong[:, None].astype(float), scores[:, None]), float(wrong[first].mean())


def confounding(folder: Path) -> dict[str, float]:
    """Returns with what AUROC the frame alone tells the classes of the confounded set; prints all sets."""
    found = {}
    for source in LABELLED:
        manifest = open_manifests([str(folder / f"{source}.parquet")])
        if manifest.frame["modality"].iat[0] == "pathology":  # tiles have no frame
            continue
        ((_, rows, codes, names),) = label_sets(manifest.frame)
        random = np.random.default_rng(0)
        rows = np.sort(random.choice(rows, min(len(rows), _FRAMED), replace=False))
        frames = Frames.empty(len(rows))
        for place, row in enumerate(rows):
            frames.put(place, manifest.read_image(row).pixels)
        groups = patients(manifest.frame)[rows]
        aurocs = {name: predicted(frames.values, codes[rows] == i, groups) for i, name in enumerate(names)}
        found[source] = max(aurocs.values())
        print(f"{source}: " + ", ".join(f"{name} {auroc:.3f}" for name, auroc in aurocs.items()), flush=True)
    return {"confounded_frame_auroc": found[CONFOUNDED]}


def measure(folder: Path, cache: Path, seed: int, part: str | None = None) -> dict[str, float]:
    """Returns the figures of all parts or of one; prints a line a set of labels."""
    found: dict[str, float] = {}
    if part in (None, "duplicates"):
        found |= duplicates(folder, cache)
    if part in (None, "copies"):
        found |= planted_copies(folder, cache, seed)
    if part in (None, "confounding"):
        found |= confounding(folder)
    return found | (planted_labels(folder, cache, seed) if part in (None, "labels") else {})


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FOLDER", help="folder of the parquet sets"
    )
    parser.add_argument("--cache", type=Path, required=True, metavar="FOLDER", help="keeps embeddings")
    parser.add_argument("--seed", type=int, default=2026, help="of what is planted (default: %(default)s)")
    parser.add_argument(
        "--part", choices=["duplicates", "copies", "confounding", "labels"], help="measure this alone"
    )
    options = parser.parse_args()
    results = measure(options.data, options.cache, options.seed, options.part)
    print(json.dumps({name: round(value, 4) for name, value in results.items()}))


if __name__ == "__main__":
    main()
