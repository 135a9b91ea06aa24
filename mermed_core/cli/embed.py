"""`mermed embed`: images become vectors in a cache, on one machine or in shards on many."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mermed_core.cli.arguments import add_data, add_splits, add_workers, of_splits
from mermed_core.cli.unsorted import add_modality, open_images

if TYPE_CHECKING:
    import torch

SUMMARY = "Embed images into a cache, in shards on several machines."
DETAILS = """\
    mermed embed --data path/to/images --cache cache --shard 3/8
    mermed embed --data path/to/images --cache cache --shard 0/8 --check
    mermed collect --data path/to/images --cache cache --out collections/mine

Give every machine the same --data and --cache, on storage that all of them reach under the same path, and a
shard of its own: 0/8 to 7/8, or auto in a SLURM array, in a SLURM job with several tasks and under torchrun,
or auto/8 in a Kubernetes job with completionMode Indexed. The same command goes on where it was stopped. When
all are done, --check says whether a part is missing, and whose it is; mermed collect then embeds nothing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="default: MERMED_MODEL, else the bundled model"
    )
    add_data(parser)
    parser.add_argument(
        "--cache", type=Path, required=True, metavar="FOLDER", help="where the vectors are kept"
    )
    parser.set_defaults(refuse=parser.error)
    add_modality(parser)
    add_splits(parser)
    parser.add_argument(
        "--shard",
        default="0/1",
        metavar="INDEX/COUNT",
        help="embed this share of the images, from 0; auto or auto/COUNT takes it from the scheduler",
    )
    parser.add_argument(
        "--check", action="store_true", help="embed nothing, and say whether all of the shards are there"
    )
    add_workers(parser)


def run(options: argparse.Namespace) -> None:
    """Embeds a shard, or checks all of them, and prints what is there.

    Raises:
        EmbeddingError: a part is missing, as the check found.
        ModelError: there is no usable model.
        ManifestError: the images cannot be used.
        SettingsError: the shard is none.
    """
    from mermed_core.collections.segment import SEGMENT_ROWS
    from mermed_core.errors import EmbeddingError
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.embedding_cache import EmbeddingCache
    from mermed_core.models.shard import Shard
    from mermed_core.settings import Settings

    shard = Shard.parse(options.shard, os.environ)
    model = options.model or Settings.from_environment().model
    embedder = Embedder.load(model, _own_device())
    manifest = of_splits(open_images(options, model), options.split)
    # In the parts that a collection is written in, so that it finds them.
    parts = [
        manifest.select(range(first, min(first + SEGMENT_ROWS, len(manifest))))
        for first in range(0, len(manifest), SEGMENT_ROWS)
    ]
    cache = EmbeddingCache(options.cache / "vectors")
    if not options.check:
        done = cache.embed_share(embedder, parts, shard, workers=options.workers)
        print(
            f"shard {shard}: {done.images} images in {done.blocks} parts, {done.there} of which were there; "
            f"{len(done.broken)} images cannot be read"
        )
        return
    missing = cache.missing(embedder, parts)
    if missing:
        shards = sorted({f"{number % shard.count}/{shard.count}" for number in missing})
        raise EmbeddingError(f"{len(missing)} parts are missing; run the shards {', '.join(shards)} again.")
    print(f"all parts of {len(manifest)} images are there")


def _own_device() -> "torch.device | None":
    """Returns the GPU of this process where torchrun has started one for each; else leaves the choice."""
    import torch

    local = os.environ.get("LOCAL_RANK", "")
    if local.isdecimal() and torch.cuda.is_available():
        return torch.device("cuda", int(local) % torch.cuda.device_count())
    return None
