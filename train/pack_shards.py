"""Packs images into WebDataset shards, which disks and object stores read fast in training.

    python -m train.pack_shards --data images.csv --out shards --workers 8
    python -m train.pretrain train/recipes/paper.toml data.manifest=shards:s3://bucket/shards

Run again, it goes on where it was stopped. Every shard holds images of one modality; index.parquet says where
each lies. DICOM is packed as PNG without any header; other files are packed as they are.
"""

import argparse
import sys
from pathlib import Path

from train.arguments import DATA_HELP, count, open_all, run, step_parser


def main(arguments: list[str] | None = None) -> None:
    """Runs the step."""
    parser = step_parser("pack_shards", __doc__)
    parser.add_argument("--data", action="append", required=True, metavar="SPEC", help=DATA_HELP)
    parser.add_argument("--out", type=Path, required=True, help="local folder for the shards")
    parser.add_argument("--images-per-shard", type=count, default=2000, help="at most (default: %(default)s)")
    parser.add_argument("--seed", type=count, default=0, help="of the order (default: %(default)s)")
    parser.add_argument("--workers", type=count, default=0, help="processes that write; 0 writes in this one")
    _pack(parser.parse_args(arguments))


def _pack(options: argparse.Namespace) -> None:
    # these take seconds to import; --help should not
    from mermed_core.data.fingerprint import data_fingerprint
    from mermed_core.data.sources.shard_writer import pack

    manifest = open_all(options.data)
    packed = pack(
        manifest,
        data_fingerprint(manifest)["sha256"],
        options.out,
        images_per_shard=max(1, options.images_per_shard),
        seed=options.seed,
        workers=options.workers,
    )
    if packed.unreadable:
        print(f"{len(packed.unreadable)} images cannot be read and were left out", file=sys.stderr)
    print(options.out)


if __name__ == "__main__":
    run(main)
