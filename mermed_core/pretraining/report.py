"""The report of a run: curves from its logs, nearest neighbours of a few images, and its recipe."""

import base64
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch

from mermed_core.data.manifest import Manifest
from mermed_core.errors import TrainingError
from mermed_core.modalities import MODALITIES
from mermed_core.models.backbone import Backbone
from mermed_core.models.embedder import Embedder, Embeddings, embed_manifest
from mermed_core.models.model_folder import CONFIG, ModelConfig, load_model
from mermed_core.pretraining.checkpoints import checkpoints, read_checkpoint, tensors_below
from mermed_core.pretraining.export import preprocessing_of
from mermed_core.pretraining.recipe import Recipe
from mermed_core.pretraining.run_folder import read_log
from mermed_core.reports.charts import ACCENT, lay_out
from mermed_core.reports.document import Chart, Charts, Code, Facts, Note, Picture, Pictures, Report, Section
from mermed_core.search.neighbours import nearest

logger = logging.getLogger(__name__)

Lines = list[dict[str, Any]]

_NEIGHBOURS = 5
_NEIGHBOURS_TEXT = (
    "One image of each modality and its nearest neighbours from other patients. These are images of the "
    "training data: share this page only as you may share them."
)


@dataclass(frozen=True)
class Curve:
    """A small chart of what a log holds under `key`: a number, or a table by modality.

    Attributes:
        title: heading.
        key: of a log line.
        axis: what the values are, with the unit.
        note: a sentence below the heading.
    """

    title: str
    key: str
    axis: str
    note: str


LOG_CURVES = (
    Curve("Loss", "loss", "cross-entropy, nats", "Memory consistency. It rises while the memory fills."),
    Curve("KoLeo", "koleo", "−log distance, nats", "Falls as the embeddings spread."),
    Curve("Distillation", "distillation", "1 − cosine", "Distance to the frozen encoder."),
    Curve("Gradient norm", "gradient_norm", "global norm", "Before clipping."),
    Curve(
        "Spread of the batch",
        "embedding_std",
        "standard deviation × √dim",
        "1 for random directions, 0 after a collapse.",
    ),
    Curve("Memory", "memory", "share filled", "One ring per modality."),
    Curve("Learning rate", "learning_rate", "rate", "As applied, before layer decay."),
    Curve("Weight decay", "weight_decay", "factor", "As applied."),
    Curve("Teacher momentum", "momentum", "share kept", "As applied."),
    Curve("Teacher temperature", "teacher_temperature", "temperature", "As applied."),
    Curve("KoLeo weight", "koleo_weight", "factor", "As applied."),
    Curve("Distillation weight", "distillation_weight", "factor", "As applied."),
    Curve("Speed", "images_per_second", "images/s", "All processes together."),
)
MONITOR_CURVES = (
    Curve("kNN AUROC", "knn_auroc", "AUROC", "Votes of the 20 nearest val images of other patients."),
    Curve("Rank", "embedding_rank", "effective rank", "How many directions the val embeddings spread over."),
    Curve("Spread", "embedding_std", "standard deviation", "Of the val embeddings; 0 after a collapse."),
)


@dataclass(frozen=True)
class Example:
    """An image and its nearest neighbours from other patients.

    Attributes:
        modality: key.
        pictures: the image itself, then its neighbours, the nearest first.
        similarities: cosines to the neighbours.
    """

    modality: str
    pictures: tuple[Picture, ...]
    similarities: tuple[float, ...]


def read_run(run: Path) -> tuple[Lines, Lines, dict[str, Any]]:
    """Returns the lines of the log and of the monitor, and the provenance; what is not there yet is empty.

    Raises:
        TrainingError: the folder holds no run, or its files are damaged.
    """
    if not (run / "recipe.toml").is_file():
        raise TrainingError(f"'{run}' holds no run: recipe.toml is missing.")
    try:
        log, monitor = (
            read_log(path) if (path := run / name).exists() else [] for name in ("log.jsonl", "monitor.jsonl")
        )
        path = run / "provenance.json"
        provenance = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise TrainingError(f"The logs in '{run}' are damaged: {error}") from error
    return log, monitor, provenance


def run_report(run: Path, recipe: Recipe, examples: list[Example] | None, missing: str = "") -> Report:
    """Returns the report of a run, which may still be going on.

    Args:
        run: folder of the run.
        recipe: the resolved one.
        examples: see `find_examples`; None where they are not wanted or cannot be had.
        missing: why there are none.

    Raises:
        TrainingError: the folder holds no run.
    """
    log, monitor, provenance = read_run(run)
    resolved = (run / "recipe.toml").read_text(encoding="utf-8")
    sections = [
        Section("About this run", "", (Facts(_facts(recipe, provenance)),)),
        *_chart_section("Embeddings of the val split", MONITOR_CURVES, monitor),
        *_chart_section("Training", LOG_CURVES, log),
        *_neighbour_section(examples, missing),
        Section("Recipe", "", (Code(resolved),)),
    ]
    notes = (Note(summary(log)), *(Note(text, warning=True) for text in problems(log, monitor)))
    return Report(recipe.model.name, notes, tuple(sections), contents=False)


def summary(log: Lines) -> str:
    """Returns how far the run has come, in a sentence."""
    if not log:
        return "No step has been logged yet."
    last = log[-1]
    loss = "none yet" if last.get("loss") is None else f"{last['loss']:.4f}"
    return f"Step {last['step']:,}, {last.get('images', 0):,} images seen, loss {loss}."


def problems(log: Lines, monitor: Lines) -> list[str]:
    """Returns a sentence for everything that a reader should know before looking at the curves."""
    sentences = []
    if monitor and (collapsed := monitor[-1].get("collapsed")):
        sentences.append(f"The embeddings have collapsed: {', '.join(map(_name, collapsed))}.")
    last = log[-1] if log else {}
    if skipped := last.get("skipped"):
        sentences.append(f"{skipped} steps were skipped because a value was not finite.")
    if unreadable := last.get("unreadable"):
        sentences.append(f"{unreadable} images could not be read and were skipped.")
    if filling := [key for key, share in last.get("memory", {}).items() if share < 1]:
        sentences.append(f"The memory is not full yet: {', '.join(map(_name, filling))}.")
    return sentences


def draw_curve(curve: Curve, lines: Lines) -> go.Figure | None:
    """Returns the chart, or None where the log holds nothing for it."""
    series: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in _values(line.get(curve.key)).items():
            series.setdefault(name, []).append((line["step"], value))
    if not any(value for points in series.values() for _, value in points):
        return None
    figure = go.Figure()
    for name, points in series.items():
        steps, values = zip(*points, strict=True)
        key, _, task = name.partition("/")
        figure.add_scatter(
            x=list(steps),
            y=list(values),
            name=f"{_name(key)} · {task}" if task else _name(key),
            mode="lines+markers" if len(points) < 30 else "lines",
            line={"width": 2, "color": MODALITIES[key].colour if key in MODALITIES else ACCENT},
            marker={"size": 5},
        )
    return lay_out(figure, x="step", y=curve.axis, plot=200, legend=False)


def find_examples(run: Path, recipe: Recipe, manifest: Manifest, *, images: int) -> list[Example]:
    """Returns one example of each modality, found among a sample of the data.

    Args:
        run: folder of the run; its model is used, or else the teacher of its newest checkpoint.
        recipe: of the run.
        manifest: its data; the val split is used where there is one.
        images: size of the sample, divided equally among the modalities.

    Raises:
        TrainingError: the run has no weights yet.
        ManifestError: not one image can be read.
    """
    sample = _sample(manifest, images, recipe.compute.seed)
    backbone, config = _encoder(run, recipe)
    embedder = Embedder(backbone, config, "", torch.device("cpu"))
    embeddings = embed_manifest(embedder, sample, thumbnails=True)
    modality = embeddings.manifest.frame["modality"].to_numpy()
    return [_example(embeddings, int(np.flatnonzero(modality == key)[0])) for key in np.unique(modality)]


def _name(key: str) -> str:
    return MODALITIES[key].name if key in MODALITIES else key


def _values(value: Any) -> dict[str, float]:
    """Returns the numbers in a log's value under names such as ct/busi; a single number has an empty name."""
    if isinstance(value, dict):
        return {
            f"{key}/{inner}" if inner else str(key): number
            for key, each in value.items()
            for inner, number in _values(each).items()
        }
    return {"": float(value)} if isinstance(value, int | float) else {}


def _facts(recipe: Recipe, provenance: dict[str, Any]) -> dict[str, str]:
    encoder, memory = recipe.encoder, recipe.memory
    data, versions = provenance.get("data", {}), provenance.get("versions", {})
    images = ", ".join(f"{_name(key)} {count:,}" for key, count in data.get("modalities", {}).items())
    return {
        "Encoder": f"{encoder.architecture}, {encoder.image_size} px, from {encoder.start}",
        "Images": f"{data['images']:,}: {images}" if data else "not recorded",
        "Data": f"sha256 {data['sha256'][:16]}" if data else "not recorded",
        "Code": str(provenance.get("code", "not recorded")),
        "Versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "Batch": f"{recipe.data.batch} images, {memory.size:,} memories, blocks of {memory.block_size:,}",
    }


def _chart_section(title: str, curves: tuple[Curve, ...], lines: Lines) -> Iterator[Section]:
    drawn = [(curve, figure) for curve in curves if (figure := draw_curve(curve, lines)) is not None]
    if drawn:
        charts = tuple(Chart(figure, curve.title, curve.note) for curve, figure in drawn)
        yield Section(title, "", (Charts(charts, _legend(lines)),))


def _legend(lines: Lines) -> dict[str, str]:
    keys = {key for line in lines for key in {**line.get("memory", {}), **line.get("embedding_rank", {})}}
    return {modality.name: modality.colour for key, modality in MODALITIES.items() if key in keys}


def _neighbour_section(examples: list[Example] | None, missing: str) -> Iterator[Section]:
    title = "Nearest neighbours"
    if examples is not None:
        rows = tuple(Pictures(_name(example.modality), example.pictures) for example in examples)
        yield Section(title, _NEIGHBOURS_TEXT, rows)
    elif missing:
        yield Section(title, "", (Note(missing),))


def _encoder(run: Path, recipe: Recipe) -> tuple[Backbone, ModelConfig]:
    if (run / "model" / CONFIG).exists():
        return load_model(run / "model")
    for path in checkpoints(run / "checkpoints"):
        try:
            tensors, _ = read_checkpoint(path)
        except (OSError, ValueError, KeyError) as error:
            logger.warning("checkpoint %s is damaged: %s", path.name, error)
            continue
        backbone = Backbone(recipe.encoder.architecture, image_size=recipe.encoder.image_size)
        backbone.load_state_dict(tensors_below(tensors, "teacher.backbone"))
        config = ModelConfig("", recipe.encoder.architecture, preprocessing_of(recipe.encoder))
        return backbone.for_inference(), config
    raise TrainingError(f"'{run}' holds no checkpoint yet.")


def _sample(manifest: Manifest, images: int, seed: int) -> Manifest:
    split = manifest.frame["split"].to_numpy()
    rows = np.flatnonzero(split == "val") if (split == "val").any() else np.arange(len(manifest))
    rows = np.random.default_rng(seed).permutation(rows)
    modality = manifest.frame["modality"].to_numpy()[rows]
    each = max(2, images // len(np.unique(modality)))
    return manifest.select(np.concatenate([rows[modality == key][:each] for key in np.unique(modality)]))


def _example(embeddings: Embeddings, row: int) -> Example:
    frame, vectors = embeddings.manifest.frame, embeddings.vectors
    groups = embeddings.manifest.patients()
    cosines, positions = nearest(
        vectors[[row]], vectors, _NEIGHBOURS, query_groups=groups[[row]], gallery_groups=groups
    )
    hits = positions[0] >= 0  # fewer where most images are of the same patient
    neighbours = [
        _picture(embeddings, int(position), f"cosine {cosine:.3f}")
        for cosine, position in zip(cosines[0][hits], positions[0][hits], strict=True)
    ]
    return Example(
        str(frame["modality"].iloc[row]),
        (_picture(embeddings, row, "query", marked=True), *neighbours),
        tuple(map(float, cosines[0][hits])),
    )


def _picture(embeddings: Embeddings, row: int, caption: str, *, marked: bool = False) -> Picture:
    source = "data:image/jpeg;base64," + base64.b64encode(embeddings.thumbnails[row]).decode()
    labels = embeddings.manifest.frame["labels"].iloc[row] or ()
    return Picture(source, (caption, *map(str, labels)), marked)
