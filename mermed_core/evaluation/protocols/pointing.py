"""The pointing game (Zhang et al. 2016) on phantoms: does the peak of a map lie in the drawn finding?"""

import copy
from collections.abc import Callable, Mapping
from typing import cast

import numpy as np
import pandas as pd
from scipy.ndimage import distance_transform_edt
from tqdm import tqdm

from mermed_core.data.phantoms import FINDINGS, Phantom, draw_phantom, phantom_manifest
from mermed_core.evaluation.task import tasks_of
from mermed_core.fitting.linear_heads import fit_head
from mermed_core.models.cam import METHODS, activation_map
from mermed_core.models.embedder import Embedder, embed_manifest
from mermed_core.models.heads import Head

# Takes pixels (height, width, 3), modality, head and class; returns a map (rows, columns) of the image.
Method = Callable[[np.ndarray, str, Head, str], np.ndarray]

_TOLERANCE = 8 / 256  # of the side: how far beside the finding still counts as near
_OFFSET = 500_000  # of the seeds, so that no head was fitted on a phantom of the game


def cam_methods(embedder: Embedder) -> dict[str, Method]:
    """Returns the class activation maps that can be compared; each explains the logit of a class."""
    backbone = copy.deepcopy(embedder.backbone).requires_grad_(False)

    def method(name: str) -> Method:
        def run(pixels: np.ndarray, modality: str, head: Head, label: str) -> np.ndarray:
            image = embedder.prepare(pixels, modality).unsqueeze(0)
            return activation_map(backbone, image, head.weight[head.classes.index(label)], name).heat

        return run

    return {name: method(name) for name in METHODS}


def pointing_game(
    embedder: Embedder,
    methods: Mapping[str, Method],
    *,
    count_per_finding: int,
    fitted_on: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Lets every method point at the finding in phantoms that no head was fitted on.

    A flat map points at its top left corner and therefore misses.

    Args:
        embedder: the encoder.
        methods: by their name in the table, as `cam_methods` returns them.
        count_per_finding: number of phantoms of each finding.
        fitted_on: number of phantoms of each modality that the heads are fitted on.
        seed: of all phantoms.

    Returns:
        A row for each method and finding: method, modality, finding, images; in_finding, the share of peaks
        inside the mask; near_finding, the share inside it or at most 8 px (of 256) beside it; area, the mean
        share of the image that the mask covers, which is what pointing at random would reach.
    """
    heads = _heads(embedder, fitted_on, seed)
    findings = [(modality, finding) for modality, names in FINDINGS.items() for finding in names]
    rows = []
    for modality, finding in tqdm(findings, "pointing game", unit="finding", disable=None):
        phantoms = [
            draw_phantom(modality, finding, seed=seed * 1_000_003 + _OFFSET + number)
            for number in range(count_per_finding)
        ]
        area = float(np.mean([phantom.mask.mean() for phantom in phantoms]))
        for name, method in methods.items():
            hits = [_hits(phantom, method, heads[modality]) for phantom in phantoms]
            rows.append((name, modality, finding, len(hits), *np.mean(hits, axis=0), area))
    columns = ["method", "modality", "finding", "images", "in_finding", "near_finding", "area"]
    return pd.DataFrame(rows, columns=columns)


def hits_by_method(table: pd.DataFrame) -> dict[str, float]:
    """Returns the share of peaks inside the finding by method, the best first.

    Args:
        table: what `pointing_game` returned.
    """
    shares = table.groupby("method")["in_finding"].mean().sort_values(ascending=False)
    return {str(method): float(share) for method, share in shares.items()}


def _heads(embedder: Embedder, fitted_on: int, seed: int) -> dict[str, Head]:
    """Returns a head for the phantoms of each modality."""
    tasks = tasks_of(embed_manifest(embedder, phantom_manifest(fitted_on, seed)))
    return {
        task.modality: fit_head(
            task.label_set, task.modality, task.split("train").labelled(), task.split("val").labelled()
        )
        for task in tasks
    }


def _hits(phantom: Phantom, method: Method, head: Head) -> tuple[bool, bool]:
    """Returns whether the peak is in the finding, and whether it is near it."""
    heat = method(phantom.pixels, phantom.modality, head, phantom.label)
    peak = np.add(np.unravel_index(heat.argmax(), heat.shape), 0.5)
    row, column = (peak * phantom.mask.shape / heat.shape).astype(int)
    distance = cast(np.ndarray, distance_transform_edt(~phantom.mask))[row, column]
    return bool(phantom.mask[row, column]), bool(distance <= _TOLERANCE * len(phantom.mask))
