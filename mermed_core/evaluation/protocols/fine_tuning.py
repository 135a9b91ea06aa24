"""Fine-tuning: a copy of the whole encoder is trained on a task, with a new linear layer on top."""

import copy
import logging
import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, default_collate
from torchvision.transforms import v2
from tqdm import tqdm

from mermed_core.data.manifest import Manifest
from mermed_core.errors import EvaluationError
from mermed_core.evaluation.predictions import Predictions, predictions_on
from mermed_core.evaluation.protocols.linear_probe import measured_split
from mermed_core.evaluation.task import Task, images_of
from mermed_core.fitting.linear_heads import fit_temperature, negative_log_likelihood
from mermed_core.metrics.scores import auroc, unweighted
from mermed_core.models.backbone import Backbone
from mermed_core.models.embedder import Embedder
from mermed_core.models.heads import to_probabilities
from mermed_core.models.param_groups import layer_decay_groups
from mermed_core.models.preprocessing import Preprocessing, Statistics, normalise

logger = logging.getLogger(__name__)

_NO_NORMALISATION: Statistics = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
_WARMUP_SHARE = 0.1  # of all steps
_INFERENCE_BATCH = 64


@dataclass(frozen=True)
class FineTuning:
    """How to fine-tune.

    Attributes:
        epochs: the most there are, 1 or more.
        batch: images in a step, 2 or more.
        learning_rate: of the linear layer and the encoder's last layer, after the warm-up; above 0.
        layer_decay: factor of the learning rate from a layer to the one before it, above 0; 1 for none.
        weight_decay: of AdamW, 0 or more; biases and norms have none.
        mixup: parameter of the Beta distribution (Zhang et al. 2018); 0 for none.
        patience: training stops after this many epochs without a better val AUROC, 1 or more.
        seed: of the linear layer, the order of images, augmentation and mixup.

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
            "batch": (self.batch >= 2, "2 or more"),  # batch statistics of one image are not defined
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

    The weights of the epoch with the best val AUROC are kept (on a tie, of that with the lower loss) and
    calibrated on val; without val images, those of the last epoch, uncalibrated. During training all images
    are stored as uint8 in a private temporary folder, 150 kB each at 224 px.

    Args:
        embedder: the encoder, which stays as it is.
        manifest: where the task's images are.
        task: what they show.
        settings: how to train.
        encoder: name for the predictions.
        device: None for that of the embedder.

    Raises:
        EvaluationError: there is no test image, an image is not in the manifest, or there are no weights.
        ImageError: an image cannot be read.
        OSError: the temporary folder has no room for the images.
    """
    test = measured_split(task)
    device = device or embedder.device
    with tempfile.TemporaryDirectory(prefix="mermed-fine-tuning-") as folder:
        train, val, tested = (
            _tensors(embedder.config.preprocessing, manifest, task.split(name), Path(folder) / name)
            for name in ("train", "val", "test")
        )
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(settings.seed)
            model = Classifier(embedder, task.modality, dim=task.vectors.shape[1], classes=len(task.classes))
            temperature = _Training(model.to(device), task, train, val, settings).train()
        probabilities = to_probabilities(model.logits(tested.tensors[0]) / temperature, task.kind)
    return predictions_on(test, probabilities, encoder=encoder, protocol="fine_tuning")


class Classifier(nn.Module):
    """A copy of an encoder with a new linear layer on its embeddings.

    Args:
        embedder: the encoder, which stays as it is.
        modality: key; decides how images are normalised.
        dim: length of an embedding.
        classes: number of logits.

    Raises:
        EvaluationError: the encoder has no weights to tune.
    """

    def __init__(self, embedder: Embedder, modality: str, *, dim: int, classes: int) -> None:
        super().__init__()
        self.backbone: nn.Module = copy.deepcopy(embedder.backbone)
        if next(self.backbone.parameters(), None) is None:
            raise EvaluationError(
                f"'{embedder.config.name}' has no weights, so there is nothing to fine-tune."
            )
        self.head = nn.Linear(dim, classes)
        self._statistics = embedder.config.preprocessing.statistics(modality)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.weight.device

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Returns logits (batch, classes) of pixels (batch, 3, side, side) in 0..255."""
        return self.head(self.backbone(normalise(pixels.float() / 255, self._statistics)))

    @torch.no_grad()
    def logits(self, pixels: torch.Tensor) -> np.ndarray:
        """Returns logits (images, classes) in double precision, in evaluation mode, batch by batch."""
        self.eval()
        return torch.cat(
            [self(part.to(self.device)).double().cpu() for part in pixels.split(_INFERENCE_BATCH)]
        ).numpy()


def build_optimiser(
    model: Classifier, *, learning_rate: float, layer_decay: float, weight_decay: float
) -> torch.optim.AdamW:
    """Returns AdamW with a learning rate that falls with depth, see `layer_decay_groups`."""
    backbone = model.backbone
    encoder = backbone.encoder if isinstance(backbone, Backbone) else backbone
    groups = layer_decay_groups(encoder, model.head, layer_decay=layer_decay, weight_decay=weight_decay)
    for group in groups:
        group["lr"] = learning_rate * group.pop("lr_scale")
    return torch.optim.AdamW(groups)


def build_schedule(optimiser: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LambdaLR:
    """Returns a schedule that raises every learning rate linearly, then lowers it along half a cosine."""
    warmup = max(1, round(_WARMUP_SHARE * steps))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2

    return torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


class _Training:
    """One training run: the model, its images, and what changes from step to step."""

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
        """Trains, loads the best weights into the model and returns the temperature for its logits."""
        epochs = self._settings.epochs
        best, best_epoch, weights, epoch = (-math.inf, -math.inf), 0, {}, 0
        with tqdm(total=epochs, desc=f"fine-tuning {self._name}", unit="epoch", disable=None) as bar:
            for epoch in range(1, epochs + 1):
                self._epoch()
                score = self._score(epoch)
                if score > best:
                    best, best_epoch, weights = score, epoch, copy.deepcopy(self._model.state_dict())
                bar.set_postfix(best=best_epoch, refresh=False)
                bar.update()
                if epoch - best_epoch >= self._settings.patience:
                    break
        self._model.load_state_dict(weights)
        logger.info("%s: trained %d epochs, kept number %d", self._name, epoch, best_epoch)
        if not len(self._val_targets):
            return 1.0
        return fit_temperature(self._model.logits(self._val_pixels), self._val_targets, self._kind)

    def _epoch(self) -> None:
        """Goes through the training images once."""
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
        """Returns what is to be maximised: val AUROC, then negative loss; without val, the epoch."""
        if not len(self._val_targets):
            return 0.0, float(epoch)
        logits = self._model.logits(self._val_pixels)
        val_auroc = unweighted(auroc, self._val_targets, to_probabilities(logits, self._kind))
        # NaN where val shows a single class: then the loss decides.
        return float(np.nan_to_num(val_auroc)), -negative_log_likelihood(
            logits, self._val_targets, self._kind
        )


def _tensors(preprocessing: Preprocessing, manifest: Manifest, images: Task, file: Path) -> TensorDataset:
    """Returns pixels (images, 3, side, side) uint8 at the encoder's size, and targets (images, classes).

    The pixels lie in a new file that is read as needed: a large data set would not fit into memory.
    """
    rows = images_of(manifest, images)
    # With mean 0 and std 1 the values are whole numbers divided by 255, so that rounding loses nothing.
    resize = replace(preprocessing, neutral=_NO_NORMALISATION, modalities={})
    with file.open("xb") as opened:  # written, not mapped: a full disk is then an error, not a crash
        for row in range(len(images)):
            image = resize(rows.read_image(row).pixels)
            opened.write((image * 255).round().to(torch.uint8).numpy().tobytes())
    shape = (len(images), 3, preprocessing.image_size, preprocessing.image_size)
    pixels = torch.from_numpy(np.memmap(file, np.uint8, mode="r+", shape=shape))
    return TensorDataset(pixels, torch.from_numpy(images.targets).float())


def _augmenting_loader(train: TensorDataset, batch: int) -> DataLoader:
    """Returns batches in random order, each image randomly cropped, mirrored and changed in tone."""
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
        drop_last=len(train) > batch,  # batch statistics are not defined for a single remaining image
        collate_fn=lambda images: default_collate([(augment(pixels), target) for pixels, target in images]),
    )


def _mixed(pixels: torch.Tensor, targets: torch.Tensor, strength: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns each image and its targets mixed with those of another image (Zhang et al. 2018)."""
    share = float(torch.distributions.Beta(strength, strength).sample())
    return share * pixels + (1 - share) * pixels.flip(0), share * targets + (1 - share) * targets.flip(0)
