"""Results from the literature, to be shown beside measured ones and never among them."""

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mermed_core.data.sources.medmnist_files import MODALITY_OF_SET

_FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Published:
    """Results that others have published.

    Attributes:
        modality_auroc: mean AUROC of the MerMED-FM paper by modality key, measured on other data.
        modality_source: where they are published.
        medmnist: method, set (such as "pathmnist"), auroc and accuracy of networks trained from end to end;
            NaN where a value could not be checked.
        medmnist_source: where they are published.
    """

    modality_auroc: dict[str, float]
    modality_source: str
    medmnist: pd.DataFrame
    medmnist_source: str


def load_published() -> Published:
    """Reads the tables that come with the package."""
    tables = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    paper, medmnist = tables["mermed_fm"], tables["medmnist"]
    auroc, accuracy = medmnist["auroc"], medmnist["accuracy"]
    cells = [
        (method, name, auroc[method].get(name, math.nan), accuracy[method].get(name, math.nan))
        for method in auroc
        for name in MODALITY_OF_SET
    ]
    frame = pd.DataFrame(cells, columns=["method", "set", "auroc", "accuracy"])
    return Published(paper["auroc"], paper["source"], frame, medmnist["source"])
