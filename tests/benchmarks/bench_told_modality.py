"""How often the modality is right that the model tells of images of which nothing states it.

    python tests/benchmarks/bench_told_modality.py --data "$MERMED_DATA" --unknown path/to/unknown

Reads every set in a folder of tables that state the modality, takes some images of its test split (of all of
it where there is none), forgets the modality and lets the model tell it, as `mermed explore` does. Prints a
line a set and, as its last line, one JSON object: the mean over the sets of the share that is told right, of
that among images that the model takes for a known kind, and of those that it takes for none; and the share of
images of unknown kinds that it takes for none.

A set that the model was trained on is marked. Sources left out of all that was fitted are measured by
`mermed fit`, see "modality right" in the model card.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np

from mermed_core.data.manifest import Manifest
from mermed_core.data.sources.opener import open_manifest
from mermed_core.data.unknown_images import read_unknown
from mermed_core.data.validation import KIND, UNKNOWN
from mermed_core.files import BUNDLED_MODEL
from mermed_core.modalities import LEFT_OPEN
from mermed_core.models.embedder import Embedder, embed_manifest
from mermed_core.models.told_modality import ModalityTeller

_TEST = "test"


def some_of(path: Path, count: int, seed: int) -> Manifest:
    """Returns some images of a set that no head was fitted on, where it says which those are."""
    manifest = open_manifest(path)
    held_out = np.flatnonzero(manifest.frame["split"] == _TEST)
    rows = held_out if len(held_out) else np.arange(len(manifest))
    return manifest.select(np.sort(np.random.default_rng(seed).permutation(rows)[:count]))


def told(embedder: Embedder, teller: ModalityTeller, stated: Manifest) -> tuple[np.ndarray, np.ndarray]:
    """Returns whether each modality is told right, and whether the image is taken for a known kind."""
    frame = stated.frame.assign(modality=LEFT_OPEN)
    complete = teller.complete(embed_manifest(embedder, Manifest.from_frame(frame, unstated=True))).manifest
    truth = stated.frame.set_index("case_id")["modality"].loc[complete.frame["case_id"]]
    right = complete.frame["modality"].to_numpy() == truth.to_numpy()
    return right, (complete.frame[KIND] != UNKNOWN).to_numpy()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="How often the modality is right that the model tells.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--unknown", type=Path)
    parser.add_argument("--images", type=int, default=200, help="of a set, at most")
    parser.add_argument("--model", type=Path, default=BUNDLED_MODEL)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    embedder = Embedder.load(options.model)
    teller = ModalityTeller.load(options.model, embedder)
    trained = embedder.config.training.get("data", {}).get("sources", {})
    rows = []
    for path in sorted(options.data.glob("*.parquet")):
        right, known = told(embedder, teller, some_of(path, options.images, options.seed))
        of_known = float(right[known].mean()) if known.any() else float("nan")
        rows.append((float(right.mean()), of_known, 1 - float(known.mean())))
        seen = "trained on" if path.stem in trained else "not trained on"
        print(f"{path.stem:22} {len(right):4} right {rows[-1][0]:.3f}, none {rows[-1][2]:.3f} ({seen})")
    names = ("right", "right_where_known", "taken_for_none")
    summary: dict[str, float] = dict(
        zip(names, np.nanmean(np.array(rows), axis=0).round(4).tolist(), strict=True)
    )
    if options.unknown:
        pixels = [each for kind in read_unknown(options.unknown).values() for each in kind]
        kinds = teller.tell(np.stack([embedder.embed(each, None) for each in pixels])).kinds
        summary["unknown_taken_for_none"] = round(float((kinds == UNKNOWN).mean()), 4)
        summary["unknown_images"] = len(kinds)
    print(json.dumps({"sets": len(rows), **summary}))


if __name__ == "__main__":
    main()
