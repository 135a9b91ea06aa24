"""A pretraining run: from a recipe and a manifest to a model folder, continued where it was stopped."""

import logging
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mermed_core.data.fingerprint import data_fingerprint
from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError, RecipeError, TrainingError
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.pretraining.checkpoints import TrainingState, below, read_checkpoint
from mermed_core.pretraining.distributed import Ranks
from mermed_core.pretraining.engine import Engine, Outcome
from mermed_core.pretraining.export import export_model
from mermed_core.pretraining.interruption import Interrupted, Interruption
from mermed_core.pretraining.kernels import compiler_in_words
from mermed_core.pretraining.loader import Batch, ViewDataset, load_batches
from mermed_core.pretraining.monitor import Monitor
from mermed_core.pretraining.multicrop import MultiCrop
from mermed_core.pretraining.pair import build_network
from mermed_core.pretraining.progress import Reporter
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.run_folder import RunFolder
from mermed_core.pretraining.sampler import BalancedSampler, shards_of
from mermed_core.pretraining.schedules import build_schedules

logger = logging.getLogger(__name__)

_TRAINING, _FILLING = 0, 1  # two passes over the images under one seed


class Pretrainer:
    """One run, in the folder that its recipe names. Under torchrun every process makes one.

    Args:
        recipe: of the run.
        manifest: the images; those of the recipe's splits are trained on, those of val are looked at.

    Raises:
        RecipeError: the folder holds a run of another recipe, or the batch cannot be shared by the processes.
        ManifestError: no image is in the recipe's splits.
        ModelError: the starting weights are not found or do not fit.
        TrainingError: the folder holds a run on other images.
    """

    def __init__(self, recipe: Recipe, manifest: Manifest) -> None:
        self.recipe = recipe
        self.ranks = Ranks(recipe.run.device, tracker=recipe.run.tracker, folder=Path(recipe.run.folder))
        _check_shares(recipe, self.ranks.world)
        self._manifest = _in_splits(manifest, recipe.data.splits)
        self._data = data_fingerprint(self._manifest)
        self._folder = RunFolder(recipe, self._data, write=self.ranks.is_main)
        self.ranks.wait()
        keys = [key for key in MODALITY_KEYS if key in self._data["modalities"]]
        self._modality = np.array([keys.index(key) for key in self._manifest.frame["modality"]])
        self._shard = shards_of(self._manifest)
        self._sampler = self._sample(_TRAINING)
        self.schedules = build_schedules(recipe, self._sampler.steps_per_epoch)
        self.engine = Engine(recipe, keys, self.ranks)
        modules = {"student": self.engine.student, "teacher": self.engine.teacher, "bank": self.engine.bank}
        self.state = TrainingState(modules, self.engine.optimiser, self.engine.scaler)
        self._continued = self.state.load_newest(self._folder.checkpoints)
        self._monitor = Monitor(recipe, manifest) if recipe.run.monitor_every else None

    def run(self) -> Path:
        """Trains to the end and returns the model folder.

        Raises:
            Interrupted: SIGINT or SIGTERM came; the run can be continued.
            RecipeError: its kernels cannot be compiled here.
            TrainingError: the loss was not finite too many times in a row.
        """
        with Interruption() as interruption, compiler_in_words():
            if self._continued:
                logger.info("continued at step %d of %d", self.state.progress.step, self.schedules.steps)
            else:
                self._fill_memory(interruption)
            self._train(interruption)
        if self.ranks.is_main:
            self._export()
        self.ranks.wait()
        return self._folder.model

    def _fill_memory(self, interruption: Interruption) -> None:
        """Fills the wanted share of every ring, so that the first step has memories to compare with."""
        bank = self.engine.bank
        each = self.recipe.data.batch // len(bank.rings)
        steps = math.ceil(self.recipe.memory.prefill * bank.slots / max(1, each))
        views = replace(self.recipe.views, global_count=1, local_count=0)
        dataset = self._dataset(_FILLING, MultiCrop(views))
        batches = self._load(dataset, self._sample(_FILLING), range(steps))
        silent = None if self.ranks.is_main else True
        for batch in tqdm(batches, "filling the memory", unit="batch", disable=silent):
            self._note_unreadable(batch)
            self.engine.prefill(batch)
            if stopped := self.ranks.largest(interruption.number or 0):
                raise Interrupted(stopped)
        logger.info("memory: %s", ", ".join(f"{key} {share:.0%}" for key, share in bank.fill().items()))

    def _train(self, interruption: Interruption) -> None:
        progress, steps, run = self.state.progress, self.schedules.steps, self.recipe.run
        dataset = self._dataset(_TRAINING, MultiCrop(self.recipe.views))
        batches = self._load(dataset, self._sampler, range(progress.step, steps))
        reporter = Reporter(self._folder, self.ranks, self.schedules, progress.step, _flat(self.recipe))
        reporter.start(progress)
        try:
            for batch in batches:
                outcome = self.engine.step(batch, progress.step, self.schedules[progress.step])
                self._count(batch, outcome)
                reporter.bar.update()
                last = progress.step == steps
                if last or progress.step % run.log_every == 0:
                    progress.unreadable = self.ranks.merge(progress.unreadable)
                    reporter.tell_step(outcome, progress, self.engine)
                best = self._look(reporter)
                stopped = self.ranks.largest(interruption.number or 0)
                if last or best or stopped or progress.step % run.checkpoint_every == 0:
                    self._save()
                if stopped:
                    raise Interrupted(stopped)
        finally:
            reporter.close()

    def _look(self, reporter: Reporter) -> bool:
        """Looks at the embeddings when it is time to; returns whether they are the best so far."""
        progress, every = self.state.progress, self.recipe.run.monitor_every
        if self._monitor is None or (progress.step % every and progress.step != self.schedules.steps):
            return False
        best = False
        if self.ranks.is_main:
            sight = self._monitor.look(self.engine.teacher.backbone)
            reporter.tell_sight(sight, progress)
            reporter.start(progress)  # the time that this took is not the training's
            best = sight.score is not None and sight.score > (progress.best_score or 0.0)
            if best:
                progress.best_score, progress.best_step = sight.score, progress.step
        self.ranks.wait()
        return bool(self.ranks.largest(int(best)))

    def _save(self) -> None:
        self.state.progress.unreadable = self.ranks.merge(self.state.progress.unreadable)
        if self.ranks.is_main:
            self.state.save(self._folder.checkpoints, keep=self.recipe.run.keep)
        self.ranks.wait()

    def _count(self, batch: Batch, outcome: Outcome) -> None:
        """Counts a step; a step that was skipped counts too, so that its batch is not met again.

        Raises:
            TrainingError: too many were skipped in a row.
        """
        progress = self.state.progress
        progress.step += 1
        progress.images += self.recipe.data.batch
        self._note_unreadable(batch)
        if not outcome.skipped:
            progress.skipped_in_a_row = 0
            return
        progress.skipped += 1
        progress.skipped_in_a_row += 1
        if self.ranks.is_main:
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

    def _export(self) -> None:
        network, progress = self.engine.teacher, self.state.progress
        if self.recipe.model.weights == "student":
            network = self.engine.student
        if self.recipe.model.checkpoint == "best" and progress.best_step is not None:
            tensors, counts = read_checkpoint(self._folder.checkpoint(progress.best_step))
            network.load_state_dict(below(tensors, self.recipe.model.weights))
            progress = replace(progress, step=counts["step"], images=counts["images"])
        start = build_network(self.recipe).backbone
        export_model(self._folder.model, network.backbone, start, self.recipe, progress, self._data)

    def _sample(self, epoch: int) -> BalancedSampler:
        data = self.recipe.data
        return BalancedSampler(
            self._modality,
            batch=data.batch,
            seed=self.recipe.compute.seed,
            epoch=epoch,
            shard=self._shard,
            mixed_shards=data.mixed_shards,
        )

    def _dataset(self, epoch: int, views: MultiCrop) -> ViewDataset:
        return ViewDataset(self._manifest, self._modality, views, seed=self.recipe.compute.seed, epoch=epoch)

    def _load(self, dataset: ViewDataset, sampler: BalancedSampler, steps: range):  # noqa: ANN202
        ranks, workers = self.ranks, self.recipe.run.workers
        return load_batches(dataset, sampler, steps, workers=workers, rank=ranks.rank, world=ranks.world)


def _check_shares(recipe: Recipe, world: int) -> None:
    shares = world * recipe.compute.accumulate
    if recipe.data.batch % shares:
        raise RecipeError(
            f"'data.batch' is {recipe.data.batch}; it must be a multiple of {shares}: the processes "
            f"({world}) times 'compute.accumulate' ({recipe.compute.accumulate})."
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
        for section, values in asdict(recipe).items()
        for key, value in values.items()
    }
