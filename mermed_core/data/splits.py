"""Shares out a manifest's groups among train, val and test."""

import hashlib
from itertools import accumulate

import numpy as np
import pandas as pd

from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError

_NAMES = ("train", "val", "test")
_TOLERANCE = 1e-6


def split_by_group(
    manifest: Manifest, *, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0
) -> Manifest:
    """Returns the manifest with a split for every image that has none; a group is never divided.

    The split of a group depends on a hash of its name alone, so images that are added later move no other,
    and the shares approach the fractions only with many groups. An image whose group already lies in a split
    joins it there. Groups of equal name in two sources are two groups.

    Args:
        manifest: the images.
        fractions: the parts of train, val and test; they sum to 1.
        seed: another seed draws another division.

    Raises:
        ManifestError: the fractions are no division of 1, or a group already lies in two splits.
    """
    sums_to_one = abs(sum(fractions) - 1) <= _TOLERANCE  # false for NaN too
    if len(fractions) != len(_NAMES) or min(fractions) < 0 or not sums_to_one:
        raise ManifestError(
            f"fractions are three numbers from 0 to 1 that sum to 1, not {fractions}.", column="split"
        )
    frame = manifest.frame.copy()
    drawn = frame["group"].map({group: _draw(group, fractions, seed) for group in frame["group"].unique()})
    frame["split"] = _splits_of_groups(manifest).where(lambda given: given.notna(), drawn)
    return manifest.with_frame(frame)


def divided_groups(manifest: Manifest) -> list[str]:
    """Returns the groups, each of one source, whose images lie in several splits, in sorted order."""
    given = manifest.frame.loc[manifest.frame["split"] != ""]
    counts = given.groupby(["source", "group"])["split"].nunique()
    return sorted(group for _, group in counts.index[counts > 1])


def _splits_of_groups(manifest: Manifest) -> pd.Series:
    """Returns for every image the split that its group has been given, missing where it has none."""
    frame = manifest.frame
    given = frame["split"].where(frame["split"] != "")
    first = given.groupby([frame["source"], frame["group"]]).transform("first")
    divided = np.flatnonzero(given.notna() & (given != first))
    if len(divided):
        row = int(divided[0])
        raise ManifestError(
            f"group '{frame['group'][row]}' lies in {first[row]} and in {given[row]}; "
            "a patient's images belong in one split.",
            row=row,
            column="split",
        )
    return first


def _draw(group: str, fractions: tuple[float, float, float], seed: int) -> str:
    digest = hashlib.sha256(f"{seed}\0{group}".encode()).digest()
    point = int.from_bytes(digest[:8], "big") / 2**64
    for name, end in zip(_NAMES, accumulate(fractions), strict=True):
        if point < end:
            return name
    # The sum of the fractions may end a rounding error below 1: the last split that is wanted takes the rest.
    return [name for name, part in zip(_NAMES, fractions, strict=True) if part > 0][-1]
