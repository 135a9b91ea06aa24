"""Turns a model that embeds with its encoder's own features into one that pools several stages as well."""

from dataclasses import replace

import torch

from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError, ModelError
from mermed_core.fitting.training_vectors import some_of_each_source
from mermed_core.models.backbone import Backbone
from mermed_core.models.embedder import Embedder, embed_manifest

_IMAGES = 400  # of a source


def pool_stages(
    embedder: Embedder,
    manifest: Manifest,
    stages: int,
    *,
    size: int | None = None,
    centre_sigma: float = 0.0,
    trim: bool = False,
    workers: int = 0,
) -> Embedder:
    """Returns an encoder that pools its last stages, standardised on training images without their labels.

    At most so many of each source are asked as a mean needs, so that no source outweighs the others.

    Args:
        embedder: the encoder; its weights are taken as they are.
        manifest: images of all kinds that it is meant for.
        stages: how many of the last stages.
        size: side of the input in pixels; None keeps it.
        centre_sigma: width of the centre that is weighed beside the whole image, see
            `stage_pooling.centre_weights`; 0 for the whole image alone.
        trim: leave out the frame around every picture, see `imaging.frames`.
        workers: processes that read images ahead.

    Raises:
        ModelError: the encoder has fewer stages, or it or its weights are made for another size.
        ManifestError: there are no training images, or none can be read.
    """
    if not (manifest.frame["split"] == "train").any():
        raise ManifestError("no image belongs to the train split.", column="split")
    old = embedder.config
    side = size or old.preprocessing.image_size
    backbone = Backbone(old.architecture, image_size=side, pooled_stages=stages, centre_sigma=centre_sigma)
    try:
        backbone.encoder.load_state_dict(embedder.backbone.encoder.state_dict())
    except RuntimeError as error:
        raise ModelError(f"The weights of '{old.name}' are made for another size: {error}") from error
    backbone.check_size(side)
    backbone = backbone.to(embedder.device).for_inference()
    config = replace(
        old,
        preprocessing=replace(old.preprocessing, image_size=side, trim=trim),
        pooled_stages=stages,
        centre_sigma=centre_sigma,
    )
    result = Embedder(backbone, config, "", embedder.device)
    if backbone.pooling is not None:
        sample = manifest.select(some_of_each_source(manifest, _IMAGES))
        features = embed_manifest(result, sample, unit=False, workers=workers).vectors
        backbone.pooling.fit(torch.from_numpy(features))
    return result
