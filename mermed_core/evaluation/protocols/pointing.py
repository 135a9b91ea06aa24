"""The pointing game (Zhang et al. 2016) on phantoms: does a map's peak lie in the finding that was drawn?"""

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

# From pixels (height, width, 3), modality, head and class to a map (rows, columns) of the whole image.
Method = Callable[[np.ndarray, str, Head, str], np.ndarray]

_TOLERANCE = 8 / 256  # of the side: how far beside the finding still counts as near
_OFFSET = 500_000  # no phantom that is pointed at was drawn for the heads


def cam_methods(embedder: Embedder) -> dict[str, Method]:
    """Returns the class activation maps that can be compared, each that of the class's logit."""
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
    taught: int = 100,
    seed: int = 0,
) -> pd.DataFrame:
    """Lets every method point at the finding in phantoms that no head was fitted on.

    A map without any peak points at its top left corner, so that it misses.

    Args:
        embedder: the encoder.
        methods: by the name that they get in the table, such as `cam_methods` gives.
        count_per_finding: phantoms of each finding that are pointed at.
        taught: phantoms of each modality that the heads are fitted on.
        seed: of all phantoms.

    Returns:
        A row for each method and finding: method, modality, finding, images; in_finding, the share of peaks
        inside the mask; near_finding, the share at most 8 px (of 256) beside it; area, the mean share of the
        image that the mask covers, which is what pointing by chance would reach.
    """
    heads = _heads(embedder, taught, seed)
    asked = [(modality, finding) for modality, findings in FINDINGS.items() for finding in findings]
    rows = []
    for modality, finding in tqdm(asked, "pointing game", unit="finding"):
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


def _heads(embedder: Embedder, taught: int, seed: int) -> dict[str, Head]:
    """Returns a head for the phantoms of each modality."""
    tasks = tasks_of(embed_manifest(embedder, phantom_manifest(taught, seed)))
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
