"""What a collection states about the data sets that its cases come from."""

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from mermed_core.errors import CollectionError


@dataclass(frozen=True, config=ConfigDict(extra="ignore"))
class SourceFacts:
    """One data set.

    Attributes:
        title: its name for people.
        licence: as best known; "" where it is not stated.
        home: address of the page from which its images can be had; "" where none is known. Nothing but a web
            address, as the page makes a link of it.
        names: what its labels are called for people, by label; a label without an entry speaks for itself.
    """

    title: str = ""
    licence: str = ""
    home: Annotated[str, Field(pattern=r"^(https?://\S+)?$")] = ""
    names: dict[str, str] = field(default_factory=dict)


_FACTS = TypeAdapter(dict[str, SourceFacts])


def source_facts(stated: Mapping[str, Any], sources: Iterable[str] | None = None) -> dict[str, SourceFacts]:
    """Reads the facts about some data sets, by source; a source of which nothing is known is left out.

    Args:
        stated: tables of facts by source, such as a collection's manifest or `datasets.toml`.
        sources: which sources are wanted; None for all.

    Raises:
        CollectionError: they are not such tables.
    """
    wanted = stated if sources is None else sorted(set(sources) & stated.keys())
    try:
        return _FACTS.validate_python({name: stated[name] for name in wanted})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise CollectionError(f"What is stated about '{place}' cannot be used: {first['msg']}.") from error
