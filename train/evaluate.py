"""Evaluates encoders on labelled images: probes, retrieval, robustness, with intervals and p-values.

    python -m train.evaluate --encoder assets/model --encoder pixels --data $MERMED_DATA --out reports/mine
    python -m train.evaluate --encoder vit_small_patch16_224.dino --data medmnist:pathmnist --out reports/path

Writes figures.parquet (every number), comparisons.parquet, predictions.parquet, report.md and report.html.
Every two encoders are compared. What was embedded and measured is kept in --cache, so that the same command
goes on where it was stopped.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mermed_core.files import check_replaceable, write_folder
from train.arguments import DATA_HELP, count, open_all, run, step_parser
from train.datasets import DATASETS, read_datasets

if TYPE_CHECKING:
    from mermed_core.evaluation.runner import Evaluation, Plan
    from mermed_core.models.embedder import Embedder

_PROTOCOLS = (
    "linear_probe",
    "knn",
    "cross_validation",
    "retrieval",
    "few_shot",
    "label_efficiency",
    "robustness",
    "fine_tuning",
)
_USUAL = ("linear_probe", "knn", "retrieval")
_SEVERITIES = (1, 3, 5)
# What FineTuning has when nothing is said, and what it means.
_FINE_TUNING = {
    "epochs": (30, "at most"),
    "patience": (8, "epochs without a better val AUROC until it stops"),
    "batch": (32, "images in a step"),
    "learning_rate": (3e-4, "of the classifier and the encoder's last layer"),
    "layer_decay": (0.75, "factor of the learning rate from a layer to the one before it; 1 for none"),
    "weight_decay": (0.05, "of AdamW"),
    "mixup": (0.0, "parameter of the Beta distribution that shares are drawn from; 0 for none"),
}
_FIGURES = "figures.parquet"


def main(arguments: list[str] | None = None) -> None:
    """Runs the step."""
    parser = step_parser("evaluate", __doc__)
    parser.add_argument(
        "--encoder",
        action="append",
        required=True,
        metavar="SPEC",
        help="model folder, timm:NAME, hf_hub:OWNER/NAME, open_clip:NAME/TAG, open_clip:hf-hub:OWNER/NAME, "
        "weights:NAME=START, random:NAME or pixels, with @SIZE where the input's side is another; NAME= "
        "before it says what it is called in the report; may be repeated",
    )
    parser.add_argument("--data", action="append", required=True, metavar="SPEC", help=DATA_HELP)
    parser.add_argument("--out", type=Path, required=True, help="report folder; replaced as a whole")
    parser.add_argument(
        "--protocol",
        action="append",
        choices=_PROTOCOLS,
        help=f"may be repeated; default: {', '.join(_USUAL)}",
    )
    told = "such as sex or source; many numbers are cut at their quartiles; may be repeated"
    parser.add_argument("--subgroup", action="append", default=[], metavar="COLUMN", help=told)
    parser.add_argument(
        "--resamples", type=_from_one, default=1000, help="of a bootstrap (default: %(default)s)"
    )
    parser.add_argument("--seed", type=count, default=0)
    parser.add_argument(
        "--cache", type=Path, help="vectors/ and parts/; default: OUT.cache beside the report"
    )
    parser.add_argument("--title", default="Evaluation")
    parser.add_argument(
        "--datasets", type=Path, default=DATASETS, help="TOML with title, licence and caveat of each source"
    )
    parser.add_argument("--workers", type=count, default=0, help="processes that read images ahead")
    _add_protocol_options(parser)
    _evaluate(parser.parse_args(arguments))


def _add_protocol_options(parser: argparse.ArgumentParser) -> None:
    told = f"of the corruptions of robustness; may be repeated; default: {', '.join(map(str, _SEVERITIES))}"
    parser.add_argument("--severity", type=int, action="append", choices=range(1, 6), help=told)
    group = parser.add_argument_group(
        "fine-tuning",
        "The images of a task lie in a temporary file meanwhile, 150 kB each at 224 px; TMPDIR says where.",
    )
    for name, (default, meaning) in _FINE_TUNING.items():
        option = f"--{name.replace('_', '-')}"
        told = f"{meaning} (default: %(default)s)"
        group.add_argument(option, type=type(default), default=default, metavar="NUMBER", help=told)


def _from_one(text: str) -> int:
    """Reads a number from 1 up."""
    if not (number := count(text)):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 up")
    return number


def _evaluate(options: argparse.Namespace) -> None:
    # torch takes seconds to import; --help should not
    from mermed_core.evaluation.runner import evaluate

    out = options.out.resolve()  # "." has no name that the cache could be called after
    check_replaceable(out, _FIGURES)
    datasets = read_datasets(options.datasets)
    plan = _plan(options)
    encoders = [_open(spec) for spec in options.encoder]
    manifest = open_all(options.data)
    cache = options.cache or out.with_name(out.name + ".cache")
    evaluation = evaluate(encoders, manifest, plan, cache, workers=options.workers)
    tasks = set(evaluation.figures["task"])
    notes = {name: facts["caveat"] for name, facts in datasets.items() if name in tasks and facts["caveat"]}
    notes |= {title: f"left out: {reason}" for title, reason in evaluation.left_out.items()}
    facts = _facts(encoders, plan, len(manifest), len(evaluation.unreadable))
    _write(out, evaluation, options.title, facts, notes)
    print(options.out)


def _plan(options: argparse.Namespace) -> "Plan":
    from mermed_core.evaluation.protocols.fine_tuning import FineTuning
    from mermed_core.evaluation.runner import Plan

    return Plan(
        tuple(options.protocol or _USUAL),
        tuple(options.subgroup),
        resamples=options.resamples,
        seed=options.seed,
        severities=tuple(sorted(set(options.severity or _SEVERITIES))),
        fine_tuning=FineTuning(**{name: getattr(options, name) for name in _FINE_TUNING}, seed=options.seed),
    )


def _open(spec: str) -> "Embedder":
    """Opens NAME=SPEC or SPEC; weights:ARCHITECTURE=START has its own sign of equality."""
    from dataclasses import replace

    from mermed_core.evaluation.encoders import open_encoder

    name, mark, rest = spec.partition("=")
    named = bool(mark) and ":" not in name and not Path(spec).exists()
    embedder = open_encoder(rest if named else spec)
    if named:
        embedder.config = replace(embedder.config, name=name)
    return embedder


def _facts(encoders: "list[Embedder]", plan: "Plan", images: int, unreadable: int) -> dict[str, str]:
    from mermed_core.pretraining.provenance import code_revision

    shown = {
        each.config.name: f"{each.config.architecture} at {each.config.preprocessing.image_size} px, "
        f"fingerprint {each.fingerprint}"
        for each in encoders
    }
    return shown | {
        "Images": f"{images - unreadable:,}, and {unreadable:,} that cannot be read",
        "Protocols": ", ".join(plan.protocols),
        **_settings(plan),
        "Bootstrap": f"{plan.resamples} draws of groups, more for many comparisons, seed {plan.seed}",
        "Code": code_revision(),
    }


def _settings(plan: "Plan") -> dict[str, str]:
    """Returns what else must be known to repeat the protocols that were asked for."""
    tuning = [f"{name.replace('_', ' ')} {getattr(plan.fine_tuning, name):g}" for name in _FINE_TUNING]
    told = {
        "robustness": ("Severities of corruptions", ", ".join(map(str, plan.severities))),
        "fine_tuning": ("Fine-tuning", ", ".join(tuning)),
    }
    return dict(told[protocol] for protocol in plan.protocols if protocol in told)


def _write(
    out: Path, evaluation: "Evaluation", title: str, facts: dict[str, str], notes: dict[str, str]
) -> None:
    from mermed_core.evaluation.published_results import load_published
    from mermed_core.reports.markdown import markdown_report
    from mermed_core.reports.page import html_page

    published = load_published()
    figures, comparisons = evaluation.figures, evaluation.comparisons
    told = {"title": title, "facts": facts, "notes": notes}
    with write_folder(out) as staging:
        figures.to_parquet(staging / _FIGURES, index=False)
        comparisons.to_parquet(staging / "comparisons.parquet", index=False)
        evaluation.predictions.to_parquet(staging / "predictions.parquet", index=False)
        text = markdown_report(figures, comparisons, published, **told)
        (staging / "report.md").write_text(text, encoding="utf-8")
        page = html_page(figures, comparisons, evaluation.predictions, published, **told)
        (staging / "report.html").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run(main)
