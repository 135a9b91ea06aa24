"""Puts the figures of a report into a model folder: metrics.json and the model card.

    python -m train.evaluate --encoder assets/model --encoder start=weights:… --data $MERMED_DATA --out report
    python -m train.model_report --model assets/model --report report --start start --data $MERMED_DATA

Measured on the way, on images that need no download: whether unknown input is turned away, and which class
activation map points best at the findings of phantoms (pointing.csv in the first report's folder). Figures of
label sets that no report has stay as fit_heads wrote them.
"""

import argparse
import json
import shutil
from pathlib import Path

from mermed_core.files import write_folder, write_json
from train.arguments import add_common, open_all, run, step_parser
from train.datasets import DATASETS, read_datasets


def main(arguments: list[str] | None = None) -> None:
    """Runs the step."""
    parser = step_parser("model_report", __doc__)
    add_common(parser)
    parser.add_argument(
        "--report", type=Path, action="append", required=True, help="folder of train.evaluate; repeatable"
    )
    parser.add_argument("--start", default="", help="name in the report of the encoder it was trained from")
    parser.add_argument(
        "--datasets", type=Path, default=DATASETS, help="TOML with title, licence and caveat of each source"
    )
    parser.add_argument(
        "--pointing",
        type=int,
        default=30,
        help="phantoms of each finding in the pointing game, 0 for none",
    )
    _report(parser.parse_args(arguments))


def _report(options: argparse.Namespace) -> None:
    # torch takes seconds to import; --help should not
    import pandas as pd

    from mermed_core.evaluation.model_metrics import model_figures
    from mermed_core.evaluation.protocols.pointing import cam_methods, pointing_game
    from mermed_core.evaluation.protocols.unknown_input import rejection_by_kind
    from mermed_core.evaluation.results import load_figures
    from mermed_core.fitting.model_card import POINTING_PREFIX, REJECTED_PREFIX, described, model_card
    from mermed_core.inference.predictor import CARD, HEADS_FOLDER, METRICS
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.heads import MODALITY_TASK, load_heads
    from mermed_core.models.ood import load_gate

    datasets = read_datasets(options.datasets)
    embedder = Embedder.load(options.model)
    folder, dim = options.model / HEADS_FOLDER, embedder.backbone.dim
    heads, gate = load_heads(folder, dim), load_gate(folder, dim)
    averaged = [name for name, facts in datasets.items() if facts.get("averaged")]
    figures = model_figures(
        pd.concat([load_figures(report / "figures.parquet") for report in options.report]),
        embedder.config.name,
        start=options.start,
        averaged=averaged,
    )
    rejected = rejection_by_kind(embedder, heads.get(MODALITY_TASK), gate)
    shares = {
        f"{REJECTED_PREFIX}{kind}": share for kind, share in rejected.set_index("kind")["rejected"].items()
    }
    if options.pointing:
        pointed = pointing_game(embedder, cam_methods(embedder), count_per_finding=options.pointing)
        pointed.to_csv(options.report[0] / "pointing.csv", index=False)
        hits = pointed.groupby("method")["in_finding"].mean().sort_values(ascending=False)
        shares |= {f"{POINTING_PREFIX}{method}": float(share) for method, share in hits.items()}
    manifest = open_all(options.data)
    measured = json.loads((options.model / METRICS).read_text(encoding="utf-8"))
    metrics = {**measured, **figures, **shares}
    with write_folder(options.model) as staging:
        shutil.copytree(options.model, staging, dirs_exist_ok=True)
        write_json(staging / METRICS, described(metrics, datasets))
        card = model_card(embedder.config, metrics, manifest, datasets)
        (staging / CARD).write_text(card, encoding="utf-8")


if __name__ == "__main__":
    run(main)
