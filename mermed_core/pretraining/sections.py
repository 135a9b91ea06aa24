"""The sections of a pretraining recipe: one for each concern, frozen, without defaults."""

from dataclasses import dataclass
from typing import Annotated, Literal

from mermed_core.config import Amount, Between, Count, Natural, Share

Interval = tuple[Amount, Amount]
Side = Annotated[int, Between(8, 4096)]
Temperature = Annotated[float, Between(1e-4, 10)]


@dataclass(frozen=True)
class Data:
    """Which images.

    Attributes:
        manifest: what `sources.open_manifest` opens; environment variables such as $HOME are filled in.
        splits: the splits to train on; "" stands for rows without one.
        batch: images in a global batch, shared equally among the modalities.
        mixed_shards: shards of a modality that are shuffled together; of a plain manifest all images are.
    """

    manifest: str
    splits: tuple[Literal["train", "val", "test", ""], ...]
    batch: Annotated[int, Between(2)]
    mixed_shards: Count


@dataclass(frozen=True)
class Encoder:
    """The network and its input.

    Attributes:
        architecture: a timm name.
        start: see `weights.start_backbone`.
        image_size: side of the input at serving, pixels.
        resize: how the finished model makes its input square, see `transforms.Preprocessing`.
        normalisation: the paper's mean and std of each modality; or for all modalities ImageNet's, or those
            that timm names for the architecture's weights.
        drop_path: stochastic depth of the student.
        freeze_batch_norm: keep the batch-norm statistics of the start (its scales and shifts still learn).
    """

    architecture: str
    start: str
    image_size: Side
    resize: Literal["squash", "pad"]
    normalisation: Literal["modality", "imagenet", "timm"]
    drop_path: Share
    freeze_batch_norm: bool


@dataclass(frozen=True)
class Views:
    """The multi-crop. Sizes in pixels, scales as shares of the image's area, sigma in pixels.

    Attributes:
        global_count: large crops; the teacher sees only these.
        global_size: their side.
        global_scale: their area.
        local_count: small crops, for the student alone.
        local_size: their side.
        local_scale: their area.
        aspect: width over height of the part cut out.
        rotation: largest angle, degrees either way.
        flip: probability of a horizontal flip.
        jitter: strength of brightness, contrast, saturation and hue.
        jitter_probability: how often colours are jittered.
        blur_sigma: range of the Gaussian blur.
        blur_first: how often the first global crop is blurred.
        blur_other: how often the other global crops are.
        blur_local: how often the local crops are.
    """

    global_count: Count
    global_size: Side
    global_scale: Interval
    local_count: Natural
    local_size: Side
    local_scale: Interval
    aspect: Interval
    rotation: Annotated[float, Between(0, 180)]
    flip: Share
    jitter: tuple[Share, Share, Share, Annotated[float, Between(0, 0.5)]]
    jitter_probability: Share
    blur_sigma: Interval
    blur_first: Share
    blur_other: Share
    blur_local: Share


@dataclass(frozen=True)
class Head:
    """The projection head: number of linear layers, width between them, length of the embedding."""

    layers: Count
    hidden: Count
    dim: Annotated[int, Between(2)]


@dataclass(frozen=True)
class Memory:
    """The memory of teacher embeddings.

    Attributes:
        size: embeddings in all; every modality owns an equal share.
        block_size: embeddings of all modalities in one random block.
        prefill: share of the memory that the starting teacher fills before the first step.
        by_modality: whether an image meets only memories of its own modality, as in the paper; else those
            of every modality.
    """

    size: Count
    block_size: Count
    prefill: Share
    by_modality: bool


@dataclass(frozen=True)
class Loss:
    """The memory consistency, and KoLeo beside it.

    Attributes:
        student_temperature: of the softmax over the memory.
        teacher_temperature_start: rises during its warm-up.
        teacher_temperature_end: from then on.
        koleo_weight_start: of the KoLeo regulariser; 0 at both ends leaves it out.
        koleo_weight_end: reached by cosine.
    """

    student_temperature: Temperature
    teacher_temperature_start: Temperature
    teacher_temperature_end: Temperature
    koleo_weight_start: Amount
    koleo_weight_end: Amount


@dataclass(frozen=True)
class Distillation:
    """A frozen encoder that the student's embeddings of the global views are kept near, see `distillation`.

    Attributes:
        architecture: a timm name.
        start: its weights, see `weights.start_backbone`.
        weight_start: of 1 − cosine beside the memory consistency; 0 at both ends leaves it out.
        weight_end: reached by cosine.
    """

    architecture: str
    start: str
    weight_start: Amount
    weight_end: Amount


@dataclass(frozen=True)
class Teacher:
    """Momentum of the teacher's moving average, from start to end by cosine."""

    momentum_start: Share
    momentum_end: Share


@dataclass(frozen=True)
class Optimiser:
    """AdamW.

    Attributes:
        learning_rate: peak for a global batch of 256; scaled in proportion to the batch.
        final_learning_rate: at the end, not scaled.
        weight_decay_start: biases and norms have none.
        weight_decay_end: reached by cosine.
        betas: of AdamW.
        layer_decay: factor of the learning rate from one layer of the encoder to the layer before it.
        clip_norm: largest global norm of the gradient.
        patience: steps in a row with a loss that is not finite before the run stops.
    """

    learning_rate: Amount
    final_learning_rate: Amount
    weight_decay_start: Amount
    weight_decay_end: Amount
    betas: tuple[Share, Share]
    layer_decay: Share
    clip_norm: Amount
    patience: Count


@dataclass(frozen=True)
class Schedule:
    """How long, in epochs or steps; an epoch has as many batches as the images fill."""

    unit: Literal["epoch", "step"]
    length: Amount
    learning_rate_warmup: Amount
    temperature_warmup: Amount


@dataclass(frozen=True)
class Compute:
    """What decides the arithmetic.

    Attributes:
        seed: of everything random.
        precision: of the networks; the loss and the memory are always in fp32.
        channels_last: memory layout for ConvNets.
        accumulate: parts that a process cuts its share of a batch into, one after the other; batch norm
            sees a part of all processes at a time.
        checkpoint_activations: compute activations twice instead of keeping them.
        compile: let torch.compile make kernels for the encoders.
    """

    seed: Natural
    precision: Literal["fp32", "bf16", "fp16"]
    channels_last: bool
    accumulate: Count
    checkpoint_activations: bool
    compile: bool


@dataclass(frozen=True)
class Run:
    """Where and how the run is carried out; none of it changes the weights.

    Attributes:
        folder: recipe, log and checkpoints; the same command continues what is there.
        device: "auto", or a torch device.
        workers: processes that read images; 0 reads in the training process.
        log_every: steps between lines of the log.
        checkpoint_every: steps between checkpoints.
        keep: checkpoints that are kept, the newest first; the best is kept beside them.
        tracker: "none" or a tracker that Accelerate knows, such as "tensorboard".
        monitor_every: steps between looks at the embeddings of the val split; 0 for none.
        monitor_images: largest number of val images of each task that are looked at.
    """

    folder: str
    device: str
    workers: Natural
    log_every: Count
    checkpoint_every: Count
    keep: Count
    tracker: str
    monitor_every: Natural
    monitor_images: Annotated[int, Between(2)]


@dataclass(frozen=True)
class Model:
    """The model folder that the run ends in.

    Attributes:
        folder: its place; "" stands for `model` in the run's folder.
        name: short name for people.
        weights: whose weights are kept.
        checkpoint: of the last step, or of the one that the monitor found best (needs labels).
        interpolate: 1 keeps the trained weights, 0 those of the start, between them their mixture.
        licence: of the weights.
        description: sentences for the model card.
    """

    folder: str
    name: str
    weights: Literal["teacher", "student"]
    checkpoint: Literal["last", "best"]
    interpolate: Share
    licence: str
    description: str
