"""Cases whose modality nothing states, and collections that were made before they had any."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa

from mermed_core.collections.case_columns import CaseColumns
from mermed_core.collections.folder import FolderChange
from mermed_core.data.manifest import Manifest
from mermed_core.data.validation import BY_FILE, BY_MODEL, KIND, TOLD_BY, UNKNOWN
from mermed_core.errors import ManifestError
from mermed_core.modalities import LEFT_OPEN

if TYPE_CHECKING:  # opening a collection needs no model
    from mermed_core.models.told_modality import ModalityTeller

COLUMNS = (TOLD_BY, KIND)


@dataclass(frozen=True)
class ToldCounts:
    """How many cases have a modality that is the model's own answer.

    Attributes:
        told: all of them.
        unknown: of these, how many the model takes for none of the seven kinds.
    """

    told: int
    unknown: int

    @classmethod
    def of(cls, records: pd.DataFrame | CaseColumns) -> "ToldCounts":
        """Counts the cases of some records."""
        told = told_by_model(records)
        if not told.any():
            return cls(0, 0)
        return cls(
            int(told.sum()), int((records[KIND] == UNKNOWN).to_numpy(bool, na_value=False)[told].sum())
        )

    def __str__(self) -> str:
        """Returns what a command prints."""
        return (
            f"the modality of {self.told} images is the model's own answer, as nothing states it; "
            f"{self.unknown} of them it takes for none of the seven kinds"
        )


def told_by_model(records: pd.DataFrame | CaseColumns) -> np.ndarray:
    """Returns a mask (cases,) of the cases whose modality the model told."""
    if TOLD_BY not in records:
        return np.zeros(len(records), bool)
    return (records[TOLD_BY] == BY_MODEL).to_numpy(bool, na_value=False)


def grouping_notes(records: pd.DataFrame | CaseColumns, rows: np.ndarray | None = None) -> tuple[str, ...]:
    """Returns the sentence that a result by modality needs where the model told some of the modalities.

    Args:
        records: of all cases.
        rows: positions of the cases that were grouped, or a mask of them; all cases without.
    """
    told = told_by_model(records)
    count = int((told if rows is None else told[rows]).sum())
    if not count:
        return ()
    return (
        f"Cases are grouped by modality; of {count:,} of them it is the model's own answer and stated by "
        "nobody.",
    )


def stated_modalities(records: pd.DataFrame | CaseColumns) -> list[str]:
    """Returns the modality that is stated of each case, `LEFT_OPEN` where the model told it."""
    return [
        LEFT_OPEN if told else str(modality)
        for modality, told in zip(records["modality"], told_by_model(records), strict=True)
    ]


def needed(teller: "ModalityTeller | None", manifest: Manifest) -> "ModalityTeller | None":
    """Returns what tells the modalities of a manifest, None where each image states its own.

    Raises:
        ManifestError: it is needed and not given.
    """
    unstated = int(manifest.without_modality().sum())
    if unstated and teller is None:
        raise ManifestError(f"nothing states the modality of {unstated} images.", column="modality")
    return teller if unstated else None


def with_told_columns(change: FolderChange) -> None:
    """Commits a collection of stated modalities with columns that say so; vectors and map stay."""
    segments = []
    for segment in change.opened.segments:
        records, count = segment.table(), len(segment)
        records = records.append_column(TOLD_BY, pa.array([BY_FILE] * count, pa.string()))
        records = records.append_column(KIND, pa.nulls(count, pa.string()))
        pictures = None if segment.thumbnails is None else segment.pictures()
        segments.append(change.segment(records, segment.vectors(), pictures))
    change.commit(change.stated.changed(segments=tuple(segments), taken_out=None))
