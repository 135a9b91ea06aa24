"""A whole step with a ViT-S, ours and plain, and the pipeline that feeds it."""

import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from clock import is_gpu, seconds_of
from PIL import Image
from plain import PlainMemory, plain_step
from torch.nn import functional

from mermed_core.config import read_recipe
from mermed_core.data.manifest import Manifest
from mermed_core.modalities import MODALITY_KEYS
from mermed_core.pretraining.augmentation import draw_params
from mermed_core.pretraining.distributed import Processes
from mermed_core.pretraining.engine import Engine
from mermed_core.pretraining.loader import Batch, ViewDataset, load_batches
from mermed_core.pretraining.multicrop import MultiCrop
from mermed_core.pretraining.optimisation import build_schedules
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.sampler import BalancedSampler
from mermed_core.pretraining.student_teacher import build_student_teacher

PAPER = Path(__file__).parents[2] / "train" / "recipes" / "paper.toml"
FULL = ("encoder.architecture=vit_small_patch16_224", "data.batch=56")
SMALL = ("encoder.architecture=test_vit", "data.batch=14", "memory.size=1792", "memory.block_size=896")


def step_recipe(overrides: Sequence[str] = (), *, quick: bool = False) -> Recipe:
    """Returns the paper's recipe with a ViT-S and a batch of 56 (quick: far smaller), then with overrides."""
    own = (*(SMALL if quick else FULL), "encoder.start=random", "compute.compile=false")
    return read_recipe(Recipe, PAPER, (*own, *overrides))


def step_seconds(side: str, recipe: Recipe, device: str, *, repeats: int) -> list[float]:
    """Returns the seconds of each step of one side after a warm-up; to be called in a process of its own.

    The plain form is given views that are altered, normalised and on the device already; ours brings them
    there and does the rest in its step.
    """
    run = {"plain": _plain, "ours": _ours}[side](recipe, _batch(recipe), device)
    # On a GPU a step is short, and its libraries choose their kernels in the first ones.
    first, repeats = (3, 5 * repeats) if is_gpu(device) else (1, repeats)
    return [seconds_of(run, device) for _ in range(first + repeats)][first:]


def _batch(recipe: Recipe) -> Batch:
    generator = torch.Generator().manual_seed(0)
    count, views = recipe.data.batch, recipe.views

    def crops(number: int, size: int) -> torch.Tensor:
        return torch.randint(0, 256, (number, count, 3, size, size), generator=generator, dtype=torch.uint8)

    return Batch(
        crops(views.global_count, views.global_size),
        crops(views.local_count, views.local_size),
        torch.stack([draw_params(views, generator) for _ in range(count)], dim=1),
        torch.arange(count) * len(MODALITY_KEYS) // count,  # sorted, as equal shares as can be
        {},
    )


def _ours(recipe: Recipe, batch: Batch, device: str) -> Callable[[], object]:
    processes, schedules = Processes(device), build_schedules(recipe, 1000)
    engine = Engine(recipe, MODALITY_KEYS, processes)
    count = engine.bank.slots * len(MODALITY_KEYS)
    memories = functional.normalize(torch.randn(count, recipe.head.dim), dim=-1)
    modalities = torch.arange(count) % len(MODALITY_KEYS)
    engine.bank.add(memories.to(processes.device), modalities)
    batch = batch.pin_memory() if processes.device.type == "cuda" else batch  # as the run's loader does
    return lambda: engine.step(batch, 0, schedules[0])


def _plain(recipe: Recipe, batch: Batch, device: str) -> Callable[[], object]:
    processes = Processes(device)
    student, teacher = build_student_teacher(recipe, processes)
    place = processes.device
    for module in (*student.modules(), *teacher.modules()):  # the authors' ViT is timm's as it is
        vars(module).pop("forward", None)
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-6, weight_decay=0.04)
    memory = PlainMemory(recipe.memory.size, recipe.head.dim, recipe.memory.block_size, place)
    memories = functional.normalize(torch.randn(recipe.memory.size, recipe.head.dim), dim=-1)
    memory.add(memories.to(place), torch.arange(recipe.memory.size, device=place) % len(MODALITY_KEYS))
    views = (batch.global_views.to(place).float() / 255, batch.local_views.to(place).float() / 255)
    modality = batch.modality.to(place)
    half = recipe.compute.precision == "bf16"

    def run() -> float:
        return plain_step(
            *(student, teacher, optimiser, memory, views, modality),
            temperatures=(recipe.loss.student_temperature, recipe.loss.teacher_temperature_start),
            clip=recipe.optimiser.clip_norm,
            momentum=recipe.teacher.momentum_start,
            half=half,
        )

    return run


def pipeline_speed(recipe: Recipe, *, quick: bool, need: float, workers: int) -> dict[str, float]:
    """Returns the images/s of reading JPEGs of 512 × 512 px and cutting the paper's views."""
    skipped = 1 if quick else 5
    count, steps = 28, 4 if quick else 30
    chance = np.random.default_rng(0)
    images = []
    for _ in range(count):
        coarse = Image.fromarray(chance.integers(0, 256, (32, 32, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        coarse.resize((512, 512), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        images.append(buffer.getvalue())
    modality = np.arange(count) % len(MODALITY_KEYS)
    names = [MODALITY_KEYS[index] for index in modality]
    manifest = Manifest.from_frame(pd.DataFrame({"image": images, "modality": names, "source": "drawn"}))
    dataset = ViewDataset(manifest, modality, MultiCrop(recipe.views), seed=0)
    sampler = BalancedSampler(modality, batch=recipe.data.batch, seed=0)
    batches = iter(load_batches(dataset, sampler, range(steps + skipped), workers=workers))
    for _ in range(skipped):  # the workers have started, and what they did ahead is used up
        next(batches)
    start = time.perf_counter()
    seen = sum(len(batch.modality) for batch in batches)
    return {"images": seen / (time.perf_counter() - start), "need": need, "workers": workers}
