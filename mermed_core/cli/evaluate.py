"""`mermed evaluate`: encoders on labelled images, side by side."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mermed_core.cli.arguments import (
    DATASETS_HELP,
    LABEL_SETS_HELP,
    UNKNOWN_HELP,
    add_data,
    add_workers,
    count,
    positive,
    unknown_kinds,
)

if TYPE_CHECKING:
    from mermed_core.evaluation.runner import Plan
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.retrieval_space import RetrievalSpace

SUMMARY = "Evaluate encoders on labelled images, with intervals and p-values."
DETAILS = """\
    mermed evaluate --encoder runs/cpu/model --encoder pixels --data path/to/images --out reports/mine
    mermed evaluate --encoder vit_small_patch16_224.dino --data medmnist:pathmnist --out reports/path

Writes results.parquet (every number), comparisons.parquet, predictions.parquet, report.md and report.html.
Every two encoders are compared. What was embedded and measured is kept in --cache, so that the same command
goes on where it was stopped."""

PROTOCOLS = (
    "linear_probe",
    "knn",
    "cross_validation",
    "retrieval",
    "few_shot",
    "label_efficiency",
    "robustness",
    "fine_tuning",
    "unseen_source",
    "retrieval_space",
)
DEFAULT_PROTOCOLS = ("linear_probe", "knn", "retrieval")
DEFAULT_SEVERITIES = (1, 3, 5)
# Default of each setting of fine-tuning, and what it means.
FINE_TUNING = {
    "epochs": (30, "at most"),
    "patience": (8, "epochs without a better val AUROC until it stops"),
    "batch": (32, "images in a step"),
    "learning_rate": (3e-4, "of the classifier and the encoder's last layer"),
    "layer_decay": (0.75, "factor of the learning rate from a layer to the one before it; 1 for none"),
    "weight_decay": (0.05, "of AdamW"),
    "mixup": (0.0, "parameter of the Beta distribution that shares are drawn from; 0 for none"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--encoder",
        action="append",
        required=True,
        metavar="SPEC",
        help="model folder, timm:NAME, hf_hub:OWNER/NAME, open_clip:NAME/TAG, open_clip:hf-hub:OWNER/NAME, "
        "weights:NAME=START, random:NAME or pixels; @SIZE behind it sets the side of the input, NAME= before "
        "it says what the report calls it; may be repeated",
    )
    add_data(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="the report; replaced as a whole"
    )
    parser.add_argument(
        "--protocol",
        action="append",
        choices=PROTOCOLS,
        metavar="NAME",
        help=f"{', '.join(PROTOCOLS)}; may be repeated; default: {', '.join(DEFAULT_PROTOCOLS)}",
    )
    parser.add_argument(
        "--subgroup",
        action="append",
        default=[],
        metavar="COLUMN",
        help="such as sex or source; a column of many numbers is cut at its quartiles; may be repeated",
    )
    parser.add_argument(
        "--resamples", type=positive, default=1000, metavar="N", help="of the bootstrap (default: 1000)"
    )
    parser.add_argument("--seed", type=count, default=0, metavar="N")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="default: OUT.cache beside the report")
    parser.add_argument("--title", default="Evaluation")
    parser.add_argument("--unknown", type=Path, metavar="PATH", help=UNKNOWN_HELP)
    parser.add_argument("--label-sets", type=Path, metavar="FILE", help=LABEL_SETS_HELP)
    parser.add_argument("--datasets", type=Path, metavar="FILE", help=DATASETS_HELP)
    parser.add_argument(
        "--without-copies",
        type=Path,
        metavar="FILE",
        help="leave out the test images that the leakage.csv of `mermed check --out` flags as copies of "
        "images in another split",
    )
    add_workers(parser)
    _add_protocol_options(parser)


def _add_protocol_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--severity",
        type=int,
        action="append",
        choices=range(1, 6),
        metavar="1..5",
        help="of the corruptions of robustness; may be repeated; "
        f"default: {', '.join(map(str, DEFAULT_SEVERITIES))}",
    )
    spaces = parser.add_argument_group(
        "retrieval_space",
        "The full embedding, the space of the model folder, and spaces of 64 to 384 numbers, whitened by "
        "powers of 0 to 1/2, in 16 and 8 bits; also for sources that a space was not fitted on.",
    )
    spaces.add_argument(
        "--space-images",
        type=positive,
        default=400,
        metavar="N",
        help="of a source that are searched in and that spaces are fitted on, at most (default: %(default)s)",
    )
    spaces.add_argument(
        "--space-queries",
        type=positive,
        default=100,
        metavar="N",
        help="of a label set, at most (default: %(default)s)",
    )
    group = parser.add_argument_group(
        "fine-tuning",
        "Meanwhile the images of a task are in a temporary file, 150 kB each at 224 px; TMPDIR says where.",
    )
    for name, (default, meaning) in FINE_TUNING.items():
        option = f"--{name.replace('_', '-')}"
        explained = f"{meaning} (default: %(default)s)"
        group.add_argument(option, type=type(default), default=default, metavar="NUMBER", help=explained)


def run(options: argparse.Namespace) -> None:
    """Evaluates, writes the report and prints where it is.

    Raises:
        EvaluationError: an encoder, a protocol or its settings cannot be used.
        ManifestError: the images or the facts about their sets cannot be used.
        OccupiedError: the folder holds something else.
    """
    from mermed_core.data.sources.opener import open_manifests
    from mermed_core.evaluation.copies import without_copies
    from mermed_core.evaluation.encoders import open_encoder
    from mermed_core.evaluation.report import RESULTS, write_report
    from mermed_core.evaluation.runner import evaluate
    from mermed_core.files import check_replaceable, write_folder
    from mermed_core.fitting.datasets import DATASETS, read_datasets
    from mermed_core.fitting.label_sets import LABEL_SETS, read_label_sets

    out = options.out.resolve()  # "." has no name that the cache could be called after
    check_replaceable(out, RESULTS)
    datasets = read_datasets(options.datasets or DATASETS)
    plan = _plan(options)
    encoders = [open_encoder(spec) for spec in options.encoder]
    manifest = open_manifests(options.data)
    if options.without_copies:
        manifest = without_copies(manifest, options.without_copies)
    cache = options.cache or out.with_name(out.name + ".cache")
    evaluation = evaluate(
        encoders,
        manifest,
        plan,
        cache,
        workers=options.workers,
        unknown=unknown_kinds(options.unknown),
        label_sets=read_label_sets(options.label_sets or LABEL_SETS),
        spaces=_spaces(options.encoder, encoders),
    )
    tasks = set(evaluation.results["task"])
    caveats = {name: facts.get("caveat") for name, facts in datasets.items()}
    notes = {name: caveat for name, caveat in caveats.items() if name in tasks and caveat}
    notes |= {title: f"left out: {reason}" for title, reason in evaluation.left_out.items()}
    facts = _facts(encoders, plan, len(manifest), len(evaluation.unreadable))
    with write_folder(out) as staging:
        write_report(staging, evaluation, title=options.title, facts=facts, notes=notes)
    print(options.out)


def _spaces(specs: list[str], encoders: "list[Embedder]") -> "dict[str, RetrievalSpace]":
    """Returns the retrieval space of each encoder that is a model folder, by the encoder's name."""
    from mermed_core.models.heads import HEADS_FOLDER
    from mermed_core.models.retrieval_space import load_retrieval_space
    from mermed_core.specs import split_name

    folders = [Path(split_name(spec)[1]) / HEADS_FOLDER for spec in specs]
    return {
        each.config.name: load_retrieval_space(folder, each.backbone.dim)
        for each, folder in zip(encoders, folders, strict=True)
        if folder.is_dir()
    }


def _plan(options: argparse.Namespace) -> "Plan":
    from mermed_core.evaluation.protocols.fine_tuning import FineTuning
    from mermed_core.evaluation.protocols.retrieval_space import SpacePlan
    from mermed_core.evaluation.runner import Plan

    return Plan(
        tuple(options.protocol or DEFAULT_PROTOCOLS),
        tuple(options.subgroup),
        resamples=options.resamples,
        seed=options.seed,
        severities=tuple(sorted(set(options.severity or DEFAULT_SEVERITIES))),
        fine_tuning=FineTuning(**{name: getattr(options, name) for name in FINE_TUNING}, seed=options.seed),
        spaces=SpacePlan(
            images=options.space_images,
            queries=options.space_queries,
            resamples=options.resamples,
            seed=options.seed,
        ),
    )


def _facts(encoders: "list[Embedder]", plan: "Plan", images: int, unreadable: int) -> dict[str, str]:
    from mermed_core.pretraining.run_folder import code_revision

    shown = {
        each.config.name: f"{each.config.architecture} at {each.config.preprocessing.image_size} px, "
        f"fingerprint {each.fingerprint}"
        for each in encoders
    }
    return shown | {
        "Images": f"{images - unreadable:,}, and {unreadable:,} that cannot be read",
        "Protocols": ", ".join(plan.protocols),
        **_settings(plan),
        "Bootstrap": f"{plan.resamples} resamples of groups, more for many comparisons, seed {plan.seed}",
        "Code": code_revision(),
    }


def _settings(plan: "Plan") -> dict[str, str]:
    """Returns what else must be known to repeat the protocols of the plan."""
    tuning = [f"{name.replace('_', ' ')} {getattr(plan.fine_tuning, name):g}" for name in FINE_TUNING]
    settings = {
        "robustness": ("Severities of corruptions", ", ".join(map(str, plan.severities))),
        "fine_tuning": ("Fine-tuning", ", ".join(tuning)),
        "retrieval_space": (
            "Retrieval spaces",
            f"at most {plan.spaces.images} images of a source, {plan.spaces.queries} queries of a label set",
        ),
    }
    return dict(settings[protocol] for protocol in plan.protocols if protocol in settings)
