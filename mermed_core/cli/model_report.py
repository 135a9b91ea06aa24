"""`mermed model-report`: measured results go into a model folder."""

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mermed_core.cli.arguments import DATASETS_HELP, LABEL_SETS_HELP, add_data, add_model, count

if TYPE_CHECKING:
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.model_metrics import ModelMetrics, UnseenSourceMetrics

SUMMARY = "Put the results of an evaluation into a model folder and its card."
DETAILS = """\
    mermed evaluate --encoder runs/cpu/served --encoder start=weights:… --data path/to/images --out report
    mermed model-report --model runs/cpu/served --report report --start start --data path/to/images

Two things are measured on the way, on images that need no download: how much unknown input is turned away,
and which class activation map points best at the findings of phantoms (pointing.csv in the first report's
folder). What `mermed fit` measured of the model's own heads stays as it is: the reports add the AUROC of the
start and by cross-validation, and the mean over the larger sets for both encoders. What was measured on
sources that the model did not see stays too, unless a report holds it (unseen_source.json)."""

# What a report knows of a label set that `mermed fit` does not measure.
_ADDED = ("start_auroc", "cross_validated_auroc", "cross_validated_low", "cross_validated_high")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_model(parser)
    parser.add_argument(
        "--report",
        type=Path,
        action="append",
        required=True,
        metavar="FOLDER",
        help="written by `mermed evaluate`; may be repeated",
    )
    add_data(parser)
    parser.add_argument(
        "--start",
        default="",
        metavar="NAME",
        help="what the report calls the encoder that training began with",
    )
    parser.add_argument("--datasets", type=Path, metavar="FILE", help=DATASETS_HELP)
    parser.add_argument("--label-sets", type=Path, metavar="FILE", help=LABEL_SETS_HELP)
    parser.add_argument(
        "--pointing",
        type=count,
        default=30,
        metavar="N",
        help="phantoms of each finding in the pointing game, 0 for none (default: %(default)s)",
    )


def run(options: argparse.Namespace) -> None:
    """Measures, then rewrites metrics.json and the card; nothing else of the model folder changes.

    Raises:
        EvaluationError: the reports lack the model or its start.
        ModelError: what a report says of unseen sources is damaged.
    """
    from mermed_core.data.sources.opener import open_manifests
    from mermed_core.files import write_folder
    from mermed_core.fitting.datasets import DATASETS, read_datasets
    from mermed_core.fitting.label_sets import LABEL_SETS, read_label_sets
    from mermed_core.fitting.model_card import described, model_card
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.model_folder import CARD
    from mermed_core.models.model_metrics import METRICS, ModelMetrics

    label_sets = read_label_sets(options.label_sets or LABEL_SETS)
    datasets = read_datasets(options.datasets or DATASETS) | label_sets.facts()
    embedder = Embedder.load(options.model)
    measured = _reported(options, embedder.config.name, datasets).model_copy(
        update={
            "unknown_input": _unknown_input(options.model, embedder),
            "pointing": _pointing(options, embedder),
            "unseen_source": _unseen_source(options.report),
        }
    )
    manifest = open_manifests(options.data)
    metrics = ModelMetrics.load(options.model / METRICS).updated(measured)
    metrics = described(metrics, embedder.config, datasets)
    with write_folder(options.model) as staging:
        shutil.copytree(options.model, staging, dirs_exist_ok=True)
        metrics.save(staging / METRICS)
        card = model_card(embedder.config, metrics, manifest, datasets)
        (staging / CARD).write_text(card, encoding="utf-8")
    print(options.model)


def _reported(options: argparse.Namespace, name: str, datasets: dict[str, dict[str, Any]]) -> "ModelMetrics":
    import pandas as pd

    from mermed_core.evaluation.model_results import model_metrics
    from mermed_core.evaluation.report import RESULTS
    from mermed_core.evaluation.results import load_results
    from mermed_core.models.model_metrics import METRICS, UNSEEN_SOURCE, ModelMetrics

    # A report of unseen sources alone has no table of results.
    folders = [f for f in options.report if (f / RESULTS).is_file() or not (f / UNSEEN_SOURCE).is_file()]
    if not folders:
        return ModelMetrics()
    averaged = [source for source, facts in datasets.items() if facts.get("averaged")]
    results = pd.concat([load_results(folder / RESULTS) for folder in folders])
    reported = model_metrics(results, name, start=options.start, averaged=averaged)
    own = ModelMetrics.load(options.model / METRICS).tasks
    tasks = {
        task: own[task].model_copy(update={name: getattr(measured, name) for name in _ADDED})
        for task, measured in reported.tasks.items()
        if task in own
    }
    return reported.model_copy(update={"tasks": tasks})


def _unseen_source(reports: list[Path]) -> "UnseenSourceMetrics | None":
    """Returns what the last report that has it says of sources that the model did not see."""
    from mermed_core.models.model_metrics import UNSEEN_SOURCE, UnseenSourceMetrics

    paths = [path for folder in reports if (path := folder / UNSEEN_SOURCE).is_file()]
    return UnseenSourceMetrics.load(paths[-1]) if paths else None


def _unknown_input(folder: Path, embedder: "Embedder") -> dict[str, float]:
    """Returns the share of each kind of unknown input that is turned away."""
    from mermed_core.evaluation.protocols.unknown_input import rejection_by_kind
    from mermed_core.models.heads import HEADS_FOLDER, MODALITY_TASK, load_heads
    from mermed_core.models.ood import load_detector

    heads = load_heads(folder / HEADS_FOLDER, embedder.backbone.dim)
    detector = load_detector(folder / HEADS_FOLDER, embedder.backbone.dim)
    return rejection_by_kind(embedder, heads.get(MODALITY_TASK), detector)


def _pointing(options: argparse.Namespace, embedder: "Embedder") -> dict[str, float]:
    """Returns the share of findings that each method of class activation maps points at, the best first."""
    if not options.pointing:
        return {}
    from mermed_core.evaluation.protocols.pointing import cam_methods, hits_by_method, pointing_game

    pointed = pointing_game(embedder, cam_methods(embedder), count_per_finding=options.pointing)
    pointed.to_csv(options.report[0] / "pointing.csv", index=False)
    return hits_by_method(pointed)
