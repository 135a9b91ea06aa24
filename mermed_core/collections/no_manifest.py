"""What is said of a folder without a manifest: what it seems to be, and what can be done."""

import shlex
from itertools import islice
from pathlib import Path

from mermed_core.data.file_tree import MANY_FRAMES_SUFFIXES, ONE_PICTURE_SUFFIXES
from mermed_core.errors import NoCollectionError, OccupiedError

_MANIFEST = "manifest.json"
_PARTS = ("segment-*", "map-*.parquet", "gone-*.npz", "index-*.faiss")
_IMAGES = (*ONE_PICTURE_SUFFIXES, *MANY_FRAMES_SUFFIXES)
_LOOKED_AT = 10_000  # files that are looked at for an image


def no_collection(folder: Path) -> NoCollectionError:
    """Returns the error of opening a folder that has no manifest."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return NoCollectionError(f"There is no collection in '{folder}'; make one with mermed collect.")
    if not folder.is_dir():
        return NoCollectionError(f"'{folder}' is a file, and a collection is a folder.")
    if _has_parts(folder):
        return NoCollectionError(f"{_said_of_parts(folder)} {_rebuilt(folder)}")
    return NoCollectionError(f"There is no collection in '{folder}': {_holds(folder)}. {_made_of(folder)}")


def check_place(folder: Path) -> None:
    """Makes sure that writing a collection here loses nothing: it is free, empty, or holds an older one.

    Raises:
        OccupiedError: something else is there.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_dir() and ((folder / _MANIFEST).is_file() or not any(folder.iterdir())):
        return
    if folder.is_dir() and _has_parts(folder):
        raise OccupiedError(f"{_said_of_parts(folder)} {_rebuilt(folder)}")
    what = _holds(folder) if folder.is_dir() else "it is a file"
    raise OccupiedError(
        f"'{folder}' holds something else than a collection, which would be lost: {what}. "
        "Choose another place."
    )


def _has_parts(folder: Path) -> bool:
    return any(next(folder.glob(pattern), None) for pattern in _PARTS)


def _said_of_parts(folder: Path) -> str:
    return (
        f"'{folder}' holds parts of a collection but no {_MANIFEST}, the file that says which of them belong "
        "together, so that it cannot be used."
    )


def _rebuilt(folder: Path) -> str:
    name, away = shlex.quote(str(folder)), shlex.quote(f"{folder}.damaged")
    return (
        f"Put {_MANIFEST} back, or move the folder away and build the collection again: "
        f"mv {name} {away} && mermed collect --data PATH_OF_THE_IMAGES --out {name}"
    )


def _holds(folder: Path) -> str:
    """Returns what is in a folder, as the end of a sentence."""
    if (image := _an_image(folder)) is not None:
        return f"it holds images, such as '{image.relative_to(folder)}'"
    first = min(folder.iterdir())
    return f"it holds other files, such as '{first.name}'"


def _made_of(folder: Path) -> str:
    if _an_image(folder) is None:
        return "Name the folder of a collection, or make one with mermed collect."
    name, out = shlex.quote(str(folder)), shlex.quote(f"{folder}.collection")
    return f"Make a collection of them in another folder: mermed collect --data {name} --out {out}"


def _an_image(folder: Path) -> Path | None:
    files = islice(folder.rglob("*"), _LOOKED_AT)
    return next((file for file in files if file.name.lower().endswith(_IMAGES)), None)
