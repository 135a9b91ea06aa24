"""The recipe of a pretraining run: every number that a run depends on, section by section.

The sections `run` and `model` may change when a run is continued; all others decide the weights and must stay
the same.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mermed_core.config import Count, Natural, NonNegative, Section, Share
from mermed_core.errors import RecipeError

Interval = tuple[NonNegative, NonNegative]
Side = Annotated[int, Field(ge=8, le=4096)]
Temperature = Annotated[float, Field(ge=1e-4, le=10)]


class Data(Section):
    """The images.

    Attributes:
        manifest: anything that `open_manifest` opens; environment variables such as $HOME are filled in.
        splits: the splits to train on; "" stands for rows without one.
        batch: images in a global batch, shared equally among the modalities.
        mixed_shards: shards of a modality that are shuffled together; images that are not in shards are all
            shuffled together.
        source_power: within a modality, a source's share of the batches is proportional to its number of
            images to this power: 1 treats every image alike, as in the paper, 0 every source. Shards allow
            only 1.
    """

    manifest: str
    splits: tuple[Literal["train", "val", "test", ""], ...]
    batch: Annotated[int, Field(ge=2)]
    mixed_shards: Count
    source_power: Share = 1.0  # recipes of older runs do not have it


class Encoder(Section):
    """The network and its input.

    Attributes:
        architecture: a timm name.
        start: where its weights come from, see `start_backbone`.
        image_size: side of the input when the model is used, in pixels.
        resize: how the finished model makes its input square, see `Preprocessing`.
        normalisation: mean and std of each modality as in the paper, or for all modalities those of ImageNet
            or those that timm gives for the architecture's weights.
        drop_path: rate of stochastic depth in the student.
        freeze_batch_norm: keep the batch-norm statistics of the starting weights; scales and shifts still
            learn.
        frozen_stages: how many of the encoder's first stages, with all that comes before them, keep the
            starting weights; they have few parameters but cost the most time.
    """

    architecture: str
    start: str
    image_size: Side
    resize: Literal["squash", "pad"]
    normalisation: Literal["modality", "imagenet", "timm"]
    drop_path: Share
    freeze_batch_norm: bool
    frozen_stages: Natural = 0  # recipes of older runs do not have it


class Views(Section):
    """The multi-crop. Sizes and blur in pixels, scales as fractions of the image's area.

    Attributes:
        global_count: number of large crops, the only ones that the teacher sees.
        global_size: side of a large crop.
        global_scale: range of its area.
        local_count: number of small crops, which only the student sees.
        local_size: side of a small crop.
        local_scale: range of its area.
        aspect: range of a crop's width over its height.
        rotation: largest angle in either direction, in degrees.
        flip: probability of a horizontal flip.
        jitter: strength of the jitter of brightness, contrast, saturation and hue.
        jitter_probability: probability that the colours of a crop are jittered.
        blur_sigma: range of the Gaussian blur's sigma.
        blur_first: probability that the first large crop is blurred.
        blur_other: the same for the other large crops.
        blur_local: the same for the small crops.
    """

    global_count: Count
    global_size: Side
    global_scale: Interval
    local_count: Natural
    local_size: Side
    local_scale: Interval
    aspect: Interval
    rotation: Annotated[float, Field(ge=0, le=180)]
    flip: Share
    jitter: tuple[Share, Share, Share, Annotated[float, Field(ge=0, le=0.5)]]
    jitter_probability: Share
    blur_sigma: Interval
    blur_first: Share
    blur_other: Share
    blur_local: Share


class Head(Section):
    """The projection head.

    Attributes:
        layers: number of linear layers.
        hidden: width between them.
        dim: length of the projected embedding.
    """

    layers: Count
    hidden: Count
    dim: Annotated[int, Field(ge=2)]


class Memory(Section):
    """The memory of teacher embeddings.

    Attributes:
        size: number of embeddings; every modality has an equal share.
        block_size: number of embeddings, of all modalities together, in one random block.
        prefill: fraction of the memory that the untrained teacher fills before the first step.
        by_modality: whether an image is compared only with memories of its own modality, as in the paper, or
            with all of them.
    """

    size: Count
    block_size: Count
    prefill: Share
    by_modality: bool


class Loss(Section):
    """The memory consistency loss and the KoLeo regulariser.

    Attributes:
        student_temperature: temperature of the student's softmax over the memory.
        teacher_temperature_start: the teacher's at the first step.
        teacher_temperature_end: the teacher's after its warm-up.
        koleo_weight_start: weight of KoLeo at the first step; 0 here and at the end leaves it out.
        koleo_weight_end: weight at the last step, reached along a cosine.
    """

    student_temperature: Temperature
    teacher_temperature_start: Temperature
    teacher_temperature_end: Temperature
    koleo_weight_start: NonNegative
    koleo_weight_end: NonNegative


class Distillation(Section):
    """A frozen encoder that the student's embeddings of the large crops are pulled towards.

    Attributes:
        architecture: a timm name.
        start: where its weights come from, see `start_backbone`.
        weight_start: weight of the loss 1 − cosine at the first step; 0 here and at the end leaves it out.
        weight_end: weight at the last step, reached along a cosine.
    """

    architecture: str
    start: str
    weight_start: NonNegative
    weight_end: NonNegative


class Teacher(Section):
    """The teacher, a moving average of the student.

    Attributes:
        momentum_start: momentum at the first step.
        momentum_end: momentum at the last step, reached along a cosine.
    """

    momentum_start: Share
    momentum_end: Share


class Optimiser(Section):
    """AdamW.

    Attributes:
        learning_rate: peak for a global batch of 256; scaled in proportion to the batch.
        final_learning_rate: learning rate at the last step, not scaled.
        weight_decay_start: weight decay at the first step; biases and norms have none.
        weight_decay_end: weight decay at the last step, reached along a cosine.
        betas: AdamW's decay rates of the two moments.
        layer_decay: ratio of the learning rates of a layer of the encoder and the layer after it.
        clip_norm: largest global norm of the gradient.
        patience: number of steps in a row without a finite loss after which the run stops.
    """

    learning_rate: NonNegative
    final_learning_rate: NonNegative
    weight_decay_start: NonNegative
    weight_decay_end: NonNegative
    betas: tuple[Share, Share]
    layer_decay: Share
    clip_norm: NonNegative
    patience: Count


class Schedule(Section):
    """How long the run and its warm-ups last.

    Attributes:
        unit: of the other three; an epoch has as many batches as the images fill.
        length: of the run.
        learning_rate_warmup: during which the learning rate rises linearly from 0.
        temperature_warmup: during which the teacher's temperature rises linearly.
    """

    unit: Literal["epoch", "step"]
    length: NonNegative
    learning_rate_warmup: NonNegative
    temperature_warmup: NonNegative


class Compute(Section):
    """What decides the arithmetic.

    Attributes:
        seed: of everything random.
        precision: of the networks; the loss and the memory are always in fp32.
        channels_last: memory layout for ConvNets.
        accumulate: number of parts in which a process works through its share of a batch; batch norm sees one
            part of every process at a time.
        checkpoint_activations: compute activations twice instead of keeping them.
        compile: compile the encoders with torch.compile.
    """

    seed: Natural
    precision: Literal["fp32", "bf16", "fp16"]
    channels_last: bool
    accumulate: Count
    checkpoint_activations: bool
    compile: bool


class Run(Section):
    """Where and how the run is carried out; nothing here changes the weights.

    Attributes:
        folder: holds recipe, log and checkpoints; the same command continues the run in it.
        device: "auto", or a torch device.
        workers: number of processes that read images; with 0 the training process reads them.
        log_every: steps between two lines of the log.
        checkpoint_every: steps between two checkpoints.
        keep: number of newest checkpoints that are kept; the best one is kept as well.
        tracker: "none" or a tracker that Accelerate knows, such as "tensorboard".
        monitor_every: steps between two evaluations of the val split's embeddings; 0 for none.
        monitor_images: largest number of val images of each task that are evaluated.
    """

    folder: str
    device: str
    workers: Natural
    log_every: Count
    checkpoint_every: Count
    keep: Count
    tracker: str
    monitor_every: Natural
    monitor_images: Annotated[int, Field(ge=2)]


class Model(Section):
    """The model folder that the run produces.

    Attributes:
        folder: its path; "" stands for `model` in the run's folder.
        name: short name for people.
        weights: which of the two networks is kept.
        checkpoint: that of the last step, or the one that the monitor found best (needs labels).
        interpolate: 1 keeps the trained weights, 0 the starting weights; a value between mixes them.
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


class Recipe(Section):
    """A whole pretraining run."""

    data: Data
    encoder: Encoder
    views: Views
    head: Head
    memory: Memory
    loss: Loss
    distillation: Distillation
    teacher: Teacher
    optimiser: Optimiser
    schedule: Schedule
    compute: Compute
    run: Run
    model: Model

    @model_validator(mode="after")
    def _check_sections_together(self) -> Self:
        views = self.views
        for key in ("global_scale", "local_scale", "aspect", "blur_sigma"):
            low, high = getattr(views, key)
            if not 0 < low <= high:
                raise RecipeError(f"'views.{key}' must be two numbers above 0, the smaller one first.")
        if max(views.global_scale[1], views.local_scale[1]) > 1:
            raise RecipeError("'views.global_scale' and 'views.local_scale' must end at 1 or below.")
        if views.global_count + views.local_count < 2:
            raise RecipeError("'views.local_count' is too small: the loss compares at least two views.")
        if self.memory.block_size > self.memory.size:
            raise RecipeError("'memory.block_size' must not be larger than 'memory.size'.")
        if self.model.checkpoint == "best" and not self.run.monitor_every:
            raise RecipeError("'model.checkpoint' is 'best', which needs a 'run.monitor_every' above 0.")
        if not self.data.splits:
            raise RecipeError("'data.splits' is empty; it must name at least one split.")
        if min(self.schedule.length, self.optimiser.clip_norm) <= 0:
            raise RecipeError("'schedule.length' and 'optimiser.clip_norm' must be above 0.")
        if max(self.optimiser.betas) >= 1:
            raise RecipeError("'optimiser.betas' must be below 1.")
        return self

    @property
    def blocks(self) -> int:
        """Number of blocks that each ring of the memory is cut into at every step."""
        return max(1, round(self.memory.size / self.memory.block_size))
