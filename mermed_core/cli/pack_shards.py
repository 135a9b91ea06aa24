"""`mermed pack-shards`: images become WebDataset shards."""

import argparse
import sys
from pathlib import Path

from mermed_core.cli.arguments import add_data, count, positive

SUMMARY = "Pack images into WebDataset shards, which training reads fast."
DETAILS = """\
    mermed pack-shards --data images.csv --out shards --workers 8
    mermed pretrain paper data.manifest=shards:s3://bucket/shards

Run again, it goes on where it was stopped. Every shard holds images of one modality; index.parquet says where
each image is. DICOM is packed as PNG without any header; other files are packed as they are."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_data(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FOLDER", help="local folder for the shards"
    )
    parser.add_argument(
        "--images-per-shard",
        type=positive,
        default=2000,
        metavar="N",
        help="at most (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=count, default=0, metavar="N", help="of the order (default: %(default)s)"
    )
    parser.add_argument(
        "--workers", type=count, default=0, metavar="N", help="processes that write; 0 writes in this one"
    )


def run(options: argparse.Namespace) -> None:
    """Packs the images and prints the folder.

    Raises:
        OccupiedError: the folder holds shards of other images.
    """
    from mermed_core.data.fingerprint import data_fingerprint
    from mermed_core.data.sources.opener import open_manifests
    from mermed_core.data.sources.shard_writer import pack

    manifest = open_manifests(options.data)
    packed = pack(
        manifest,
        data_fingerprint(manifest)["sha256"],
        options.out,
        images_per_shard=options.images_per_shard,
        seed=options.seed,
        workers=options.workers,
    )
    if packed.unreadable:
        print(f"{len(packed.unreadable)} images cannot be read and were left out", file=sys.stderr)
    print(options.out)
