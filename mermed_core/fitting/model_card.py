"""The model card: written from the model's config and its measured results, never by hand."""

import json
from typing import Any

from mermed_core.data.manifest import Manifest
from mermed_core.data.phantoms import SYNTHETIC_PREFIX
from mermed_core.fitting.unseen_source_section import unseen_source_section
from mermed_core.modalities import MODALITIES
from mermed_core.models.model_folder import ModelConfig
from mermed_core.models.model_metrics import ModelMetrics, TaskMetrics, UnseenSourceMetrics
from mermed_core.records import RESEARCH_ONLY

# Title, licence, caveat and names of classes by source, as datasets.toml states them.
Datasets = dict[str, dict[str, Any]]
_UNKNOWN = {"title": "", "licence": "not stated", "caveat": "", "names": {}}

_INTRODUCTION = f"""
**{RESEARCH_ONLY}**

An open reimplementation of MerMED-FM (arXiv 2507.00185, doi 10.1016/j.landig.2026.101007): one encoder for
seven medical imaging modalities, trained by self-supervision with a memory, here with linear heads on its
frozen embeddings. It is not the published model and shares no weights with it.
""".strip()

_RESULTS = """
What a visitor does not get: these images come from the same sources as those that the heads were fitted on,
which is the best case. Linear heads on the frozen encoder: macro one-versus-rest AUROC on the test split,
with a 95 % interval from a bootstrap over groups (patients, lesions or tiles of origin), and expected
calibration error (ECE).
""".strip()

_LIMITS = """
## Limits

- The results on own test splits are for the same public data sets that the model was trained on. None of them
  is a screening population, and none shows how the model performs in another hospital.
- An image of something else in a known modality can be accepted and given a wrong label.
- Probabilities are calibrated for the mix of classes in these data sets; elsewhere they shift.
- The out-of-distribution detector accepts some images of kinds that the model does not know.
""".strip()


def model_card(config: ModelConfig, metrics: ModelMetrics, manifest: Manifest, datasets: Datasets) -> str:
    """Returns the card as Markdown, with the front matter of a model repository.

    Args:
        config: of the model folder.
        metrics: of the model.
        manifest: the images that the heads were fitted and measured on.
        datasets: title, licence and caveat by source.
    """
    return "\n\n".join(
        [
            _front_matter(config),
            f"# {config.name}",
            _INTRODUCTION,
            _training(config),
            _data(manifest, datasets),
            unseen_source_section(metrics),
            _results(metrics, datasets),
            _LIMITS,
            f"## Licence\n\n{config.licence}\n",
        ]
    )


def described(metrics: ModelMetrics, config: ModelConfig, datasets: Datasets) -> ModelMetrics:
    """Returns the metrics with what pages say beside them: titles, caveats, names of classes.

    Args:
        metrics: of the model.
        config: of the model folder; its training says which sources the encoder has seen.
        datasets: title, caveat and class names by source.
    """
    tasks = {
        task: entry.model_copy(
            update={
                "title": _title(task, entry.modality, datasets),
                "caveat": _caveat(task, datasets),
                "names": _facts(task, datasets)["names"],
            }
        )
        for task, entry in metrics.tasks.items()
    }
    unseen = metrics.unseen_source and _described_sources(metrics.unseen_source, config, datasets)
    return metrics.model_copy(update={"tasks": tasks, "unseen_source": unseen})


def _described_sources(
    unseen: UnseenSourceMetrics, config: ModelConfig, datasets: Datasets
) -> UnseenSourceMetrics:
    data = config.training.get("data", {})
    pretrained = data.get("sources", {}) if isinstance(data, dict) else {}
    sources = {
        name: each.model_copy(
            update={"title": _facts(name, datasets)["title"], "in_pretraining": name in pretrained}
        )
        for name, each in unseen.sources.items()
    }
    return unseen.model_copy(update={"sources": sources})


def _front_matter(config: ModelConfig) -> str:
    lines = [
        "---",
        "library_name: timm",
        "pipeline_tag: image-feature-extraction",
        "license: other",
        f"license_name: {json.dumps(config.licence)}",
        "tags: [medical-imaging, self-supervised, mermed-fm]",
        "---",
    ]
    return "\n".join(lines)


def _training(config: ModelConfig) -> str:
    size = config.preprocessing.image_size
    facts = [
        f'- encoder: `{config.architecture}` at {size} × {size} px, resize "{config.preprocessing.resize}"'
    ]
    facts += [f"- {name.replace('_', ' ')}: {_flat(value)}" for name, value in config.training.items()]
    if config.pooled_stages:
        centre = (
            f", and around the centre (σ {config.centre_sigma:g} of the side)" if config.centre_sigma else ""
        )
        facts.append(f"- stage pooling: the last {config.pooled_stages} stages, over the whole image{centre}")
    return "## Training\n\n" + "\n".join(facts)


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_flat(item)}" for name, item in value.items())
    return f"`{value}`" if isinstance(value, str) else str(value)


def _data(manifest: Manifest, datasets: Datasets) -> str:
    counts = manifest.frame.groupby(["source", "split"]).size().unstack(fill_value=0)
    rows = ["| set | modality | train | val | test | licence |", "|---|---|---|---|---|---|"]
    modalities = manifest.frame.groupby("source")["modality"].first()
    for source in sorted(counts.index, key=lambda name: (name.startswith(SYNTHETIC_PREFIX), name)):
        facts = _facts(source, datasets)
        licence = "drawn here" if source.startswith(SYNTHETIC_PREFIX) else facts["licence"]
        title = f"{source} ({facts['title']})" if facts["title"] else source
        numbers = [str(int(counts.loc[source].get(split, 0))) for split in ("train", "val", "test")]
        rows.append(f"| {title} | {modalities[source]} | {' | '.join(numbers)} | {licence} |")
    return "## Data\n\n" + "\n".join(rows)


def _results(metrics: ModelMetrics, datasets: Datasets) -> str:
    tasks = {
        task: entry for task, entry in sorted(metrics.tasks.items()) if not task.startswith(SYNTHETIC_PREFIX)
    }
    started = any(entry.start_auroc is not None for entry in tasks.values())
    header = ["set", "modality", "test images", "AUROC (95 % interval)", *["AUROC of its start"] * started]
    header += ["ECE", "caveat"]
    rows = [header, ["---"] * len(header)]
    for task, entry in tasks.items():
        start = [_number(entry.start_auroc)] * started
        auroc = _auroc(entry, entry.auroc, entry.auroc_low, entry.auroc_high)
        cells = [task, entry.modality, str(entry.n_test), auroc, *start, _number(entry.ece)]
        rows.append([*cells, _caveat(task, datasets)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n\n".join(
        ["## Results on the sources' own test splits", _RESULTS, table, *_statements(metrics, tasks)]
    )


def _statements(metrics: ModelMetrics, tasks: dict[str, TaskMetrics]) -> list[str]:
    """Returns what was measured of the model as a whole, in sentences."""
    model = metrics.model
    sentences = []
    if model.mean_auroc is not None:
        start = model.start_mean_auroc
        compared = "" if start is None else f", against {start:.3f} for the encoder that it started from"
        sentences.append(f"Mean AUROC over the larger data sets: {model.mean_auroc:.3f}{compared}.")
    cross_validated = [
        f"{task} {_auroc(each, value, each.cross_validated_low, each.cross_validated_high)}"
        for task, each in tasks.items()
        if (value := each.cross_validated_auroc) is not None
    ]
    if cross_validated:
        listed = ", ".join(cross_validated)
        sentences.append(f"AUROC by cross-validation over the groups of the whole set: {listed}.")
    if model.modality_accuracy is not None and model.known_accepted is not None:
        sentences.append(
            f"The modality is recognised correctly on {model.modality_accuracy:.2%} of the test images; the "
            f"out-of-distribution detector accepts {model.known_accepted:.2%} of them."
        )
    if model.confident_outside is not None:
        sentences.append(
            "A label set that has no label of an image's source gives a finding with a probability above 0.9 "
            f"on {model.confident_outside:.2%} of the test images of its modality."
        )
    if metrics.unknown_input:
        sentences.append(f"Rejected as out of distribution: {_shares(metrics.unknown_input)}.")
    if metrics.pointing:
        sentences.append(
            "Share of synthetic findings that contain the peak of a class activation map (pointing game), by "
            f"method, best first: {_shares(metrics.pointing)}."
        )
    return sentences


def _shares(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items())


def _auroc(entry: TaskMetrics, value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "not defined"
    if low is None or high is None:
        return f"{value:.3f} (no interval: {entry.n_groups} groups)"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _title(task: str, modality: str, datasets: Datasets) -> str:
    if task.startswith(SYNTHETIC_PREFIX):
        return f"{MODALITIES[modality].name}, synthetic"
    facts = _facts(task, datasets)
    return facts.get("findings") or facts["title"] or task


def _caveat(task: str, datasets: Datasets) -> str:
    if task.startswith(SYNTHETIC_PREFIX):
        return "Synthetic images: this says nothing about real ones."
    return _facts(task, datasets)["caveat"]


def _facts(name: str, datasets: Datasets) -> dict[str, Any]:
    return _UNKNOWN | datasets.get(name, {})
