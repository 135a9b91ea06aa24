"""The run's folder: whose it is, and where things lie in it."""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

from mermed_core.config import read_recipe, write_recipe
from mermed_core.errors import RecipeError, TrainingError
from mermed_core.files import check_replaceable, write_file, write_json
from mermed_core.models.model_folder import CONFIG
from mermed_core.pretraining.checkpoints import checkpoint_of
from mermed_core.pretraining.provenance import code_revision, versions
from mermed_core.pretraining.recipe import Recipe

logger = logging.getLogger(__name__)

_MAY_CHANGE = ("run", "model")


class RunFolder:
    """Takes a folder for a run, new or to be continued; writes the resolved recipe into it first.

    Args:
        recipe: of the run.
        data: see `data_fingerprint`.
        write: False on ranks that leave the writing to the main one.

    Raises:
        RecipeError: the folder holds a run of another recipe.
        TrainingError: the folder holds a run on other images.
        OccupiedError: the folder for the model holds something else.
    """

    def __init__(self, recipe: Recipe, data: dict[str, Any], *, write: bool = True) -> None:
        self.path = Path(recipe.run.folder)
        self.checkpoints = self.path / "checkpoints"
        self.log = self.path / "log.jsonl"
        self.monitor_log = self.path / "monitor.jsonl"
        self.model = Path(recipe.model.folder) if recipe.model.folder else self.path / "model"
        check_replaceable(self.model, CONFIG)
        if write:
            self._hold_recipe(recipe)
            self._hold_provenance(data)

    def checkpoint(self, step: int) -> Path:
        """Returns where the checkpoint of a step lies."""
        return checkpoint_of(self.checkpoints, step)

    def _hold_recipe(self, recipe: Recipe) -> None:
        path = self.path / "recipe.toml"
        if path.exists() and (changed := _changed(read_recipe(Recipe, path), recipe)):
            raise RecipeError(
                f"'{self.path}' holds a run with another '{changed[0]}'; "
                "give this one a 'run.folder' of its own."
            )
        with write_file(path) as staging:
            write_recipe(recipe, staging)

    def _hold_provenance(self, data: dict[str, Any]) -> None:
        """Writes the code's commit, the versions and the data's fingerprint; adds those that came later."""
        path, now = self.path / "provenance.json", {"code": code_revision(), "versions": versions()}
        if not path.exists():
            write_json(path, {**now, "data": data, "continued": []})
            return
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["data"]["sha256"] != data["sha256"]:
            raise TrainingError(
                f"'{self.path}' holds a run on other images; give this one a 'run.folder' of its own."
            )
        if now != (held["continued"] or [{key: held[key] for key in now}])[-1]:
            logger.warning("the run was begun with other code or other versions; provenance.json names both")
            write_json(path, {**held, "continued": [*held["continued"], now]})


def _changed(old: Recipe, new: Recipe) -> list[str]:
    """Returns the keys that differ and decide the weights."""
    before, after = dataclasses.asdict(old), dataclasses.asdict(new)
    return [
        f"{section}.{key}"
        for section, values in after.items()
        if section not in _MAY_CHANGE
        for key, value in values.items()
        if before[section][key] != value
    ]
