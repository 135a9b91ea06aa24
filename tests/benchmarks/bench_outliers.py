"""How well images that belong to no collection are found in one: photographs, pages of text, charts, noise.

    python tests/benchmarks/bench_outliers.py --data "$MERMED_DATA"
    python tests/benchmarks/bench_outliers.py --data "$MERMED_DATA" --seed 7

Of every set some images are taken; with each, pictures that are not medical are planted that state its
modality. All sets together are checked as one collection, then each modality alone. Prints a line a
collection, and as its last line one JSON object: how many of the planted lead the list (among as many as are
planted), and which shares of the planted and of the others are flagged. Measured as `mermed check` does it.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import pandas as pd

from mermed_core.collections.quality.neighbourhood import NEIGHBOURS, Neighbourhood, patients
from mermed_core.collections.quality.outliers import FENCE, outlier_scores
from mermed_core.data.sources.opener import open_manifest
from mermed_core.data.unknown_images import unknown_images
from mermed_core.files import BUNDLED_MODEL
from mermed_core.models.embedder import Embedder, embed_manifest
from mermed_core.models.heads import HEADS_FOLDER
from mermed_core.models.retrieval_space import load_retrieval_space
from mermed_core.search.self_search import nearest_to_each

_TAKEN, _PLANTED = 250, 5  # images of a set
_ROUNDS = 10


def real_images(
    folder: Path, embedder: Embedder, random: np.random.Generator
) -> tuple[pd.DataFrame, np.ndarray]:
    """Returns some images of every set in a folder and their vectors (images, dim)."""
    frames, vectors = [], []
    for path in sorted(folder.glob("*.parquet")):
        manifest = open_manifest(path)
        some = np.sort(random.permutation(len(manifest))[:_TAKEN])
        made = embed_manifest(embedder, manifest.select(some))
        frames.append(made.manifest.frame)
        vectors.append(made.vectors)
    return pd.concat(frames, ignore_index=True), np.concatenate(vectors)


def strange_images(embedder: Embedder, modalities: list[str], seed: int) -> dict[str, np.ndarray]:
    """Returns vectors (images, dim) of pictures that are not medical, as if they were of each modality."""
    pictures = [pixels for images in unknown_images(seed).values() for pixels in images]
    return {key: np.stack([embedder.embed(pixels, key) for pixels in pictures]) for key in modalities}


def found(frame: pd.DataFrame, vectors: np.ndarray, planted: np.ndarray) -> tuple[float, float, float]:
    """Returns the share of the planted among as many that lead the list, and the shares that are flagged."""
    hits = nearest_to_each(vectors, min(NEIGHBOURS, len(vectors) - 1))
    near = Neighbourhood(hits.positions, hits.values, patients(frame))
    scores = outlier_scores(vectors, near, frame["modality"].to_numpy())
    first = np.argsort(-scores, kind="stable")[: planted.sum()]
    beyond = scores >= FENCE
    return float(planted[first].mean()), float(beyond[planted].mean()), float(beyond[~planted].mean())


def measure(folder: Path, seed: int) -> dict[str, float]:
    """Returns the figures; prints a line a collection."""
    random = np.random.default_rng(seed)
    embedder = Embedder.load(BUNDLED_MODEL)
    space = load_retrieval_space(BUNDLED_MODEL / HEADS_FOLDER, embedder.backbone.dim)
    frame, vectors = real_images(folder, embedder, random)
    keys = sorted(frame["modality"].unique())
    strange = {key: space.project(made) for key, made in strange_images(embedder, keys, seed).items()}
    vectors = space.project(vectors)
    rounds = []
    for _ in range(_ROUNDS):
        picked = {key: random.choice(len(strange[key]), _PLANTED, replace=False) for key in keys}
        junk = pd.DataFrame({"modality": np.repeat(keys, _PLANTED), "source": "planted"})
        junk["case_id"] = junk["group"] = [f"planted {row}" for row in range(len(junk))]
        both = pd.concat([frame[["case_id", "modality", "source", "group"]], junk], ignore_index=True)
        all_vectors = np.concatenate([vectors, *(strange[key][picked[key]] for key in keys)])
        planted = (both["source"] == "planted").to_numpy()
        parts = {"all together": np.ones(len(both), bool)} | {
            key: (both["modality"] == key).to_numpy() for key in keys
        }
        for name, rows in parts.items():
            shares = found(both[rows].reset_index(drop=True), all_vectors[rows], planted[rows])
            rounds.append((name, *shares))
    table = pd.DataFrame(rounds, columns=["collection", "leading", "flagged", "others_flagged"])
    means = table.groupby("collection", sort=False).mean()
    print(f"{len(frame)} images, {_PLANTED} planted a modality, {_ROUNDS} rounds, seed {seed}")
    print(means.round(3).to_string())
    alone = means.drop("all together").mean()
    return {
        **{f"outliers_{name}": value for name, value in means.loc["all together"].to_dict().items()},
        **{f"outliers_{name}_alone": value for name, value in alone.to_dict().items()},
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, metavar="FOLDER", help="folder of the parquet sets"
    )
    parser.add_argument(
        "--seed", type=int, default=2026, help="of what is taken and planted (default: %(default)s)"
    )
    options = parser.parse_args()
    results = measure(options.data, options.seed)
    print(json.dumps({name: round(value, 4) for name, value in results.items()}))


if __name__ == "__main__":
    main()
