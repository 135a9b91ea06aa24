"""Images of which nothing states the modality: what a command does with them."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mermed_core.data.manifest import Manifest
    from mermed_core.models.embedder import Embedder
    from mermed_core.models.told_modality import ModalityTeller

AUTO = "auto"


def add_modality(parser: argparse.ArgumentParser) -> None:
    """Adds --modality of a command that lets the model tell it."""
    parser.add_argument(
        "--modality",
        metavar="NAME",
        help="modality of images that do not state theirs, such as ct or cxr; default: auto, which lets the "
        "model tell it, image by image",
    )


def open_images(options: argparse.Namespace, model: Path | None) -> "Manifest":
    """Opens the images of a command; those that state no modality have none yet where the model can tell it.

    Args:
        options: with `data`, `modality` and `refuse`.
        model: that will embed them; None where none will.

    Raises:
        ModelError: there is no usable model, or it is to tell the modality and cannot.
        ManifestError: the images cannot be used.
    """
    from mermed_core.data.sources.opener import open_manifests
    from mermed_core.errors import ManifestError, ModelError
    from mermed_core.modalities import LEFT_OPEN

    if options.modality not in (None, AUTO):
        return open_manifests(options.data, modality=options.modality)
    if model is None and options.modality:
        options.refuse("--modality auto needs the model, and with --vectors none is run")
    if model is None:
        return open_manifests(options.data)
    from mermed_core.models.told_modality import why_not

    unable = why_not(model)
    if not unable:
        return open_manifests(options.data, modality=LEFT_OPEN)
    if options.modality:
        raise ModelError(f"{unable} Name it, --modality cxr for instance.")
    try:
        return open_manifests(options.data)
    except ManifestError as error:
        if error.column != "modality":
            raise
        raise ManifestError(f"{error.problem} {unable}", row=error.row, column=error.column) from error


def teller_of(model: Path, embedder: "Embedder", manifest: "Manifest") -> "ModalityTeller | None":
    """Returns what tells the modality of images that `open_images` has left open.

    Raises:
        ModelError: it is needed, and the model has none.
    """
    from mermed_core.errors import ModelError
    from mermed_core.models.told_modality import ModalityTeller

    if not manifest.unstated:
        return None
    try:
        return ModalityTeller.load(model, embedder)
    except ModelError:
        if manifest.without_modality().any():
            raise
        return None


def print_told(folder: Path) -> None:
    """Prints how many cases of a collection have a modality that is the model's own answer, if any."""
    from mermed_core.collections.folder import open_folder
    from mermed_core.collections.store import case_columns
    from mermed_core.collections.told import ToldCounts

    counts = ToldCounts.of(case_columns(open_folder(folder)))
    if counts.told:
        print(counts, flush=True)
