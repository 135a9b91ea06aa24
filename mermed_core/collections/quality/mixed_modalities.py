"""Cases that look like another modality than is stated of them: their neighbours vote.

A modality that the model told is no statement: it follows from the same embedding as the neighbours, so it
would agree with them whatever the image is. Such cases are neither doubted nor asked.
"""

import numpy as np
import pandas as pd

from mermed_core.collections.collection import Collection
from mermed_core.collections.quality.doubtful_labels import label_doubts
from mermed_core.collections.quality.findings import CheckResult, Suspect, ranked
from mermed_core.collections.quality.neighbourhood import Neighbourhood
from mermed_core.collections.told import told_by_model
from mermed_core.modalities import MODALITIES

NAME = "modalities"
_MAJORITY = 0.5


def check_modalities(collection: Collection, neighbours: Neighbourhood, most: int) -> CheckResult:
    """Ranks the cases by how many of their neighbours state another modality."""
    records = collection.records
    told = told_by_model(records)
    codes, names = pd.factorize(records["modality"].where(~told), sort=True)  # −1 where nothing is stated
    doubts = label_doubts(codes.astype(np.int64), neighbours, np.arange(len(records)))
    suspects = []
    for row, doubt, proposed in zip(doubts.rows, doubts.doubt, doubts.proposed, strict=True):
        if doubt > 0 and proposed != codes[row]:
            stated, seems = (MODALITIES[str(names[code])].name for code in (codes[row], proposed))
            suspects.append(
                Suspect(
                    float(doubt),
                    f"stated as {stated}, but {doubt:.0%} of its neighbours' votes are for another modality, "
                    f"most for {seems}",
                    (str(records["case_id"].iat[row]),),
                    bool(doubt >= _MAJORITY),
                    {"modality": str(names[codes[row]]), "proposed": str(names[proposed])},
                )
            )
    return CheckResult(
        NAME,
        "Mixed-up modalities",
        "The share of the nearest cases of other patients, weighted by similarity, that state another "
        "modality.",
        "Not measured on real images: a list to look through, not a verdict.",
        ranked(suspects, most),
        _MAJORITY,
        _notes(int(told.sum()), len(names)),
    )


def _notes(told: int, stated: int) -> tuple[str, ...]:
    """Returns what limits the check: cases without a stated modality, and fewer than two that are stated."""
    notes = []
    if told:
        notes.append(
            f"The modality of {told:,} cases is the model's own answer and stated by nobody, so there is "
            "nothing of them to be mixed up."
        )
    if stated == 1:
        notes.append("All cases are of one modality, so there is none to mistake it for.")
    return tuple(notes)
