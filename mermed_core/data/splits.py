"""Shares out a manifest's groups among train, val and test."""

import hashlib
from itertools import accumulate

from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError

_NAMES = ("train", "val", "test")
_TOLERANCE = 1e-6


def split_by_group(
    manifest: Manifest, *, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1), seed: int = 0
) -> Manifest:
    """Returns the manifest with a split for every image that has none; a group is never divided.

    Each group is drawn by a hash of its own name, so images that are added later move no other, and the parts
    approach the fractions only with many groups. An image whose group already lies in a split joins it.

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
    drawn = {group: _draw(group, fractions, seed) for group in frame["group"].unique()}
    frame["split"] = frame["group"].map(drawn | _splits_of_groups(manifest))
    return Manifest.from_frame(frame)


def divided_groups(manifest: Manifest) -> list[str]:
    """Returns the groups whose images lie in several splits, in sorted order."""
    given = manifest.frame.loc[manifest.frame["split"] != ""]
    counts = given.groupby("group")["split"].nunique()
    return [str(group) for group in counts.index[counts > 1]]


def _splits_of_groups(manifest: Manifest) -> dict[str, str]:
    """Returns the split of each group that has one."""
    given = manifest.frame.loc[manifest.frame["split"] != "", ["group", "split"]]
    first = given.groupby("group")["split"].transform("first")
    divided = given.index[given["split"] != first]
    if len(divided):
        row = int(divided[0])
        raise ManifestError(
            f"group '{given['group'][row]}' lies in {first[row]} and in {given['split'][row]}; "
            "a patient's images belong in one split.",
            row=row,
            column="split",
        )
    return dict(zip(given["group"], given["split"], strict=True))


def _draw(group: str, fractions: tuple[float, float, float], seed: int) -> str:
    digest = hashlib.sha256(f"{seed}\0{group}".encode()).digest()
    point = int.from_bytes(digest[:8], "big") / 2**64
    for name, end in zip(_NAMES, accumulate(fractions), strict=True):
        if point < end:
            return name
    # The sum of the fractions may end a rounding error below 1: the last split that is wanted takes the rest.
    return [name for name, part in zip(_NAMES, fractions, strict=True) if part > 0][-1]
