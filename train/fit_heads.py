"""Fits everything on a frozen encoder: one head per label set, the modality head, the gate.

    python -m train.fit_heads --model runs/cpu/model --data $MERMED_DATA --data phantoms:60

Writes heads/, metrics.json and the model card into the model folder, which stays as it was until all is done.
"""

import argparse
import shutil
from pathlib import Path

from mermed_core.files import check_replaceable, write_folder, write_json
from train.arguments import add_common, open_all, run, step_parser
from train.datasets import DATASETS, read_datasets


def main(arguments: list[str] | None = None) -> None:
    """Runs the step."""
    parser = step_parser("fit_heads", __doc__)
    add_common(parser)
    parser.add_argument("--out", type=Path, help="where to write; default: into the model folder itself")
    parser.add_argument(
        "--cache", type=Path, help="folder that keeps vectors: a fit that was stopped goes on there"
    )
    parser.add_argument(
        "--datasets", type=Path, default=DATASETS, help="TOML with title, licence and caveat of each source"
    )
    _fit(parser.parse_args(arguments))


def _fit(options: argparse.Namespace) -> None:
    # torch takes seconds to import; --help should not
    from mermed_core.fitting.model_card import described, model_card
    from mermed_core.fitting.model_fit import assemble
    from mermed_core.inference.predictor import CARD, HEADS_FOLDER, METRICS
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.embedding_cache import VectorCache
    from mermed_core.models.heads import save_heads
    from mermed_core.models.model_folder import CONFIG, WEIGHTS
    from mermed_core.models.ood import save_gate

    out = options.out or options.model
    if options.out:
        check_replaceable(out, CONFIG)
    datasets = read_datasets(options.datasets)
    embedder = Embedder.load(options.model)
    manifest = open_all(options.data)
    cache = VectorCache(options.cache / "vectors") if options.cache else None
    assembly = assemble(embedder, manifest, cache=cache, workers=options.workers)
    with write_folder(out) as staging:
        for name in (CONFIG, WEIGHTS):
            shutil.copyfile(options.model / name, staging / name)
        (staging / HEADS_FOLDER).mkdir()
        save_heads(staging / HEADS_FOLDER, assembly.heads)
        save_gate(staging / HEADS_FOLDER, assembly.gate)
        write_json(staging / METRICS, described(assembly.metrics, datasets))
        card = model_card(embedder.config, assembly.metrics, manifest, datasets)
        (staging / CARD).write_text(card, encoding="utf-8")


if __name__ == "__main__":
    run(main)
