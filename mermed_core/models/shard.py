"""One of several shares of the same work, which machines that know nothing of each other do side by side."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from mermed_core.errors import SettingsError

AUTOMATIC = "auto"
_STATED = re.compile(r"(\d+|auto)(?:/(\d+))?")


@dataclass(frozen=True)
class Shard:
    """A share of work that is numbered.

    Attributes:
        index: which one, from 0.
        count: how many there are.
    """

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str, environment: Mapping[str, str]) -> Self:
        """Reads `INDEX/COUNT` from 0 up, `auto`, or `auto/COUNT` where the count is not in the environment.

        Automatic are the numbers of a SLURM array or of the tasks of a SLURM job, of a torchrun worker, and
        the index of a Kubernetes job, which does not state how many there are.

        Raises:
            SettingsError: it is something else, or the environment does not say it.
        """
        match = _STATED.fullmatch(text.strip())
        if match is None:
            raise SettingsError(f"'{text}' is no shard; write INDEX/COUNT with an index from 0, or auto.")
        count = int(match[2]) if match[2] else None
        if match[1] == AUTOMATIC:
            index, known = _from(environment)
            count = known if count is None else count
        else:
            index = int(match[1])
        if count is None:
            raise SettingsError(f"'{text}' does not say how many shards there are; write {text}/COUNT.")
        if not 0 <= index < count:
            raise SettingsError(f"Of {count} shards there is no number {index}; they are numbered from 0.")
        return cls(index, count)

    def has(self, number: int) -> bool:
        """Returns whether a numbered part of the work belongs to this share."""
        return number % self.count == self.index

    def __str__(self) -> str:
        """Returns it as it is written."""
        return f"{self.index}/{self.count}"


def _from(environment: Mapping[str, str]) -> tuple[int, int | None]:
    """Returns the index and, where it is known, the count that a scheduler gave to this process."""

    def number(name: str) -> int | None:
        value = environment.get(name, "")
        return int(value) if value.isdecimal() else None

    task, first, tasks = (number(f"SLURM_ARRAY_TASK_{name}") for name in ("ID", "MIN", "COUNT"))
    if task is not None:
        return task - (first or 0), tasks
    completion = number("JOB_COMPLETION_INDEX")
    if completion is not None:
        return completion, None
    for index, count in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        found = number(index)
        if found is not None:
            return found, number(count)
    raise SettingsError(
        "Nothing here says which shard this is: no SLURM, Kubernetes job or torchrun; write INDEX/COUNT."
    )
