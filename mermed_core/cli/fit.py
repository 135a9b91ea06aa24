"""`mermed fit`: heads and out-of-distribution detector on a frozen encoder."""

import argparse
import shutil
from pathlib import Path

from mermed_core.cli.arguments import (
    DATASETS_HELP,
    LABEL_SETS_HELP,
    UNKNOWN_HELP,
    add_data,
    add_model,
    add_workers,
    unknown_kinds,
)

SUMMARY = "Fit heads, out-of-distribution detector and retrieval space on a frozen encoder."
DETAILS = """\
    mermed fit --model runs/cpu/model --data path/to/images --data phantoms:60 --out runs/cpu/served

Fits one head for each label set, heads for the modality and the part of the body, the out-of-distribution
detector, the scope of every label set and the retrieval space, each also without one source or unknown kind,
to measure what images of another hospital get, and writes them with metrics.json and the model card. The
model folder stays as it was until all of it is done."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_model(parser)
    add_data(parser)
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where to write; default: into the model folder itself"
    )
    parser.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="keeps embeddings, so that a stopped fit goes on"
    )
    parser.add_argument("--unknown", type=Path, metavar="PATH", help=UNKNOWN_HELP)
    parser.add_argument("--label-sets", type=Path, metavar="FILE", help=LABEL_SETS_HELP)
    parser.add_argument("--datasets", type=Path, metavar="FILE", help=DATASETS_HELP)
    add_workers(parser)


def run(options: argparse.Namespace) -> None:
    """Fits, then writes the model folder.

    Raises:
        ModelError: the folder holds no usable model.
        ManifestError: the images or the facts about their sets cannot be used.
        OccupiedError: the folder to write to holds something else.
    """
    from mermed_core.data.sources.opener import open_manifests
    from mermed_core.files import check_replaceable, write_folder
    from mermed_core.fitting.datasets import DATASETS, read_datasets
    from mermed_core.fitting.label_sets import LABEL_SETS, read_label_sets
    from mermed_core.fitting.model_card import described, model_card
    from mermed_core.fitting.model_fit import fit_model
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.embedding_cache import EmbeddingCache
    from mermed_core.models.model_folder import CARD, CONFIG, WEIGHTS
    from mermed_core.models.model_metrics import METRICS

    out = options.out or options.model
    if options.out:
        check_replaceable(out, CONFIG)
    label_sets = read_label_sets(options.label_sets or LABEL_SETS)
    datasets = read_datasets(options.datasets or DATASETS) | label_sets.facts()
    embedder = Embedder.load(options.model)
    manifest = open_manifests(options.data)
    cache = EmbeddingCache(options.cache / "vectors") if options.cache else None
    fitted = fit_model(
        embedder,
        manifest,
        unknown=unknown_kinds(options.unknown),
        label_sets=label_sets,
        cache=cache,
        workers=options.workers,
    )
    metrics = described(fitted.metrics, embedder.config, datasets)
    with write_folder(out) as staging:
        for name in (CONFIG, WEIGHTS):
            shutil.copyfile(options.model / name, staging / name)
        fitted.parts.save(staging)
        metrics.save(staging / METRICS)
        card = model_card(embedder.config, metrics, manifest, datasets)
        (staging / CARD).write_text(card, encoding="utf-8")
    print(out)
