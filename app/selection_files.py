"""A selection as files to take along: a table, a table for `mermed evaluate`, the small pictures."""

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mermed_core.collections.annotations import Annotations
from mermed_core.collections.collection import Collection
from mermed_core.collections.told import told_by_model
from mermed_core.data.validation import FILE
from mermed_core.errors import CollectionError

from .components import case_table
from .texts import map_text

MOST_PICTURES = 5000  # in one archive, some 50 MB that are held in memory


@dataclass(frozen=True)
class SelectionFile:
    """A file that a visitor takes along.

    Attributes:
        name: of the file.
        media_type: of its content.
        content: its bytes.
    """

    name: str
    media_type: str
    content: bytes


def table_file(
    collection: Collection, positions: np.ndarray, written: Annotations | None = None
) -> SelectionFile:
    """Returns the cases in some rows as CSV for a spreadsheet, with what is written about them."""
    text = case_table.to_csv(case_table.frame(collection, positions, written))
    return SelectionFile("cases.csv", "text/csv", text.encode())


def manifest_file(
    collection: Collection, positions: np.ndarray, _: Annotations | None = None
) -> SelectionFile:
    """Returns the cases in some rows as a table of images that `mermed evaluate --data` reads.

    Paths are the names of the images' own files: the table is to lie in the folder of the images. A modality
    that the model told is not in it, as the table would state it.

    Raises:
        CollectionError: of a case it is not known what its file is called.
    """
    records = collection.records.iloc[positions]
    files = records[FILE] if FILE in records else pd.Series("", records.index)
    if (files == "").any():
        raise CollectionError(map_text.no_files(int((files == "").sum()), len(records)))
    labels = ["|".join(names) if names is not None and len(names) else "|" for names in records["labels"]]
    table = pd.DataFrame({"image_path": files, "image_id": records["case_id"], "labels": labels})
    further = [name for name in ("modality", "source", "group", "split", "frame") if name in records]
    table = pd.concat([table, records[further]], axis=1)
    table["modality"] = table["modality"].where(~told_by_model(records), "")
    return SelectionFile("manifest.csv", "text/csv", table.to_csv(index=False).encode())


def pictures_file(
    collection: Collection, positions: np.ndarray, written: Annotations | None = None
) -> SelectionFile:
    """Returns the small pictures of the cases in some rows as a ZIP, with their table.

    Raises:
        CollectionError: there is no picture, or there are too many.
    """
    if len(positions) > MOST_PICTURES:
        raise CollectionError(map_text.too_many_pictures(MOST_PICTURES))
    buffer, found = io.BytesIO(), 0
    with zipfile.ZipFile(buffer, "w") as archive:  # JPEGs shrink no further
        for number, case_id in enumerate(collection.records["case_id"].iloc[positions]):
            if (picture := collection.thumbnail(str(case_id))) is None:
                continue
            found += 1
            safe = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in str(case_id))
            archive.writestr(f"pictures/{number:05}_{safe}.jpg", picture)
        archive.writestr("cases.csv", table_file(collection, positions, written).content)
    if not found:
        raise CollectionError(map_text.NO_PICTURES)
    return SelectionFile("pictures.zip", "application/zip", buffer.getvalue())


FILES: dict[str, Callable[[Collection, np.ndarray, Annotations | None], SelectionFile]] = {
    "table": table_file,
    "manifest": manifest_file,
    "pictures": pictures_file,
}
