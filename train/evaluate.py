"""Evaluates encoders on labelled images: probes, retrieval, robustness, with intervals and p-values.

    python -m train.evaluate --encoder assets/model --encoder pixels --data $MERMED_DATA --out reports/mine
    python -m train.evaluate --encoder vit_small_patch16_224.dino --data medmnist:pathmnist --out reports/path

Writes figures.parquet (every number), comparisons.parquet, predictions.parquet, report.md and report.html.
The first encoder is compared with each of the others. What was embedded and measured is kept in --cache, so
that the same command goes on where it was stopped.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mermed_core.artefacts import check_replaceable, write_folder
from train.arguments import DATA_HELP, count, open_all, run, step_parser
from train.datasets import DATASETS, read_datasets

if TYPE_CHECKING:
    from mermed_core.embed import Embedder
    from mermed_core.evaluation.evaluation import Evaluation, Plan

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
_FIGURES = "figures.parquet"


def main(arguments: list[str] | None = None) -> None:
    """Runs the step."""
    parser = step_parser("evaluate", __doc__)
    parser.add_argument(
        "--encoder",
        action="append",
        required=True,
        metavar="SPEC",
        help="model folder, timm:NAME, hf_hub:OWNER/NAME, open_clip:NAME/TAG, weights:NAME=START, "
        "random:NAME or pixels, with @SIZE where the input's side is another; NAME= before it says what it "
        "is called in the report; may be repeated",
    )
    parser.add_argument("--data", action="append", required=True, metavar="SPEC", help=DATA_HELP)
    parser.add_argument("--out", type=Path, required=True, help="report folder; replaced as a whole")
    parser.add_argument(
        "--protocol",
        action="append",
        choices=_PROTOCOLS,
        help=f"may be repeated; default: {', '.join(_USUAL)}",
    )
    parser.add_argument("--subgroup", action="append", default=[], metavar="COLUMN", help="such as sex")
    parser.add_argument("--resamples", type=count, default=1000, help="of a bootstrap (default: %(default)s)")
    parser.add_argument("--seed", type=count, default=0)
    parser.add_argument(
        "--cache", type=Path, help="vectors/ and parts/; default: OUT.cache beside the report"
    )
    parser.add_argument("--title", default="Evaluation")
    parser.add_argument(
        "--datasets", type=Path, default=DATASETS, help="TOML with title, licence and caveat of each source"
    )
    parser.add_argument("--workers", type=count, default=0, help="processes that read images ahead")
    _evaluate(parser.parse_args(arguments))


def _evaluate(options: argparse.Namespace) -> None:
    # torch takes seconds to import; --help should not
    from mermed_core.evaluation.evaluation import Plan, evaluate

    check_replaceable(options.out, _FIGURES)
    datasets = read_datasets(options.datasets)
    encoders = [_open(spec) for spec in options.encoder]
    plan = Plan(
        tuple(options.protocol or _USUAL),
        tuple(options.subgroup),
        resamples=options.resamples,
        seed=options.seed,
    )
    manifest = open_all(options.data)
    cache = options.cache or options.out.with_name(options.out.name + ".cache")
    evaluation = evaluate(encoders, manifest, plan, cache, workers=options.workers)
    tasks = set(evaluation.figures["task"])
    notes = {name: facts["caveat"] for name, facts in datasets.items() if name in tasks and facts["caveat"]}
    _write(options.out, evaluation, options.title, _facts(encoders, plan, len(manifest)), notes)
    print(options.out)


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


def _facts(encoders: "list[Embedder]", plan: "Plan", images: int) -> dict[str, str]:
    from mermed_core.pretraining.provenance import code_revision

    shown = {
        each.config.name: f"{each.config.architecture} at {each.config.preprocessing.image_size} px, "
        f"fingerprint {each.fingerprint}"
        for each in encoders
    }
    return shown | {
        "Images": f"{images:,}",
        "Protocols": ", ".join(plan.protocols),
        "Bootstrap": f"{plan.resamples} draws of groups, seed {plan.seed}",
        "Code": code_revision(),
    }


def _write(
    out: Path, evaluation: "Evaluation", title: str, facts: dict[str, str], notes: dict[str, str]
) -> None:
    from mermed_core.evaluation.markdown import markdown_report
    from mermed_core.evaluation.page import html_page
    from mermed_core.evaluation.published import load_published

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
