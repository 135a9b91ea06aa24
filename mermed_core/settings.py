"""Every environment variable that the program reads, in one typed place."""

import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
)

from mermed_core.errors import SettingsError
from mermed_core.files import BUNDLED_MODEL, DEFAULT_COLLECTION
from mermed_core.languages.catalogue import ENGLISH, languages_with
from mermed_core.urls import without_secrets

_LOCAL, _EVERYWHERE = "127.0.0.1", "0.0.0.0"
_UPLOAD = "MERMED_UPLOAD_MB"
THIS_MACHINE = (_LOCAL, "localhost", "::1")
_NAME = re.compile(r"[^\W_][\w .-]{0,39}")


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise ValueError("there is no such home folder") from error


def _listed(value: object) -> object:
    return [part for part in value.split(os.pathsep) if part.strip()] if isinstance(value, str) else value


def _search_server(text: str) -> str:
    parts = urlsplit(text.removeprefix("milvus+"))
    if text and (not text.startswith("milvus+http") or not parts.hostname):
        raise ValueError("write milvus+http://HOST:PORT")
    return text


def _known_language(code: str, info: ValidationInfo) -> str:
    known = languages_with(info.data.get("languages"))
    if code not in known:
        raise ValueError(f"choose one of {', '.join(known)}")
    return code


def _named_addresses(value: object) -> object:
    """Reads NAME=ADDRESS, with a comma between two, as pairs."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=")[::2] for part in value.split(",") if part.strip()]
    named = tuple((name.strip(), address.strip().rstrip("/")) for name, address in pairs)
    for name, address in named:
        if not _NAME.fullmatch(name):
            raise ValueError(
                "write NAME=https://HOST/PATH, a name of letters and digits, a comma between two"
            )
        _check_address(address)
    if len(dict(named)) < len(named):
        raise ValueError("every server needs a name of its own")
    return named


def _check_address(address: str) -> None:
    """Raises ValueError for an address that is not encrypted, unless it is of this machine, or holds more."""
    parts = urlsplit(address)
    encrypted = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in THIS_MACHINE)
    if not encrypted or not parts.hostname:
        raise ValueError("an address must begin with https:// (http:// only for 127.0.0.1 or localhost)")
    _ = parts.port  # raises ValueError where it is no number
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("an address must have neither user, password, query nor fragment")


Folder = Annotated[Path, AfterValidator(_expanded)]
Folders = Annotated[tuple[Folder, ...], BeforeValidator(_listed)]
Addresses = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_named_addresses)]


class Settings(BaseModel):
    """What the environment says; a variable that is unset or empty has its default.

    Each field is filled from the variable that is its alias. `markdown_table` documents them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    model: Annotated[
        Folder,
        Field(alias="MERMED_MODEL", description="Folder of the model that is served and analysed with."),
    ] = BUNDLED_MODEL
    collection: Annotated[
        Folder,
        Field(
            alias="MERMED_COLLECTION",
            description="Folder of the collection that similar cases and the map come from.",
        ),
    ] = DEFAULT_COLLECTION
    pictures: Annotated[
        Folders,
        Field(
            alias="MERMED_PICTURES",
            description="Where the pictures of cases can be had that the collection itself has none of: "
            "folders of images or of shards, parquet files or folders of them, with a colon between two. A "
            "picture comes from the first place that has it.",
        ),
    ] = ()
    beside: Annotated[
        Folder | None,
        Field(
            alias="MERMED_BESIDE",
            description="Folder of a second collection whose map stands beside the first on Explore, such as "
            "the same images as another model sees them.",
        ),
    ] = None
    notes: Annotated[
        bool,
        Field(
            alias="MERMED_NOTES",
            description="1 lets visitors tag cases and write notes on them, which are kept in the folder of "
            "the collection and read by whoever opens the page.",
        ),
    ] = False
    own_collections: Annotated[
        bool,
        Field(
            alias="MERMED_OWN_COLLECTIONS",
            description="1 lets visitors explore images of their own: a ZIP archive becomes a collection "
            "with a page that only its visitor can find. It is deleted 30 minutes after the page was last "
            "open.",
        ),
    ] = False
    folders: Annotated[
        Folders,
        Field(
            alias="MERMED_FOLDERS",
            description="Folders of this machine, with a colon between two: where visitors may bring images "
            "of their own, they may also name a folder in or below one of these. No other is opened.",
        ),
    ] = ()
    kept_collections: Annotated[
        Folder | None,
        Field(
            alias="MERMED_KEPT_COLLECTIONS",
            description="Folder in which the collections that visitors make stay, with small pictures of "
            "their images, instead of being deleted.",
        ),
    ] = None
    search: Annotated[
        str,
        AfterValidator(_search_server),
        Field(
            alias="MERMED_SEARCH",
            description="Server that searches the collection instead of this process: "
            "milvus+http://HOST:PORT, where `mermed collect push` has put it. With /NAME behind it for a "
            "collection that is not called as the folder is.",
        ),
    ] = ""
    search_token: Annotated[
        str,
        Field(
            alias="MERMED_SEARCH_TOKEN",
            description="What opens that server: USER:PASSWORD, or a key.",
            repr=False,
        ),
    ] = ""
    dicomweb: Annotated[
        Addresses,
        Field(
            alias="MERMED_DICOMWEB",
            description="DICOMweb servers that a visitor may open a study from, by the names that the page "
            "gives them: NAME=https://HOST/PATH, with a comma between two. Nothing is fetched from anywhere "
            "else, and without it nothing at all.",
        ),
    ] = ()
    dicomweb_token: Annotated[
        str,
        Field(
            alias="MERMED_DICOMWEB_TOKEN",
            description="What opens those servers: NAME=USER:PASSWORD or NAME=TOKEN, with a comma between "
            "two.",
            repr=False,
        ),
    ] = ""
    unknown: Annotated[
        Folder | None,
        Field(
            alias="MERMED_UNKNOWN",
            description="Images of none of the seven modalities that `mermed fit` learns to turn away: "
            "parquet files whose label names the kind, or a folder for each kind.",
        ),
    ] = None
    host: Annotated[
        str,
        Field(
            alias="GRADIO_SERVER_NAME",
            description="Address that the page listens on. 127.0.0.1 is reached from this machine only, "
            "0.0.0.0 from everywhere (the default on Hugging Face Spaces).",
        ),
    ] = _LOCAL
    port: Annotated[
        int, Field(alias="GRADIO_SERVER_PORT", description="Port of the page.", ge=1, le=65535)
    ] = 7860
    languages: Annotated[
        Folder | None,
        Field(
            alias="MERMED_LANGUAGES",
            description="Folder of language files of your own, such as fr.toml, which the page offers beside "
            "the shipped ones and in the place of those of the same name.",
        ),
    ] = None
    language: Annotated[
        str,
        AfterValidator(_known_language),
        Field(
            alias="MERMED_LANGUAGE",
            description="Language of the page: en, de or one of your own; the page offers the others "
            "beside it.",
        ),
    ] = ENGLISH
    upload_folder: Annotated[
        Folder | None,
        Field(
            alias="GRADIO_TEMP_DIR",
            description="Folder that uploads pass through before they are read and deleted. By default a "
            "private one is made, in memory where there is room, and removed when the page stops, or at "
            "the next start where it was killed.",
        ),
    ] = None
    upload_mb: Annotated[
        int,
        Field(
            alias=_UPLOAD,
            description="Size in MB beyond which a file is refused, whether a visitor sends it or it "
            "lies in a ZIP or a folder. A whole slide at 40× has up to some thousand; see below for the "
            "memory that it takes.",
            ge=1,
            le=16384,
        ),
    ] = 128
    space: Annotated[
        str, Field(alias="SPACE_ID", description="Set by Hugging Face Spaces; not meant to be set by hand.")
    ] = ""
    salt: Annotated[
        str,
        Field(
            alias="MERMED_SALT",
            description="Secret that goes into the pseudonyms of patients, so that nobody who guesses an "
            "identifier can check the guess. Keep it: another salt gives other pseudonyms.",
        ),
    ] = "mermed"
    data: Annotated[
        Folder | None,
        Field(
            alias="MERMED_DATA",
            description="Folder of real image sets (parquet) for the recipes and for tests on real images. "
            "Without it those tests are skipped.",
        ),
    ] = None
    cache: Annotated[
        Folder, Field(alias="MERMED_CACHE", description="Folder for copies of remote shards.")
    ] = Path("~/.cache/mermed/shards")
    cache_gb: Annotated[
        float,
        Field(
            alias="MERMED_CACHE_GB",
            description="Size in GB beyond which the oldest copies of remote shards are deleted.",
            gt=0,
            allow_inf_nan=False,
        ),
    ] = 50.0
    fetch_gb: Annotated[
        float,
        Field(
            alias="MERMED_FETCH_GB",
            description="Size in GB beyond which one remote file, a shard or a data set, is not fetched.",
            gt=0,
            allow_inf_nan=False,
        ),
    ] = 20.0
    table_gb: Annotated[
        float,
        Field(
            alias="MERMED_TABLE_GB",
            description="Size in GB, as a file or in memory, beyond which a table of remote shards is "
            "not read.",
            gt=0,
            allow_inf_nan=False,
        ),
    ] = 2.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Reads the settings.

        Args:
            environment: variables by name; default: the process's.

        Raises:
            SettingsError: names the variable whose value cannot be used.
        """
        variables = os.environ if environment is None else environment
        given = {name: value for name in VARIABLES if (value := variables.get(name, "").strip())}
        if "SPACE_ID" in given:  # a Space is reached through a proxy on another machine
            given.setdefault("GRADIO_SERVER_NAME", _EVERYWHERE)
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            problem = first["msg"].replace("Input should", "it should", 1).removeprefix("Value error, ")
            raise SettingsError(
                f"The environment variable {first['loc'][0]} is '{without_secrets(str(first['input']))}'; "
                f"{problem}."
            ) from error


def upload_bytes() -> int:
    """Returns the size of the largest file that the host allows to be read."""
    return _upload_bytes(os.environ.get(_UPLOAD, ""))


@cache  # asked for every image that is read
def _upload_bytes(megabytes: str) -> int:
    return Settings.from_environment({_UPLOAD: megabytes}).upload_mb * 2**20


VARIABLES: tuple[str, ...] = tuple(str(field.alias) for field in Settings.model_fields.values())
"""The names of all variables, in the order of the table."""


def markdown_table() -> str:
    """Returns all variables with defaults and meanings as the Markdown table that docs/host.md shows."""
    rows = [
        f"| `{field.alias}` | {_default(field.default)} | {field.description} |"
        for field in Settings.model_fields.values()
    ]
    return "\n".join(["| variable | default | meaning |", "|---|---|---|", *rows])


def _default(value: object) -> str:
    bundled = {BUNDLED_MODEL: "the bundled model", DEFAULT_COLLECTION: "the bundled collection"}
    if value is False:
        return "off"
    if value is None or value in ("", ()):
        return "none"
    return bundled[value] if isinstance(value, Path) and value in bundled else f"`{value}`"


if __name__ == "__main__":
    print(markdown_table())
