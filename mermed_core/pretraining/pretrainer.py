"""A pretraining run: from a recipe and a manifest to a model folder, continued where it was stopped."""

import logging
import math
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mermed_core.data.manifest import Manifest
from mermed_core.device import choose_device
from mermed_core.errors import ManifestError, TrainingError
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.pretraining.engine import Engine, Outcome, build_network
from mermed_core.pretraining.export import export_model
from mermed_core.pretraining.interruption import Interrupted, Interruption
from mermed_core.pretraining.loader import Batch, ViewDataset, load_batches
from mermed_core.pretraining.provenance import data_fingerprint
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.runfolder import RunFolder
from mermed_core.pretraining.runlog import RunLog
from mermed_core.pretraining.sampler import BalancedSampler
from mermed_core.pretraining.schedules import build_schedules
from mermed_core.pretraining.state import TrainingState
from mermed_core.pretraining.views import MultiCrop

logger = logging.getLogger(__name__)

_TRAINING, _FILLING = 0, 1  # two passes over the images under one seed


class Pretrainer:
    """One run, in the folder that its recipe names.

    Args:
        recipe: of the run.
        manifest: the images; only those of the recipe's splits are used.

    Raises:
        RecipeError: the folder holds a run of another recipe.
        ManifestError: no image is in the recipe's splits.
        ModelError: the starting weights are not found or do not fit.
        TrainingError: the folder holds a run on other images.
    """

    def __init__(self, recipe: Recipe, manifest: Manifest) -> None:
        self.recipe = recipe
        self._manifest = _in_splits(manifest, recipe.data.splits)
        self._data = data_fingerprint(self._manifest)
        self._folder = RunFolder(recipe, self._data)
        keys = [key for key in MODALITY_KEYS if key in self._data["modalities"]]
        self._modality = np.array([keys.index(key) for key in self._manifest.frame["modality"]])
        self._sampler = self._sample(_TRAINING)
        self.schedules = build_schedules(recipe, self._sampler.steps_per_epoch)
        device = choose_device(None if recipe.run.device == "auto" else recipe.run.device)
        self.engine = Engine(recipe, keys, device)
        modules = {"student": self.engine.student, "teacher": self.engine.teacher, "bank": self.engine.bank}
        self.state = TrainingState(modules, self.engine.optimiser)
        self._continued = self.state.load_newest(self._folder.checkpoints)
        self._log = RunLog(self._folder.log, step=self.state.progress.step)
        self._since = (time.monotonic(), self.state.progress.images)

    def run(self) -> Path:
        """Trains to the end and returns the model folder.

        Raises:
            Interrupted: SIGINT or SIGTERM came; the run can be continued.
            TrainingError: the loss was not finite too many times in a row.
        """
        with Interruption() as interruption:
            if self._continued:
                logger.info("continued at step %d of %d", self.state.progress.step, self.schedules.steps)
            else:
                self._fill_memory(interruption)
            self._train(interruption)
        return self._export()

    def _fill_memory(self, interruption: Interruption) -> None:
        """Fills the wanted share of every ring, so that the first step has memories to compare with."""
        bank, modalities = self.engine.bank, len(self.engine.bank.modalities)
        each = self.recipe.data.batch // modalities
        steps = math.ceil(self.recipe.memory.prefill * bank.slots / max(1, each))
        views = replace(self.recipe.views, global_count=1, local_count=0)
        dataset = self._dataset(_FILLING, MultiCrop(views))
        batches = load_batches(dataset, self._sample(_FILLING), 0, steps, workers=self.recipe.run.workers)
        for batch in tqdm(batches, "filling the memory", unit="batch", disable=None):
            self._note_unreadable(batch)
            self.engine.prefill(batch)
            if interruption.number is not None:
                raise Interrupted(interruption.number)
        logger.info("memory: %s", ", ".join(f"{key} {share:.0%}" for key, share in bank.fill().items()))

    def _train(self, interruption: Interruption) -> None:
        progress, steps = self.state.progress, self.schedules.steps
        dataset = self._dataset(_TRAINING, MultiCrop(self.recipe.views))
        batches = load_batches(dataset, self._sampler, progress.step, steps, workers=self.recipe.run.workers)
        self._since = (time.monotonic(), progress.images)
        with tqdm(total=steps, initial=progress.step, desc="pretraining", unit="step", disable=None) as bar:
            for batch in batches:
                outcome = self.engine.step(batch, progress.step, self.schedules[progress.step])
                self._count(batch, outcome)
                bar.update()
                if progress.step % self.recipe.run.log_every == 0 or progress.step == steps:
                    self._report(outcome, bar)
                stopped = interruption.number
                if stopped or progress.step % self.recipe.run.checkpoint_every == 0 or progress.step == steps:
                    self.state.save(self._folder.checkpoints, keep=self.recipe.run.keep)
                if stopped:
                    raise Interrupted(stopped)

    def _count(self, batch: Batch, outcome: Outcome) -> None:
        """Counts a step; a step that was skipped counts too, so that its batch is not met again.

        Raises:
            TrainingError: too many were skipped in a row.
        """
        progress = self.state.progress
        progress.step += 1
        progress.images += len(batch.modality)
        self._note_unreadable(batch)
        if not outcome.skipped:
            progress.skipped_in_a_row = 0
            return
        progress.skipped += 1
        progress.skipped_in_a_row += 1
        logger.warning("step %d skipped: its loss or gradient is not finite", progress.step)
        if progress.skipped_in_a_row >= self.recipe.optimiser.patience:
            raise TrainingError(
                f"The loss was not finite in {progress.skipped_in_a_row} steps in a row, the last one step "
                f"{progress.step}. Try a lower 'optimiser.learning_rate' in a 'run.folder' of its own."
            )

    def _note_unreadable(self, batch: Batch) -> None:
        for case_id, reason in batch.unreadable.items():
            if case_id not in self.state.progress.unreadable:
                self.state.progress.unreadable[case_id] = reason
                logger.warning("image %s cannot be read and is passed over: %s", case_id, reason)

    def _report(self, outcome: Outcome, bar: tqdm) -> None:
        """Writes the values of the step just done to the log and shows the main ones."""
        progress, (since, images) = self.state.progress, self._since
        speed = (progress.images - images) / max(time.monotonic() - since, 1e-9)
        self._since = (time.monotonic(), progress.images)
        self._log.write(
            step=progress.step,
            loss=_plain(outcome.loss),
            **asdict(self.schedules[progress.step - 1]),
            gradient_norm=_plain(outcome.gradient_norm),
            embedding_std=_plain(outcome.embedding_std),
            memory=self.engine.bank.fill(),
            skipped=progress.skipped,
            unreadable=len(progress.unreadable),
            images=progress.images,
            images_per_second=round(speed, 2),
        )
        loss = "none yet" if outcome.loss is None else f"{outcome.loss:.4f}"
        bar.set_postfix_str(f"{speed:.1f} images/s, loss {loss}")
        if bar.disable:
            logger.info("step %d of %d, %.1f images/s, loss %s", progress.step, bar.total, speed, loss)

    def _export(self) -> Path:
        network = self.engine.teacher if self.recipe.model.weights == "teacher" else self.engine.student
        start = build_network(self.recipe).backbone
        export_model(
            self._folder.model, network.backbone, start, self.recipe, self.state.progress, self._data
        )
        return self._folder.model

    def _sample(self, epoch: int) -> BalancedSampler:
        compute, data = self.recipe.compute, self.recipe.data
        return BalancedSampler(self._modality, batch=data.batch, seed=compute.seed, epoch=epoch)

    def _dataset(self, epoch: int, views: MultiCrop) -> ViewDataset:
        return ViewDataset(self._manifest, self._modality, views, seed=self.recipe.compute.seed, epoch=epoch)


def _in_splits(manifest: Manifest, splits: tuple[str, ...]) -> Manifest:
    chosen = manifest.select(manifest.frame["split"].isin(splits).to_numpy())
    if not len(chosen):
        raise ManifestError(f"no image is in the splits {', '.join(map(repr, splits))}.", column="split")
    return chosen


def _plain(value: float | None) -> float | None:
    """Returns None for what JSON cannot hold."""
    return value if value is not None and math.isfinite(value) else None
