"""Fine-tuning: a copy of the whole encoder learns a task, with a new linear classifier on top."""

import copy
import logging
import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, default_collate
from torchvision.transforms import v2
from tqdm import tqdm

from mermed_core.data.manifest import Manifest
from mermed_core.errors import EvaluationError
from mermed_core.evaluation.classifier import Classifier, build_optimiser, build_schedule
from mermed_core.evaluation.predictions import Predictions, predictions_on
from mermed_core.evaluation.protocols.linear_probe import measured_split
from mermed_core.evaluation.task import Task, images_of
from mermed_core.fitting.linear_heads import fit_temperature, negative_log_likelihood
from mermed_core.metrics.scores import auroc, unweighted
from mermed_core.models.embedder import Embedder
from mermed_core.models.heads import to_probabilities
from mermed_core.models.preprocessing import Preprocessing, Statistics

logger = logging.getLogger(__name__)

_PLAIN: Statistics = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@dataclass(frozen=True)
class FineTuning:
    """How to fine-tune.

    Attributes:
        epochs: at most, 1 or more.
        batch: images in a step, 2 or more.
        learning_rate: of the classifier and the encoder's last layer, after the warm-up; above 0.
        layer_decay: factor of the learning rate from a layer to the one before it, above 0; 1 for none.
        weight_decay: of AdamW, 0 or more; biases and norms have none.
        mixup: parameter of the Beta distribution (Zhang et al. 2018); 0 for none.
        patience: epochs without a better val AUROC until it stops, 1 or more.
        seed: of classifier, order, augmentation and mixup.

    Raises:
        EvaluationError: a value is out of its range.
    """

    epochs: int = 30
    batch: int = 32
    learning_rate: float = 3e-4
    layer_decay: float = 0.75
    weight_decay: float = 0.05
    mixup: float = 0.0
    patience: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks every value; NaN is in no range."""
        ranges = {
            "epochs": (self.epochs >= 1, "1 or more"),
            "batch": (self.batch >= 2, "2 or more"),  # of one image batch statistics are not defined
            "learning_rate": (0 < self.learning_rate < math.inf, "above 0"),
            "layer_decay": (0 < self.layer_decay <= 1, "above 0 and at most 1"),
            "weight_decay": (0 <= self.weight_decay < math.inf, "0 or more"),
            "mixup": (0 <= self.mixup < math.inf, "0 or more"),
            "patience": (self.patience >= 1, "1 or more"),
        }
        for name, (fits, allowed) in ranges.items():
            if not fits:
                raise EvaluationError(f"{name} of fine-tuning must be {allowed}, not {getattr(self, name)}.")


def fine_tune(
    embedder: Embedder,
    manifest: Manifest,
    task: Task,
    *,
    settings: FineTuning,
    encoder: str,
    device: torch.device | None = None,
) -> Predictions:
    """Trains a copy of the encoder on the train split and applies it to the test split.

    The epoch with the best val AUROC is kept (of equals the lower loss) and calibrated on val; without val
    images the last one, uncalibrated. Meanwhile all images are kept as uint8 in a private temporary folder,
    150 kB each at 224 px.

    Args:
        embedder: the encoder, which stays as it is.
        manifest: where the task's images are.
        task: what they show.
        settings: how to train.
        encoder: name for the predictions.
        device: the embedder's without one.

    Raises:
        EvaluationError: there is no test image, an image is not in the manifest, or there are no weights.
        ImageError: an image cannot be read.
        OSError: the temporary folder has no room for them.
    """
    test = measured_split(task)
    device = device or embedder.device
    with tempfile.TemporaryDirectory(prefix="mermed-fine-tuning-") as folder:
        train, val, shown = (
            _tensors(embedder.config.preprocessing, manifest, task.split(name), Path(folder) / name)
            for name in ("train", "val", "test")
        )
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(settings.seed)
            model = Classifier(embedder, task.modality, dim=task.vectors.shape[1], classes=len(task.classes))
            temperature = _Run(model.to(device), task, train, val, settings).train()
        probabilities = to_probabilities(model.logits(shown.tensors[0]) / temperature, task.kind)
    return predictions_on(test, probabilities, encoder=encoder, protocol="fine_tuning")


class _Run:
    """One training: the model, its images and what changes from step to step."""

    def __init__(
        self, model: Classifier, task: Task, train: TensorDataset, val: TensorDataset, settings: FineTuning
    ) -> None:
        self._model, self._settings, self._name, self._kind = model, settings, task.name, task.kind
        self._val_pixels, self._val_targets = val.tensors[0], val.tensors[1].numpy()
        self._loader = _augmenting_loader(train, settings.batch)
        self._optimiser = build_optimiser(
            model,
            learning_rate=settings.learning_rate,
            layer_decay=settings.layer_decay,
            weight_decay=settings.weight_decay,
        )
        self._schedule = build_schedule(self._optimiser, settings.epochs * len(self._loader))

    def train(self) -> float:
        """Trains, puts the best weights into the model and returns the temperature for its logits."""
        epochs = self._settings.epochs
        best, kept, weights, epoch = (-math.inf, -math.inf), 0, {}, 0
        with tqdm(total=epochs, desc=f"fine-tuning {self._name}", unit="epoch", disable=None) as bar:
            for epoch in range(1, epochs + 1):
                self._pass()
                score = self._score(epoch)
                if score > best:
                    best, kept, weights = score, epoch, copy.deepcopy(self._model.state_dict())
                bar.set_postfix(best=kept, refresh=False)
                bar.update()
                if epoch - kept >= self._settings.patience:
                    break
        self._model.load_state_dict(weights)
        logger.info("%s: trained %d epochs, kept number %d", self._name, epoch, kept)
        if not len(self._val_targets):
            return 1.0
        return fit_temperature(self._model.logits(self._val_pixels), self._val_targets, self._kind)

    def _pass(self) -> None:
        """Goes once through the training images."""
        self._model.train()
        for pixels, targets in self._loader:
            pixels, targets = pixels.to(self._model.device), targets.to(self._model.device)
            if self._settings.mixup > 0:
                pixels, targets = _mixed(pixels, targets, self._settings.mixup)
            logits = self._model(pixels)
            if self._kind == "multilabel":
                loss = F.binary_cross_entropy_with_logits(logits, targets)
            else:
                loss = F.cross_entropy(logits, targets)
            self._optimiser.zero_grad()
            loss.backward()
            self._optimiser.step()
            self._schedule.step()

    def _score(self, epoch: int) -> tuple[float, float]:
        """Returns what is to rise: AUROC and negative loss on val; without val, the later the better."""
        if not len(self._val_targets):
            return 0.0, float(epoch)
        logits = self._model.logits(self._val_pixels)
        reached = unweighted(auroc, self._val_targets, to_probabilities(logits, self._kind))
        # NaN where val shows one class only: then the loss decides.
        return float(np.nan_to_num(reached)), -negative_log_likelihood(logits, self._val_targets, self._kind)


def _tensors(preprocessing: Preprocessing, manifest: Manifest, images: Task, file: Path) -> TensorDataset:
    """Returns pixels (images, 3, side, side) uint8 at the encoder's size, and targets (images, classes).

    The pixels are in a new file that is read as they are needed: a large set would not fit into memory.
    """
    shown = images_of(manifest, images)
    # With mean 0 and std 1 the values are whole numbers over 255, so that nothing is lost on the way back.
    resize = replace(preprocessing, neutral=_PLAIN, modalities={})
    with file.open("xb") as opened:  # written, not mapped: a full disk is then an error, not a crash
        for row in range(len(images)):
            image = resize(shown.read_image(row).pixels)
            opened.write((image * 255).round().to(torch.uint8).numpy().tobytes())
    shape = (len(images), 3, preprocessing.image_size, preprocessing.image_size)
    pixels = torch.from_numpy(np.memmap(file, np.uint8, mode="r+", shape=shape))
    return TensorDataset(pixels, torch.from_numpy(images.targets).float())


def _augmenting_loader(train: TensorDataset, batch: int) -> DataLoader:
    """Returns batches in random order, each image cropped, mirrored and toned by chance."""
    augment = v2.Compose(
        [
            v2.RandomResizedCrop(train.tensors[0].shape[-1], scale=(0.6, 1.0), antialias=True),
            v2.RandomHorizontalFlip(),
            v2.ColorJitter(brightness=0.1, contrast=0.1),
        ]
    )
    return DataLoader(
        train,
        batch,
        shuffle=True,
        drop_last=len(train) > batch,  # batch statistics are not defined for one image that is left over
        collate_fn=lambda images: default_collate([(augment(pixels), shown) for pixels, shown in images]),
    )


def _mixed(pixels: torch.Tensor, targets: torch.Tensor, strength: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns each image and its targets mixed with those of another of the batch (Zhang et al. 2018)."""
    share = float(torch.distributions.Beta(strength, strength).sample())
    return share * pixels + (1 - share) * pixels.flip(0), share * targets + (1 - share) * targets.flip(0)
