"""From a model whose embedding is the last stage's to one that joins several stages."""

from dataclasses import replace

import torch

from mermed_core.data.manifest import Manifest
from mermed_core.errors import ManifestError, ModelError
from mermed_core.models.backbone import Backbone
from mermed_core.models.embedder import Embedder, embed_manifest


def joined(
    embedder: Embedder,
    manifest: Manifest,
    stages: int,
    *,
    size: int | None = None,
    focus: float = 0.0,
    workers: int = 0,
) -> Embedder:
    """Returns an encoder that joins its last stages, standardised on the train split without its labels.

    Args:
        embedder: the encoder; its weights are taken as they are.
        manifest: images of all kinds that it is for.
        stages: how many of the last stages.
        size: side of the input in pixels, where it is to be another.
        focus: how wide the middle is that they look at beside the whole, see `joining.focus_weights`;
            0 for the whole alone.
        workers: processes that read images ahead.

    Raises:
        ModelError: the encoder has not so many stages, or it or its weights are made for another size.
        ManifestError: there are no training images, or none can be read.
    """
    if not (manifest.frame["split"] == "train").any():
        raise ManifestError("no image belongs to the train split.", column="split")
    old = embedder.config
    side = size or old.preprocessing.image_size
    backbone = Backbone(old.architecture, image_size=side, stages=stages, focus=focus)
    try:
        backbone.encoder.load_state_dict(embedder.backbone.encoder.state_dict())
    except RuntimeError as error:
        raise ModelError(f"The weights of '{old.name}' are made for another size: {error}") from error
    backbone.check_size(side)
    backbone = backbone.to(embedder.device).for_inference()
    preprocessing = replace(old.preprocessing, image_size=side)
    training = {**old.training, "joined_stages": stages}
    config = replace(old, preprocessing=preprocessing, stages=stages, focus=focus, training=training)
    result = Embedder(backbone, config, "", embedder.device)
    if backbone.join is not None:
        features = embed_manifest(result, manifest.split("train"), unit=False, workers=workers).vectors
        backbone.join.fit(torch.from_numpy(features))
    return result
