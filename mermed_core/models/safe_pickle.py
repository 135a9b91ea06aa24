"""Reads a torch file without running anything that is in it."""

from pathlib import Path
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from mermed_core.errors import ModelError


class Placeholder:
    """Stands for any object of a pickle that is neither a tensor nor a plain value."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __setstate__(self, _: Any) -> None: ...


def read_torch_file(path: Path) -> Any:
    """Returns what a torch file holds: tensors, plain values, containers; anything else is a `Placeholder`.

    torch's own reader accepts only the classes and functions that tensors need. The names of others that the
    pickle would call, such as argparse.Namespace in a training checkpoint, are mapped to `Placeholder` first.
    The tensors of a current file stay on disk until they are used.

    Raises:
        ModelError: the file is missing, damaged, or needs something that is refused all the same.
    """
    if not path.is_file():
        raise ModelError(f"There is no weights file '{path}'.")
    try:
        names = get_unsafe_globals_in_checkpoint(path) if _is_zip(path) else []
        with safe_globals([(Placeholder, name) for name in names]):  # pyright: ignore[reportArgumentType]
            return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise ModelError(f"'{path}' cannot be read as weights: {error}") from error
    except Exception as error:  # pickle errors of several modules share no base class
        reason = str(error).partition("\n")[0]
        raise ModelError(f"'{path}' holds more than weights and is not opened: {reason}") from error


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"
