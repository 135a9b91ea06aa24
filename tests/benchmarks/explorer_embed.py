"""The embedding section of bench_explorer.py: a manifest of files beside the bare encoder, in turn."""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from mermed_core.data.manifest import Manifest
from mermed_core.data.phantoms import phantom_manifest
from mermed_core.data.sources.opener import open_manifests
from mermed_core.files import BUNDLED_MODEL
from mermed_core.models.embedder import Embedder, batch_for, embed_manifest
from mermed_core.settings import Settings

# A machine that shares its cores gives the same work 15 % more or less from one round to the next: a ratio is
# taken within a round, where both sides meet the same machine, and the median is of many.
_ROUNDS = 11


def measure(images: int, workers: int = 0) -> dict[str, float]:
    """Measures the section, prints its table and returns its figure.

    All sides use all cores that PyTorch has. The encoder alone is timed with one batch on all cores, and with
    a batch on each, which is the most that it can do.

    Args:
        images: how many, of the sets in MERMED_DATA; drawn ones where it is not set.
        workers: processes that read them; 0 for threads.
    """
    embedder = Embedder.load(BUNDLED_MODEL)
    size = batch_for(embedder.device)
    with tempfile.TemporaryDirectory() as folder:
        manifest = _files(images, Path(folder))
        prepared = torch.stack(
            [embedder.prepare(manifest.read_image(row).pixels, None) for row in range(len(manifest))]
        )
        sides: dict[str, Callable[[], object]] = {
            "encoder alone": lambda: [embedder.embed_tensors(part) for part in prepared.split(size)],
            "encoder alone, a batch on each core": lambda: _on_each_core(embedder, prepared.split(size)),
            "files, read ahead": lambda: embed_manifest(embedder, manifest, workers=workers),
        }
        for side in sides.values():
            side()
        wall: dict[str, list[float]] = {name: [] for name in sides}
        cpu: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(_ROUNDS):
            for name, side in sides.items():
                start, used = time.perf_counter(), time.process_time()
                side()
                wall[name].append(time.perf_counter() - start)
                cpu[name].append(time.process_time() - used)
    print(f"\n| {len(manifest)} images, batches of {size} | images/s | CPU ms an image |\n|---|---|---|")
    for name in sides:
        rate, busy = (statistics.median(each[name]) / len(manifest) for each in (wall, cpu))
        print(f"| {name} | {1 / rate:.1f} | {busy * 1e3:.1f} |")
    bare, most, whole = (np.array(wall[name]) for name in sides)
    ratios = np.stack([bare / whole, most / whole])
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75], axis=1)
    spread = f"{low[0]:.3f} to {high[0]:.3f} in half of {_ROUNDS} rounds"
    print(f"\nof the encoder alone: {middle[0]:.3f} ({spread})")
    return {"embed_rate_ratio": float(middle[0]), "embed_rate_ratio_to_most": float(middle[1])}


def _on_each_core(embedder: Embedder, batches: Sequence[torch.Tensor]) -> None:
    alone = {"initializer": torch.set_num_threads, "initargs": (1,)}
    with ThreadPoolExecutor(torch.get_num_threads(), **alone) as pool:
        for _ in pool.map(embedder.embed_tensors, batches):
            pass


def _files(images: int, folder: Path) -> Manifest:
    """Returns images as files: their bytes lie in the sets' tables, from which reading costs nothing."""
    data = Settings.from_environment().data
    known = open_manifests([str(data)]) if data else phantom_manifest(-(-images // 7))
    rows = np.random.default_rng(0).permutation(len(known))[:images]
    frame = known.select(np.sort(rows)).frame
    for row, image in enumerate(frame["image"]):
        (folder / str(row)).write_bytes(image)
    return Manifest.from_frame(
        frame.assign(image=None, path=[str(folder / str(row)) for row in range(len(frame))])
    )
