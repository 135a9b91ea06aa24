"""What a collection's manifest states: the one file that says which others belong to it."""

import hashlib
import json
import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mermed_core.collections.collection import Description
from mermed_core.collections.no_manifest import no_collection
from mermed_core.collections.sources import SourceFacts, source_facts
from mermed_core.errors import CollectionError
from mermed_core.files import FileSum

FORMAT = 3
MANIFEST = "manifest.json"
_DIGITS = 12
_PLAIN = r"^[a-z]+(-[0-9a-f]+)?(\.[a-z]+)?$"  # names of files are never paths


class _Stated(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class ForbiddenError(CollectionError):
    """A file is there, but whoever runs the program may not read it; nothing is wrong with the collection."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"'{path}' may not be read by the user who runs this; give that user the right to read the "
            "collection's folder and all that is in it."
        )


class StatedFile(_Stated):
    """A file of the collection, with what `files.FileSum` says of it."""

    name: str = Field(pattern=_PLAIN)
    size: int
    sha256: str
    sample: str

    @classmethod
    def of(cls, path: Path) -> Self:
        """Reads a file."""
        return cls(name=path.name, **FileSum.of(path).to_dict())

    @property
    def sums(self) -> FileSum:
        """What the file must be."""
        return FileSum(self.size, self.sha256, self.sample)


class StatedSegment(_Stated):
    """Some cases, in a folder that never changes; the name follows from what is in it.

    Attributes:
        name: of the folder.
        rows: cases in it, those that were taken out among them.
        files: in the folder.
    """

    name: str = Field(pattern=_PLAIN)
    rows: int = Field(gt=0)
    files: tuple[StatedFile, ...]

    @classmethod
    def of(cls, rows: int, files: Iterable[StatedFile]) -> Self:
        """Names a segment after its files."""
        files = tuple(files)
        digest = hashlib.sha256("".join(f"{file.name}\0{file.sha256}\0" for file in files).encode())
        return cls(name=f"segment-{digest.hexdigest()[:_DIGITS]}", rows=rows, files=files)

    def file(self, name: str) -> StatedFile | None:
        """Returns a file of the segment, None where it has none of this name."""
        return next((file for file in self.files if file.name == name), None)


class StatedBroken(_Stated):
    """An image that could not be read.

    Attributes:
        reason: why.
        source: its data set.
        group: its group, such as a patient, with whom it is removed.
    """

    reason: str
    source: str = ""
    group: str = ""


class Stated(_Stated):
    """The manifest.

    Attributes:
        format: of the folder.
        name: short name for people.
        text: what it holds.
        synthetic: whether its images are drawn.
        fingerprint: of the model and the retrieval space that made the vectors.
        encoder: see `Description.encoder`.
        sources: facts about the data sets, see `SourceFacts`.
        cases: how many there are.
        dim: numbers of a vector.
        state: changes with the cases and their vectors; the index bears it in its name.
        segments: in order; the cases of one come after those of the one before.
        taken_out: rows of segments that do not count any more; None where all do.
        map: the map.
        broken: images that could not be read, by the id that they would have as a case.
        left_out: how many files or rows of the sources are no case, by reason.
    """

    format: int
    name: str
    text: str
    synthetic: bool
    fingerprint: str
    encoder: str = ""
    sources: dict[str, Any]
    cases: int
    dim: int
    state: str = Field(pattern=r"^[0-9a-f]{64}$")
    segments: tuple[StatedSegment, ...]
    taken_out: StatedFile | None = None
    map: StatedFile
    broken: dict[str, StatedBroken] = {}
    left_out: dict[str, int] = {}

    @property
    def description(self) -> Description:
        """What the collection states about itself; raises CollectionError where it is no such thing."""
        return Description(self.name, self.text, self.synthetic, self.fingerprint, self.facts, self.encoder)

    @property
    def facts(self) -> dict[str, SourceFacts]:
        """The facts about the data sets."""
        return source_facts(self.sources)

    def changed(self, **values: Any) -> "Stated":
        """Returns the manifest with other values."""
        return self.model_copy(update=values)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return self.model_dump(mode="json")


def stated_broken(broken: Mapping[str, str], frame: pd.DataFrame) -> dict[str, StatedBroken]:
    """Returns what is stated about images that could not be read.

    Args:
        broken: reasons by id.
        frame: the table of the images, which says whose each was.
    """
    owners = frame[frame["case_id"].isin(broken.keys())]
    known = dict(zip(owners["case_id"], zip(owners["source"], owners["group"], strict=True), strict=True))
    stated = {}
    for name, reason in broken.items():
        source, group = known.get(name, ("", ""))
        stated[name] = StatedBroken(reason=reason, source=source, group=group)
    return stated


def next_state(before: str, *changes: str) -> str:
    """Returns what the state becomes by a change that is named by some texts."""
    return hashlib.sha256("\0".join((before, *changes)).encode()).hexdigest()


def read_stated(folder: Path) -> Stated:
    """Reads the manifest of a collection.

    Raises:
        CollectionError: there is none, it is damaged or of another format.
    """
    path = folder / MANIFEST
    try:
        if not path.is_file():
            raise no_collection(folder)
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, Mapping):
            raise TypeError("it is no table")
        if content.get("format") != FORMAT:
            raise CollectionError(_other_format(folder, content.get("format")))
        stated = Stated.model_validate_json(json.dumps(content))
        if any(segment.name != StatedSegment.of(1, segment.files).name for segment in stated.segments):
            raise TypeError("a segment is not named after its files")
        return stated
    except PermissionError as error:
        raise ForbiddenError(path) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CollectionError(damaged(folder, f"'{MANIFEST}' states no usable '{where}'")) from error
    except (OSError, ValueError, TypeError) as error:
        raise CollectionError(damaged(folder, f"'{MANIFEST}' cannot be read ({error})")) from error


def damaged(folder: Path, reason: str) -> str:
    """Returns the sentence about a collection that cannot be used, with the command that builds it again."""
    return f"The collection in '{folder}' is damaged: {reason}. Build it again: {building(folder)}"


def building(folder: Path) -> str:
    """Returns the command that builds a collection anew, to be copied into a shell."""
    return f"mermed collect --data PATH_OF_THE_IMAGES --out {shlex.quote(str(folder))}"


def unfit(path: Path) -> CollectionError:
    """Returns what is wrong with a file that is not what the manifest states."""
    try:
        forbidden = path.exists() and not os.access(path, os.R_OK)
    except PermissionError:
        forbidden = True
    return ForbiddenError(path) if forbidden else CollectionError(f"'{path}' is missing or damaged")


def _other_format(folder: Path, number: Any) -> str:
    if isinstance(number, int) and number > FORMAT:
        return (
            f"The collection in '{folder}' is of format {number}: a newer version has made it, and this one "
            f"reads format {FORMAT}. Update this program, or make the collection in another folder."
        )
    if number == FORMAT - 1:
        return (
            f"The collection in '{folder}' is of format {number}, and this version reads format {FORMAT}; "
            f"bring it up to date: mermed collect migrate {shlex.quote(str(folder))}"
        )
    return (
        f"The collection in '{folder}' is of format {number}, and this version reads format {FORMAT}; build "
        f"it again: mermed collect --data PATH_OF_THE_IMAGES --out {shlex.quote(str(folder))}"
    )
