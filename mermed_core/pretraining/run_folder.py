"""The folder of a run: which run it holds, where things are in it, its log, and what produced them."""

import json
import logging
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mermed_core.config import read_recipe, write_recipe
from mermed_core.data.sources.opener import recorded_source
from mermed_core.errors import RecipeError, TrainingError
from mermed_core.files import check_replaceable, write_file, write_json
from mermed_core.models.model_folder import CONFIG
from mermed_core.pretraining.checkpoints import checkpoint_of
from mermed_core.pretraining.recipe import Recipe

logger = logging.getLogger(__name__)

_MAY_CHANGE = ("run", "model")


class RunFolder:
    """Claims a folder for a run, new or continued, and first writes the resolved recipe into it.

    Args:
        recipe: of the run.
        data: see `data_fingerprint`.
        write: False in processes that leave the writing to the main one.

    Raises:
        RecipeError: the folder holds a run with another recipe.
        TrainingError: the folder holds a run on other images.
        OccupiedError: the model's folder holds something else.
    """

    def __init__(self, recipe: Recipe, data: dict[str, Any], *, write: bool = True) -> None:
        self.path = Path(recipe.run.folder)
        self.checkpoints = self.path / "checkpoints"
        self.log = self.path / "log.jsonl"
        self.monitor_log = self.path / "monitor.jsonl"
        self.model = Path(recipe.model.folder) if recipe.model.folder else self.path / "model"
        check_replaceable(self.model, CONFIG)
        if write:
            self._write_recipe(recipe)
            self._write_provenance(data)

    def checkpoint(self, step: int) -> Path:
        """Returns the folder of the checkpoint of a step."""
        return checkpoint_of(self.checkpoints, step)

    def _write_recipe(self, recipe: Recipe) -> None:
        source = recorded_source(recipe.data.manifest)
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"manifest": source})})
        path = self.path / "recipe.toml"
        if path.exists() and (changed := _changed(read_recipe(Recipe, path), recipe)):
            raise RecipeError(
                f"'{self.path}' holds a run with another '{changed[0]}'; give this run a new 'run.folder'."
            )
        with write_file(path) as staging:
            write_recipe(recipe, staging)

    def _write_provenance(self, data: dict[str, Any]) -> None:
        """Writes code revision, versions and the data's fingerprint; adds those of a continued run."""
        path, now = self.path / "provenance.json", {"code": code_revision(), "versions": versions()}
        if not path.exists():
            write_json(path, {**now, "data": data, "continued": []})
            return
        before = json.loads(path.read_text(encoding="utf-8"))
        if before["data"]["sha256"] != data["sha256"]:
            raise TrainingError(
                f"'{self.path}' holds a run on other images; give this run a new 'run.folder'."
            )
        if now != (before["continued"] or [{key: before[key] for key in now}])[-1]:
            logger.warning("the run was begun with other code or other versions; provenance.json lists both")
            write_json(path, {**before, "continued": [*before["continued"], now]})


class RunLog:
    """A log with one line of JSON every few steps.

    Args:
        path: of the log; lines after `step` are dropped when it is opened.
        step: number of steps that the run has done.
    """

    def __init__(self, path: Path, *, step: int) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        with write_file(path) as staging:
            staging.write_text("".join(f"{line}\n" for line in lines if _is_up_to(line, step)), "utf-8")

    def write(self, **values: Any) -> None:
        """Appends one line; it must contain `step`, the number of steps done."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")


def read_log(path: Path) -> list[dict[str, Any]]:
    """Returns the lines of a log."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def code_revision() -> str:
    """Returns the git commit of this code, with "+changes" where files differ from it, or "unknown"."""
    try:
        _git("ls-files", "--error-unmatch", Path(__file__).name)  # or installed inside another project
        commit = _git("rev-parse", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that decide the weights."""
    packages = {name: version(name) for name in ("torch", "torchvision", "timm", "accelerate", "pillow")}
    return {"python": platform.python_version(), **packages}


def _changed(old: Recipe, new: Recipe) -> list[str]:
    """Returns the keys that differ and decide the weights."""
    before, after = old.model_dump(), new.model_dump()
    return [
        f"{section}.{key}"
        for section, values in after.items()
        if section not in _MAY_CHANGE
        for key, value in values.items()
        if before[section][key] != value
    ]


def _is_up_to(line: str, step: int) -> bool:
    try:
        return json.loads(line)["step"] <= step
    except (ValueError, KeyError, TypeError):
        return False  # the last line of a process that was killed while it wrote


def _git(*arguments: str) -> str:
    answer = subprocess.run(
        ["git", *arguments],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    return answer.stdout.strip()
