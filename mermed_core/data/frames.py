"""Files of several frames or pages: how many there are, and a row of the table for each."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from mermed_core.data.file_tree import ONE_PICTURE_SUFFIXES
from mermed_core.data.manifest import Manifest
from mermed_core.errors import ImageError, NoPixelsError
from mermed_core.imaging.reader import Limits, count_frames, looks_like_image

NO_IMAGE = "files that are no images"
NO_PICTURE = "DICOM files without a picture"
TOO_MANY = f"files of more than {Limits.max_frames} frames"
_ONE_PICTURE = (b"\xff\xd8\xff", b"\x89PNG", b"BM")  # how JPEG, PNG and BMP begin


def count_readable_frames(source: bytes | Path, left_out: Counter[str], *, trusted: bool) -> int:
    """Returns how many frames of a file are to be listed; 0 for a file that is left out, which is counted.

    A damaged image counts as one frame; the error comes when it is read.

    Args:
        source: the file's bytes, or its path.
        left_out: where a file that is left out is counted, by reason.
        trusted: its name says that it is an image; any other file must look like one.
    """
    if not trusted and looks_like_image(source) is None:
        left_out[NO_IMAGE] += 1
        return 0
    try:
        frames = count_frames(source)
    except NoPixelsError:
        left_out[NO_PICTURE] += 1
        return 0
    except ImageError:
        return 1
    return limited(frames, left_out)


def frames_of_images(table: pd.DataFrame, left_out: Counter[str]) -> list[int]:
    """Returns how many frames the encoded image of each row has; 1 for a path or a stated frame."""
    if "frame" in table:
        return [1] * len(table)
    return [
        1
        if image is None or image.startswith(_ONE_PICTURE)
        else count_readable_frames(image, left_out, trusted=True)
        for image in table["image"]
    ]


def with_own_frames(table: pd.DataFrame) -> pd.DataFrame:
    """Returns a table whose column `frame` says which frame of its file an image is, and nothing else.

    A file of one picture has no frame: there the column tells of the film that the picture was cut from. It
    is kept as `frame_number` where all files are such.
    """
    if "frame" not in table:
        return table
    single = table["path"].astype(object).where(table["path"].notna(), "").str.lower()
    single = single.str.endswith(ONE_PICTURE_SUFFIXES)
    if "image" in table:
        encoded = [image is not None and image.startswith(_ONE_PICTURE) for image in table["image"]]
        single = single | pd.Series(encoded, table.index)
    if single.all():
        return table.rename(columns={"frame": "frame_number"})
    return table.assign(frame=table["frame"].astype(object).where(~single, 0))


def limited(frames: int, left_out: Counter[str]) -> int:
    """Returns the number of frames, 0 for more than are ever read; such a file is counted."""
    if frames > Limits.max_frames:
        left_out[TOO_MANY] += 1
        return 0
    return max(frames, 1)


def expand_frames(files: pd.DataFrame, frames: Sequence[int]) -> pd.DataFrame:
    """Returns a row for every frame of every file, with a column `frame` if a file has several.

    The frames of one file are one group unless the file has a group, and their case ids are the file's with
    the number of the frame behind it.

    Args:
        files: a row for each file, with a case_id.
        frames: how many frames each has; 0 leaves it out.
    """
    counts = np.asarray(frames)
    if (counts == 1).all():
        return files
    rows = files.loc[files.index.repeat(counts)].reset_index(drop=True)
    rows["frame"] = np.concatenate([np.arange(count) for count in counts] or [counts])
    several = pd.Series(np.repeat(counts, counts) > 1, rows.index)
    groups = rows["group"] if "group" in rows else pd.Series(None, rows.index, object)
    rows["group"] = groups.where(groups.notna() | ~several, rows["case_id"])
    numbered = rows["case_id"] + "/" + rows["frame"].astype(str).str.zfill(4)
    rows["case_id"] = rows["case_id"].where(~several, numbered)
    return rows


def keep_every(manifest: Manifest, step: int) -> Manifest:
    """Returns the frames 0, step, 2 · step and so on of every file; counts the others as left out."""
    if step == 1 or "frame" not in manifest.frame:
        return manifest
    selected = manifest.select(manifest.frame["frame"] % step == 0)
    others = {f"further frames (every={step})": len(manifest) - len(selected)}
    return replace(selected, left_out={**manifest.left_out, **others})
