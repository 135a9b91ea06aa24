"""Pictures that show little: dark, bright, blurred, without detail, or of an odd shape or size.

The checks are those that cleanvision made common; here each value is compared with the pictures of the same
source and modality, since an ultrasound is dark by nature and a tile of fat is bright.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from scipy.ndimage import laplace

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.findings import CheckResult, Suspect, ranked
from mermed_core.collections.quality.outliers import above_upper_quartile
from mermed_core.collections.told import grouping_notes

NAME = "pictures"
_FENCE = 3.0  # interquartile ranges above the upper quartile: Tukey's outer fence
_FEWEST = 20  # pictures below which nothing can be called usual
_EMPTY = 2.0  # levels of grey: a picture that deviates less from its mean shows nothing, whatever is usual
_GREYS = np.array([0.299, 0.587, 0.114], np.float32)

# The faults, each with the column of a picture's numbers in which a high value is the fault.
FAULTS = {
    "dark": "even its brightest parts are dark",
    "bright": "even its darkest parts are bright",
    "blurred": "it has hardly any sharp edge",
    "little information": "nearly all of it has the same few levels of grey",
    "odd shape": "its sides have another ratio",
    "odd size": "it is of another size",
}


@dataclass(frozen=True, eq=False)
class PictureNumbers:
    """What the faults are read from.

    Attributes:
        values: (pictures, faults) float64 in the order of `FAULTS`, a high value being the fault; shape and
            size are logarithms that are yet to be compared with what is usual. NaN where there is no picture.
        contrast: (pictures,) standard deviation of grey in 0..255, NaN where there is no picture.
    """

    values: np.ndarray
    contrast: np.ndarray

    @classmethod
    def empty(cls, count: int) -> Self:
        """Returns room for so many pictures, none of which is there yet."""
        return cls(np.full((count, len(FAULTS)), np.nan), np.full(count, np.nan))

    def put(self, row: int, pixels: np.ndarray) -> None:
        """Measures the picture of a row, pixels (height, width, 3) uint8."""
        self.values[row], self.contrast[row] = measure(pixels)


def measure(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the numbers (faults,) and the contrast of pixels (height, width, 3) uint8."""
    grey = pixels.astype(np.float32) @ _GREYS
    shares = np.bincount(grey.astype(np.uint8).reshape(-1), minlength=256) / grey.size
    shares = shares[shares > 0]
    contrast = float(grey.std())
    edges = float(laplace(grey).std()) / max(contrast, 1e-3)
    height, width = grey.shape
    values = (
        -float(np.quantile(grey, 0.99)),
        float(np.quantile(grey, 0.05)),
        -np.log(max(edges, 1e-6)),
        float((shares * np.log2(shares)).sum()),
        np.log(width / height),
        np.log(max(width, height)),
    )
    return np.array(values), contrast


def fault_scores(numbers: PictureNumbers, kinds: np.ndarray) -> np.ndarray:
    """Returns (pictures, faults) interquartile ranges above the upper quartile of the pictures of a kind.

    Args:
        numbers: of the pictures.
        kinds: (pictures,) such as source and modality. −inf where there are too few to say what is usual.
    """
    scores = np.full(numbers.values.shape, -np.inf)
    names = list(FAULTS)
    for kind in np.unique(kinds):
        rows = np.flatnonzero((kinds == kind) & np.isfinite(numbers.contrast))
        if len(rows) < _FEWEST:
            continue
        for column, name in enumerate(names):
            values = numbers.values[rows, column]
            if name.startswith("odd"):
                # A quarter of an octave is no oddity, even where all others are of one shape.
                away = np.abs(values - np.median(values))
                scores[rows, column] = away / max(0.17, float(np.quantile(away, 0.75)))
            else:
                scores[rows, column] = _beyond(values)
    scores[numbers.contrast < _EMPTY, names.index("little information")] = np.inf
    return scores


def check_pictures(collection: Collection, numbers: PictureNumbers, most: int) -> CheckResult:
    """Ranks pictures by how far a number of theirs lies outside what is usual in their source."""
    records = collection.records
    kinds = (records["source"].astype(str) + " " + records["modality"].astype(str)).to_numpy(dtype=object)
    kinds = pd.factorize(kinds)[0]
    scores = fault_scores(numbers, kinds)
    suspects = []
    for row, column in np.argwhere(scores > _FENCE / 2):
        fault = list(FAULTS)[column]
        source = str(records["source"].iat[row])
        title = collection.source(source).title
        suspects.append(
            Suspect(
                min(float(scores[row, column]), 1000.0),
                f"{fault}: {FAULTS[fault]} than is usual in {title}"
                if fault.startswith("odd")
                else f"{fault}: {FAULTS[fault]}, unlike others of {title}",
                (str(records["case_id"].iat[row]),),
                bool(scores[row, column] >= _FENCE),
                {"fault": fault, "source": source},
            )
        )
    missing = int(np.isnan(numbers.contrast).sum())
    notes = (f"{missing} cases have no picture here and were not looked at.",) if missing else ()
    notes += grouping_notes(records, np.isfinite(numbers.contrast))
    return CheckResult(
        NAME,
        "Pictures that show little",
        "How far the brightness, sharpness, information, shape or size of the small picture lies outside "
        "what is usual in its source and modality, in interquartile ranges beyond the quartile.",
        "Not measured on real images: a list to look through, not a verdict.",
        ranked(suspects, most),
        _FENCE,
        notes,
    )


def _beyond(values: np.ndarray) -> np.ndarray:
    """Returns interquartile ranges above the upper quartile, an empty range counting as a little of all."""
    lower, upper = np.quantile(values, [0.25, 0.75])
    if upper - lower < 1e-6:
        spread = float(values.std())
        return (values - upper) / max(spread, 1e-6) if spread > 1e-6 else np.zeros(len(values))
    return above_upper_quartile(values)
