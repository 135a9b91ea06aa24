"""Test images that stand in another split as well: a figure without them is one that training cannot know."""

from pathlib import Path

import numpy as np
import pandas as pd

from mermed_core.data.manifest import Manifest
from mermed_core.errors import EvaluationError

_FLAGGED, _CASE = "flagged", "case_"


def without_copies(manifest: Manifest, findings: Path) -> Manifest:
    """Returns a manifest without the test images that a check of copies flagged.

    Args:
        manifest: the images.
        findings: `leakage.csv`, which `mermed check --out` writes.

    Raises:
        EvaluationError: it is no such table, or names no image of the manifest.
    """
    try:
        table = pd.read_csv(findings, dtype=str, keep_default_na=False)
        cases = [name for name in table.columns if name.startswith(_CASE)]
        flagged = table.loc[table[_FLAGGED] == "True", cases]
    except (OSError, ValueError, KeyError) as error:
        raise EvaluationError(
            f"{findings} is no table of copies. `mermed check COLLECTION --out FOLDER` writes one: "
            "FOLDER/leakage.csv."
        ) from error
    named = set(flagged.to_numpy().ravel()) - {""}
    copies = manifest.frame["case_id"].isin(named)
    if named and not copies.any():
        raise EvaluationError(f"No image that {findings} names is among those that are evaluated.")
    return manifest.select(np.asarray(~(copies & (manifest.frame["split"] == "test"))))
