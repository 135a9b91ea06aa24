"""The model card: written from the model's config and measured figures, never by hand."""

import json
from typing import Any

from mermed_core.data.manifest import Manifest
from mermed_core.data.phantoms import SYNTHETIC_PREFIX
from mermed_core.modalities import MODALITIES
from mermed_core.models.model_folder import ModelConfig

# Before the kinds of unknown input whose share turned away was measured.
REJECTED_PREFIX = "rejected_"
# Before the methods of class activation maps whose share of hits in the pointing game was measured.
POINTING_PREFIX = "pointing_"
# Title, licence, caveat and names of classes by source, as train/datasets.toml states them.
Datasets = dict[str, dict[str, Any]]
_UNKNOWN = {"title": "", "licence": "not stated", "caveat": "", "names": {}}

_INTRODUCTION = """
**Research use only. Not a medical device; not for diagnosis, triage or treatment.**

An open reimplementation of MerMED-FM (arXiv 2507.00185, doi 10.1016/j.landig.2026.101007): one encoder for
seven medical imaging modalities, trained by self-supervision with a memory, here with linear heads on its
frozen embeddings. It is not the published model and shares no weights with it.
""".strip()

_FIGURES = """
Linear heads on the frozen encoder, macro one-versus-rest AUROC on the test split, bootstrap over groups
(patients, lesions or tiles of origin).
""".strip()

_LIMITS = """
## Limits

- The figures are of the test splits of the same public sets that it was trained on. None is a screening
  population; none tells how the model does in another hospital.
- An image of something else in a known modality can pass the gate and be named wrongly.
- Probabilities are calibrated on the sets' own mix of classes; elsewhere they shift.
- The gate for unknown input is fitted on embeddings of known images alone and lets some others pass.
""".strip()


def model_card(config: ModelConfig, metrics: dict[str, Any], manifest: Manifest, datasets: Datasets) -> str:
    """Returns the card as Markdown with the front matter of a model repository.

    Args:
        config: of the model folder.
        metrics: from `assembly.Assembly`.
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
            _figures(metrics, datasets),
            _LIMITS,
            f"## Licence\n\n{config.licence}\n",
        ]
    )


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


def _figures(metrics: dict[str, Any], datasets: Datasets) -> str:
    shown = {
        task: figure
        for task, figure in sorted(metrics.items())
        if isinstance(figure, dict) and not task.startswith(SYNTHETIC_PREFIX)
    }
    started = any("start_auroc" in figure for figure in shown.values())
    names = ["set", "modality", "test images", "AUROC (95 % interval)", *["of its start"] * started]
    names += ["ECE", "what it cannot tell"]
    rows = [names, ["---"] * len(names)]
    for task, figure in shown.items():
        start = [_number(figure.get("start_auroc"))] * started
        cells = [task, figure["modality"], str(figure["n_test"]), _auroc(figure), *start]
        rows.append([*cells, _number(figure["ece"]), _caveat(task, datasets)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n\n".join(["## Figures", _FIGURES, table, *_statements(metrics, shown)])


def _statements(metrics: dict[str, Any], shown: dict[str, Any]) -> list[str]:
    """Returns what was measured of the whole model, in sentences."""
    told = []
    if "mean_auroc" in metrics:
        start = metrics.get("start_mean_auroc")
        than = "" if start is None else f", {start:.3f} for the encoder that it started from"
        told.append(
            f"Mean AUROC of the sets with a test split of some size: {metrics['mean_auroc']:.3f}{than}."
        )
    crossed = [
        f"{task} {_auroc(figure, 'crossed')}"
        for task, figure in shown.items()
        if figure.get("crossed_auroc") is not None
    ]
    if crossed:
        told.append(f"AUROC by cross-validation over groups of the whole set: {', '.join(crossed)}.")
    if "modality_accuracy" in metrics:
        told.append(
            f"The modality is right on {metrics['modality_accuracy']:.2%} of the test images; the gate "
            f"for unknown input lets {metrics['known_accepted']:.2%} of them pass."
        )
    if shares := _shares(metrics, REJECTED_PREFIX):
        told.append(f"Of unknown input the gate turns away: {shares}.")
    if shares := _shares(metrics, POINTING_PREFIX):
        told.append(
            "Share of synthetic findings that hold the peak of a class activation map (pointing game), by "
            f"method, the best first: {shares}."
        )
    return told


def _shares(metrics: dict[str, Any], prefix: str) -> str:
    """Returns the figures whose names have a prefix as a list in words, in their order."""
    found = {name.removeprefix(prefix): share for name, share in metrics.items() if name.startswith(prefix)}
    return ", ".join(f"{name} {share:.0%}" for name, share in found.items())


def _auroc(figure: dict[str, Any], kind: str = "") -> str:
    """Returns the AUROC on the test split, or that of a kind such as crossed, with its interval."""
    value = figure[f"{kind}_auroc" if kind else "auroc"]
    low, high = (figure[f"{kind or 'auroc'}_{end}"] for end in ("low", "high"))
    if value is None:
        return "not defined"
    if low is None:
        return f"{value:.3f} (no interval: {figure['n_groups']} groups)"
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def described(metrics: dict[str, Any], datasets: Datasets) -> dict[str, Any]:
    """Returns the metrics with title, caveat and class names of each label set, for pages that show them."""
    return {
        name: {
            **figure,
            "title": _title(name, figure, datasets),
            "caveat": _caveat(name, datasets),
            "names": _facts(name, datasets)["names"],
        }
        if isinstance(figure, dict)
        else figure
        for name, figure in metrics.items()
    }


def _title(task: str, figure: dict[str, Any], datasets: Datasets) -> str:
    if task.startswith(SYNTHETIC_PREFIX):
        return f"Synthetic {MODALITIES[figure['modality']].name}"
    return _facts(task, datasets)["title"] or task


def _caveat(task: str, datasets: Datasets) -> str:
    if task.startswith(SYNTHETIC_PREFIX):
        return "Drawn images: it says nothing of real ones."
    return _facts(task, datasets)["caveat"]


def _facts(name: str, datasets: Datasets) -> dict[str, Any]:
    return _UNKNOWN | datasets.get(name, {})
