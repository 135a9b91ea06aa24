"""What a few marks and a few images are worth: methods side by side on the bundled atlas.

python tests/benchmarks/few_marks.py marks|heads [SECONDS]

"marks": of the twelve cases nearest to a case some are marked, good where the label is the same and bad
where it is not, and the collection is searched again; precision among the next ten, without the marked ones
and the asked case's own patient. Half of the sources chose the parameters (first figure), the other half is
the figure to believe. "heads": two labels of one source, a few images of each, balanced accuracy on the other
patients' images.
"""

import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
from sklearn.linear_model import LogisticRegression

from mermed_core.collections.collection import Collection
from mermed_core.collections.store import load_collection
from mermed_core.files import BUNDLED_ATLAS
from mermed_core.inference.refinement import refined

SHOWN, ASKED = 12, 40  # cases that are marked among; asked cases of a source
MARKS = {"1 good, 1 bad": 1, "3 good, 3 bad": 3, "all twelve": SHOWN}
Method = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def rocchio(good_weight: float, bad_weight: float) -> Method:
    def move(query: np.ndarray, good: np.ndarray, bad: np.ndarray) -> np.ndarray:
        to = query + (good_weight * good.mean(axis=0) if len(good) else 0)
        return unit(to - (bad_weight * bad.mean(axis=0) if len(bad) else 0))

    return move


def regression(penalty: float, kept: float) -> Method:
    """Logistic regression between what is wanted and what is not, beside `kept` times the query."""

    def move(query: np.ndarray, good: np.ndarray, bad: np.ndarray) -> np.ndarray:
        wanted = np.concatenate([query[None], good])
        model = LogisticRegression(C=penalty, class_weight="balanced", max_iter=200)
        model.fit(np.concatenate([wanted, bad]), [1] * len(wanted) + [0] * len(bad))
        return unit(kept * query + unit(model.coef_[0]))

    return move


METHODS: dict[str, Method] = {
    "no marks": lambda query, good, bad: query,
    "as shipped": refined,
    **{f"Rocchio {a}, {b}": rocchio(a, b) for a in (0.5, 1.0, 2.0) for b in (0.0, 0.25, 0.5, 0.75, 1.0)},
    **{f"regression C={c}, query {k}": regression(c, k) for c in (0.1, 1.0, 10.0) for k in (0.0, 1.0)},
}


def labels_of(collection: Collection) -> np.ndarray:
    """Returns (cases,) the modality with the labels, "" where a case has none."""
    records = collection.records
    pairs = zip(records["modality"], records["labels"], strict=True)
    return np.array([f"{key}: {', '.join(sorted(each))}" if len(each) else "" for key, each in pairs])


def asked_cases(labels: np.ndarray, sources: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(0)
    picked = []
    for source in np.unique(sources):
        rows = np.flatnonzero((sources == source) & (labels != ""))
        picked.append(random.permutation(rows)[:ASKED])
    return random.permutation(np.concatenate(picked))


def marks(seconds: float) -> Iterator[str]:
    collection = load_collection(BUNDLED_ATLAS)
    vectors, labels = np.asarray(collection.vectors), labels_of(collection)
    sources = collection.records["source"].to_numpy(str)
    patients = np.char.add(sources, collection.records["group"].to_numpy(str))
    tuned_on = set(np.unique(sources)[::2])
    found: dict[str, dict[str, list[tuple[bool, float]]]] = {amount: {} for amount in MARKS}
    end = time.monotonic() + seconds
    for row in asked_cases(labels, sources):
        if time.monotonic() > end:
            break
        own = np.flatnonzero(patients == patients[row])
        nearness = vectors @ vectors[row]
        nearness[own] = -2
        shown = np.argsort(-nearness)[:SHOWN]
        same = labels[shown] == labels[row]
        if same.all():
            continue  # nothing to mark as bad
        for amount, most in MARKS.items():
            good, bad = shown[same][:most], shown[~same][:most]
            moved = [move(vectors[row], vectors[good], vectors[bad]) for move in METHODS.values()]
            scores = vectors @ np.stack(moved).astype(np.float32).T
            scores[np.concatenate([own, good, bad])] = -2
            for name, column in zip(METHODS, scores.T, strict=True):
                best = np.argpartition(-column, 10)[:10]
                hit = (sources[row] in tuned_on, float(np.mean(labels[best] == labels[row])))
                found[amount].setdefault(name, []).append(hit)
    for amount, by_method in found.items():
        yield f"{amount}: {len(by_method['no marks'])} cases"
        for name, hits in by_method.items():
            tuned, other = (np.mean([hit for flag, hit in hits if flag is side]) for side in (True, False))
            yield f"  {name:<28} {tuned:.3f} {other:.3f}"


def heads(seconds: float) -> Iterator[str]:
    collection = load_collection(BUNDLED_ATLAS)
    vectors, labels = np.asarray(collection.vectors), labels_of(collection)
    sources = collection.records["source"].to_numpy(str)
    patients = collection.records["group"].to_numpy(str)
    random, end = np.random.default_rng(0), time.monotonic() + seconds
    found: dict[int, dict[str, list[float]]] = {}
    for shots in (2, 3, 5, 10, 20):
        for source in np.repeat(np.unique(sources), 3):
            rows = np.flatnonzero((sources == source) & (labels != ""))
            names, counts = np.unique(labels[rows], return_counts=True)
            enough = names[counts >= shots + 20]
            if len(enough) < 2 or time.monotonic() > end:
                continue
            two = random.choice(enough, 2, replace=False)
            few = np.concatenate([random.permutation(rows[labels[rows] == name])[:shots] for name in two])
            asked = np.array(
                [i for i in rows if labels[i] in two and patients[i] not in set(patients[few])], int
            )
            if len(asked) < 20:
                continue
            for name, value in _few(vectors[few], labels[few], vectors[asked], labels[asked]).items():
                found.setdefault(shots, {}).setdefault(name, []).append(value)
    for shots, by_method in found.items():
        values = ", ".join(f"{name} {np.nanmean(each):.3f}" for name, each in by_method.items())
        yield f"{shots} images of each ({len(next(iter(by_method.values())))} pairs): {values}"


def _few(few: np.ndarray, given: np.ndarray, asked: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    names = np.unique(given)
    said = {
        f"C={penalty}": LogisticRegression(C=penalty, class_weight="balanced").fit(few, given).predict(asked)
        for penalty in (0.1, 1.0, 10.0, 100.0)
    }
    middles = unit(np.stack([few[given == name].mean(axis=0) for name in names]))
    said["nearest middle"] = names[(asked @ middles.T).argmax(axis=1)]
    return {
        method: float(np.mean([np.mean(answer[truth == name] == name) for name in names if name in truth]))
        for method, answer in said.items()
    }


if __name__ == "__main__":
    limit = float(sys.argv[2]) if len(sys.argv) > 2 else 600.0
    print("\n".join({"marks": marks, "heads": heads}[sys.argv[1]](limit)))
