"""What is known of each data set beside its images: title, licence, caveat, names of classes."""

import tomllib
from pathlib import Path
from typing import Any

from mermed_core.errors import ManifestError

DATASETS = Path(__file__).with_name("datasets.toml")


def read_datasets(path: Path = DATASETS) -> dict[str, dict[str, Any]]:
    """Reads the facts by source.

    Raises:
        ManifestError: the file is missing or not a table of tables.
    """
    try:
        datasets = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ManifestError(f"'{path}' cannot be read as TOML: {error}.") from error
    if wrong := [name for name, facts in datasets.items() if not isinstance(facts, dict)]:
        raise ManifestError(f"'{wrong[0]}' in '{path}' is not a table; write [{wrong[0]}] above its facts.")
    return datasets
