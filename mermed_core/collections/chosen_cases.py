"""Cases of a collection as people name them: by id, or by a group such as a patient.

A patient may be named as in the images' own table or DICOM files: the collection has the pseudonym.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mermed_core.collections.case_columns import CaseColumns
from mermed_core.collections.folder import open_folder
from mermed_core.collections.store import case_columns
from mermed_core.data.pseudonyms import pseudonym
from mermed_core.errors import CollectionError


def rows_of(
    columns: CaseColumns, name: str, cases: Sequence[str], groups: Sequence[str], source: str | None
) -> tuple[np.ndarray, list[str]]:
    """Returns the rows (some,) of cases and groups, rising, and a sentence for each that there is none of.

    Args:
        columns: of the collection.
        name: of the collection, for the sentences.
        cases: ids of cases.
        groups: groups, such as patients, by the collection's name or the identifier that it stands for.
        source: the data set that the groups are of.

    Raises:
        CollectionError: several data sets have a group of one name, and `source` does not say which is meant.
    """
    rows, unknown = [np.empty(0, np.int64)], []
    for case_id in cases:
        found = columns.rows_with("case_id", case_id)
        rows.append(found)
        if not len(found):
            unknown.append(f"The collection '{name}' has no case '{case_id}'.")
    for group in groups:
        found = np.concatenate([columns.rows_with("group", each) for each in names_of(group)])
        sources = columns["source"].iloc[found]
        if source is None and sources.nunique() > 1:
            named = ", ".join(sorted(sources.unique()))
            raise CollectionError(
                f"The group '{group}' is another in each of {named}; say with --source which one is meant."
            )
        found = found if source is None else found[(sources == source).to_numpy(bool)]
        rows.append(found)
        if not len(found):
            of = "" if source is None else f" of '{source}'"
            unknown.append(f"The collection '{name}' has no group '{group}'{of}.")
    return np.unique(np.concatenate(rows)), unknown


def names_of(group: str) -> tuple[str, str]:
    """Returns what a collection may call a group: its name, or the pseudonym of the patient's identifier."""
    return group, pseudonym(group)


def ids_of(
    folder: Path, *, cases: Sequence[str] = (), groups: Sequence[str] = (), source: str | None = None
) -> list[str]:
    """Returns the ids of cases and of the cases of groups; see `rows_of`.

    Raises:
        CollectionError: there is no collection that can be used, or it has no such case or group.
    """
    opened = open_folder(folder)
    columns = case_columns(opened)
    rows, unknown = rows_of(columns, opened.stated.name, cases, groups, source)
    if unknown:
        raise CollectionError(unknown[0])
    return [str(case_id) for case_id in columns["case_id"].iloc[rows]]
