"""A pretraining run: from a recipe and a manifest to a model folder, continued where it was stopped."""

import logging
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch.utils.data import DataLoader
from tqdm import tqdm

from mermed_core.data.fingerprint import data_fingerprint
from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError, RecipeError, TrainingError
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.pretraining.checkpoints import (
    Interrupted,
    Interruption,
    TrainingState,
    read_checkpoint,
    tensors_below,
)
from mermed_core.pretraining.distributed import Processes
from mermed_core.pretraining.engine import Engine, StepResult
from mermed_core.pretraining.export import export_model
from mermed_core.pretraining.loader import Batch, Sample, ViewDataset, load_batches
from mermed_core.pretraining.monitor import Monitor
from mermed_core.pretraining.multicrop import MultiCrop
from mermed_core.pretraining.optimisation import build_schedules
from mermed_core.pretraining.progress import Reporter
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.run_folder import RunFolder
from mermed_core.pretraining.sampler import BalancedSampler, shards_of
from mermed_core.pretraining.speedups import explain_compile_errors
from mermed_core.pretraining.student_teacher import build_student

logger = logging.getLogger(__name__)

_TRAINING, _PREFILL = 0, 1  # two passes over the images with one seed


class Pretrainer:
    """One run, in the folder that its recipe names. Under torchrun every process creates one.

    Args:
        recipe: of the run.
        manifest: the images; the recipe's splits are trained on, the val split is monitored.

    Raises:
        RecipeError: the folder holds a run of another recipe, or the recipe does not fit the data or the
            number of processes.
        ManifestError: the recipe's splits hold no image.
        ModelError: the starting weights are not found or do not fit.
        TrainingError: the folder holds a run on other images.
    """

    def __init__(self, recipe: Recipe, manifest: Manifest) -> None:
        self.recipe = recipe
        self.processes = Processes(
            recipe.run.device, tracker=recipe.run.tracker, folder=Path(recipe.run.folder)
        )
        _check_batch(recipe, self.processes.world_size)
        self._manifest = _in_splits(manifest, recipe.data.splits)
        self._shard = shards_of(self._manifest)
        if self._shard is not None and recipe.data.source_power < 1:
            raise RecipeError(
                "'data.source_power' must be 1 for shards, which are read one after the other, whatever "
                "source their images come from."
            )
        self._data = data_fingerprint(self._manifest)
        self._folder = RunFolder(recipe, self._data, write=self.processes.is_main)
        self.processes.wait()
        keys = [key for key in MODALITY_KEYS if key in self._data["modalities"]]
        self._modality = np.array([keys.index(key) for key in self._manifest.frame["modality"]])
        self._sampler = self._build_sampler(_TRAINING)
        self.schedules = build_schedules(recipe, self._sampler.steps_per_epoch)
        self.engine = Engine(recipe, keys, self.processes)
        modules = {"student": self.engine.student, "teacher": self.engine.teacher, "bank": self.engine.bank}
        self.state = TrainingState(modules, self.engine.optimiser, self.engine.scaler)
        self._continued = self.state.load_newest(self._folder.checkpoints)
        self._monitor = Monitor(recipe, manifest) if recipe.run.monitor_every else None

    def run(self) -> Path:
        """Trains to the end and returns the model folder.

        Raises:
            Interrupted: SIGINT or SIGTERM arrived; the run can be continued.
            RecipeError: its encoders cannot be compiled here.
            TrainingError: the loss was not finite too many times in a row.
        """
        with Interruption() as interruption, explain_compile_errors():
            if self._continued:
                logger.info("continued at step %d of %d", self.state.progress.step, self.schedules.steps)
            else:
                self._prefill(interruption)
            self._train(interruption)
        if self.processes.is_main:
            self._export()
        self.processes.wait()
        return self._folder.model

    def _prefill(self, interruption: Interruption) -> None:
        """Fills every ring as far as the recipe asks, so that the first step has memories to compare with."""
        bank = self.engine.bank
        each = self.recipe.data.batch // len(bank.rings)
        steps = math.ceil(self.recipe.memory.prefill * bank.slots / max(1, each))
        views = self.recipe.views.model_copy(update={"global_count": 1, "local_count": 0})
        batches = self._load(self._build_sampler(_PREFILL), range(steps), MultiCrop(views), _PREFILL)
        hidden = None if self.processes.is_main else True
        for batch in tqdm(batches, "filling the memory", unit="batch", disable=hidden):
            self._note_unreadable(batch)
            self.engine.prefill(batch)
            if stopped := self.processes.max(interruption.number or 0):
                raise Interrupted(stopped)
        logger.info("memory: %s", ", ".join(f"{key} {share:.0%}" for key, share in bank.fill().items()))

    def _train(self, interruption: Interruption) -> None:
        progress, steps, run = self.state.progress, self.schedules.steps, self.recipe.run
        views = MultiCrop(self.recipe.views)
        batches = self._load(self._sampler, range(progress.step, steps), views, _TRAINING)
        reporter = Reporter(self._folder, self.processes, self.schedules, progress.step, _flat(self.recipe))
        reporter.start(progress)
        try:
            for batch in batches:
                result = self.engine.step(batch, progress.step, self.schedules[progress.step])
                self._count(batch, result)
                reporter.bar.update()
                last = progress.step == steps
                if last or progress.step % run.log_every == 0:
                    progress.unreadable = self.processes.merge(progress.unreadable)
                    reporter.log_step(result, progress, self.engine)
                best = self._evaluate(reporter)
                stopped = self.processes.max(interruption.number or 0)
                if last or best or stopped or progress.step % run.checkpoint_every == 0:
                    self._save()
                if stopped:
                    raise Interrupted(stopped)
        finally:
            reporter.close()

    def _evaluate(self, reporter: Reporter) -> bool:
        """Evaluates the embeddings when it is time to; returns whether they are the best so far."""
        progress, every = self.state.progress, self.recipe.run.monitor_every
        if self._monitor is None or (progress.step % every and progress.step != self.schedules.steps):
            return False
        best = False
        if self.processes.is_main:
            quality = self._monitor.evaluate(self.engine.teacher.backbone)
            reporter.log_quality(quality, progress)
            reporter.start(progress)  # the time that this took does not count as training
            best = quality.score is not None and quality.score > (progress.best_score or 0.0)
            if best:
                progress.best_score, progress.best_step = quality.score, progress.step
        self.processes.wait()
        return bool(self.processes.max(int(best)))

    def _save(self) -> None:
        self.state.progress.unreadable = self.processes.merge(self.state.progress.unreadable)
        if self.processes.is_main:
            self.state.save(self._folder.checkpoints, keep=self.recipe.run.keep)
        self.processes.wait()

    def _count(self, batch: Batch, result: StepResult) -> None:
        """Counts a step; a skipped step counts too, so that its batch is not met again.

        Raises:
            TrainingError: too many steps in a row were skipped.
        """
        progress = self.state.progress
        progress.step += 1
        progress.images += self.recipe.data.batch
        self._note_unreadable(batch)
        if not result.skipped:
            progress.skipped_in_a_row = 0
            return
        progress.skipped += 1
        progress.skipped_in_a_row += 1
        if self.processes.is_main:
            logger.warning("step %d skipped: its loss or gradient is not finite", progress.step)
        if progress.skipped_in_a_row >= self.recipe.optimiser.patience:
            raise TrainingError(
                f"The loss was not finite in {progress.skipped_in_a_row} steps in a row, the last one being "
                f"step {progress.step}. Try a lower 'optimiser.learning_rate' in a new 'run.folder'."
            )

    def _note_unreadable(self, batch: Batch) -> None:
        for case_id, reason in batch.unreadable.items():
            if case_id not in self.state.progress.unreadable:
                self.state.progress.unreadable[case_id] = reason
                logger.warning("image %s cannot be read and is skipped: %s", case_id, reason)

    def _export(self) -> None:
        network, progress = self.engine.teacher, self.state.progress
        if self.recipe.model.weights == "student":
            network = self.engine.student
        if self.recipe.model.checkpoint == "best" and progress.best_step is not None:
            tensors, counts = read_checkpoint(self._folder.checkpoint(progress.best_step))
            network.load_state_dict(tensors_below(tensors, self.recipe.model.weights))
            progress = replace(progress, step=counts["step"], images=counts["images"])
        start = build_student(self.recipe).backbone
        export_model(self._folder.model, network.backbone, start, self.recipe, progress, self._data)

    def _build_sampler(self, epoch: int) -> BalancedSampler:
        data = self.recipe.data
        return BalancedSampler(
            self._modality,
            batch=data.batch,
            seed=self.recipe.compute.seed,
            epoch=epoch,
            shard=self._shard,
            mixed_shards=data.mixed_shards,
            source=self._manifest.frame["source"].to_numpy(str),
            source_power=data.source_power,
        )

    def _load(
        self, sampler: BalancedSampler, steps: range, views: MultiCrop, epoch: int
    ) -> DataLoader[Sample]:
        seed, processes = self.recipe.compute.seed, self.processes
        dataset = ViewDataset(self._manifest, self._modality, views, seed=seed, epoch=epoch)
        return load_batches(
            dataset,
            sampler,
            steps,
            workers=self.recipe.run.workers,
            rank=processes.rank,
            world_size=processes.world_size,
        )


def _check_batch(recipe: Recipe, world_size: int) -> None:
    parts = world_size * recipe.compute.accumulate
    if recipe.data.batch % parts:
        raise RecipeError(
            f"'data.batch' is {recipe.data.batch}; it must be a multiple of {parts}, the number of processes "
            f"({world_size}) times 'compute.accumulate' ({recipe.compute.accumulate})."
        )


def _in_splits(manifest: Manifest, splits: tuple[str, ...]) -> Manifest:
    chosen = manifest.select(manifest.frame["split"].isin(splits).to_numpy())
    if not len(chosen):
        raise ManifestError(f"no image is in the splits {', '.join(map(repr, splits))}.", column="split")
    return chosen


def _flat(recipe: Recipe) -> dict[str, str | float | bool]:
    """Returns a recipe's values under names such as data.batch, as trackers take them."""
    return {
        f"{section}.{key}": value if isinstance(value, str | int | float) else str(value)
        for section, values in recipe.model_dump().items()
        for key, value in values.items()
    }
