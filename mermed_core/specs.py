"""The little languages behind --data, --encoder and encoder.start.

    KIND:TARGET[=START][@NUMBER][?OPTION=VALUE&OPTION=VALUE]

    dicom:scans?every=5            medmnist:octmnist@64?root=DIR       phantoms:60@1
    timm:vit_small_patch16_224@160     weights:resnet18=hub:OWNER/NAME/FILE@224     pixels@32
    package:NAME                   hub:OWNER/NAME/FILE                 random

A text that begins with no kind of its language is a target by itself, such as a path.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mermed_core.errors import MermedError

_DIGITS = 18  # of a number; Python refuses to read thousands of them


class SpecError(MermedError):
    """A specification is not one of its language."""


@dataclass(frozen=True)
class Spec:
    """What a specification says; as text it is one that is parsed to the same.

    Attributes:
        kind: one of the language's kinds, or its default.
        target: what is named: a path, a URL or a name; "" for kinds that name nothing.
        start: what follows =, None without it.
        number: what follows @, None without it.
        options: what follows ?, by name.
    """

    kind: str
    target: str = ""
    start: str | None = None
    number: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Returns the specification as it is written, with its kind in front."""
        text = f"{self.kind}:{self.target}" if self.target else self.kind
        text += "" if self.start is None else f"={self.start}"
        text += "" if self.number is None else f"@{self.number}"
        return text + ("?" + "&".join(map("=".join, self.options.items())) if self.options else "")


@dataclass(frozen=True)
class Language:
    """How specifications of one use are written.

    Attributes:
        kinds: the kinds that may stand in front, each with the marks (of "=@?") of the parts that may follow
            the target.
        bare: the kinds that name nothing beyond themselves.
        default: the kind of a text that begins with none.
        default_marks: the marks that may follow in such a text.
        options: the names that may follow ?.
    """

    kinds: Mapping[str, str]
    bare: Mapping[str, str]
    default: str
    default_marks: str = ""
    options: tuple[str, ...] = ()

    def parse(self, text: str) -> Spec:
        """Returns what a specification says.

        Raises:
            SpecError: it names nothing, or a part of it is not valid.
        """
        for kind, marks in self.bare.items():
            if text == kind or (text.startswith(kind) and text[len(kind)] in marks):
                return self._parts(kind, text.removeprefix(kind), marks)
        kind, colon, rest = text.partition(":")
        if colon and kind in self.kinds:
            spec = self._parts(kind, rest, self.kinds[kind])
        else:
            spec = self._parts(self.default, text, self.default_marks)
        if not spec.target:
            raise SpecError(f"'{text}' names nothing.")
        return spec

    def _parts(self, kind: str, rest: str, marks: str) -> Spec:
        options, number, start = {}, None, None
        if "?" in marks and "?" in rest:
            rest, _, query = rest.rpartition("?")
            options = self._options(query)
        if "@" in marks and "@" in rest:
            rest, _, digits = rest.rpartition("@")
            if "/" in digits:  # the sign belongs to a path, as in hub@2/weights.pth
                rest = f"{rest}@{digits}"
            elif not digits.isdecimal() or len(digits) > _DIGITS:
                raise SpecError(f"'{digits}' after @ is not a whole number.")
            else:
                number = int(digits)
        if "=" in marks and "=" in rest:
            rest, _, start = rest.partition("=")
        return Spec(kind, rest, start, number, options)

    def _options(self, query: str) -> dict[str, str]:
        options: dict[str, str] = {}
        for part in filter(None, query.split("&")):
            name, _, value = part.partition("=")
            if name not in self.options or not value:
                raise SpecError(f"'{name}=' is not an option; these are {', '.join(self.options)}.")
            options[name] = value
        return options


DATA = Language(
    kinds={
        **dict.fromkeys(("parquet", "csv", "images", "folder", "dicom", "shards"), "?"),
        **dict.fromkeys(("medmnist", "phantoms"), "@?"),
    },
    bare={},
    default="path",
    options=("modality", "root", "every", "sha256"),
)
ENCODER = Language(
    kinds={**dict.fromkeys(("timm", "hf_hub", "hf-hub", "open_clip", "random"), "@"), "weights": "=@"},
    bare={"pixels": "@"},
    default="timm",
    default_marks="@",
)
START = Language(kinds={"package": "", "hub": ""}, bare={"random": "", "timm": ""}, default="path")


def split_name(text: str) -> tuple[str, str]:
    """Returns the name and the rest of NAME=SPEC; the name is "" in a specification without one.

    A sign of equality that belongs to the specification (weights:NAME=START) or to a path that exists is not
    read as the end of a name.
    """
    name, equals, rest = text.partition("=")
    return (name, rest) if equals and name and ":" not in name and not Path(text).exists() else ("", text)
