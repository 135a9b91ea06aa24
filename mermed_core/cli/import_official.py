"""`mermed import-official`: the published MerMED-FM weights as a model folder."""

import argparse
from pathlib import Path

SUMMARY = "Make a model folder of the published MerMED-FM weights."
DETAILS = """\
    mermed import-official hub:youngzhou12/MerMED/MerMED.pth --out runs/official
    mermed fit --model runs/official --data path/to/images

The file is a pickle, and nothing in it is executed. Its teacher becomes the encoder,
and every tensor is accounted for."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("weights", help="path of the checkpoint, or hub:OWNER/NAME/FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the model")
    parser.add_argument(
        "--architecture",
        default="vit_base_patch16_224",
        metavar="NAME",
        help="timm name (default: %(default)s)",
    )
    parser.add_argument(
        "--normalisation",
        choices=("imagenet", "modality"),
        default="imagenet",
        help="imagenet: as the authors extract embeddings (default); modality: as they pretrained",
    )


def run(options: argparse.Namespace) -> None:
    """Writes the model folder and prints where it is.

    Raises:
        ModelError: the weights cannot be found or read, or do not fit the architecture.
        OccupiedError: the folder holds something else.
    """
    from mermed_core.files import check_replaceable, write_folder
    from mermed_core.models.backbone import Backbone
    from mermed_core.models.mermed_weights import IMAGE_SIZE, official_card, official_config
    from mermed_core.models.model_folder import CARD, CONFIG, save_model
    from mermed_core.models.pretrained import load_weights, locate_weights

    check_replaceable(options.out, CONFIG)
    backbone = Backbone(options.architecture, image_size=IMAGE_SIZE)
    loaded = load_weights(backbone.encoder, locate_weights(options.weights, options.architecture))
    config = official_config(options.normalisation, loaded, options.architecture)
    with write_folder(options.out) as staging:
        save_model(staging, backbone, config)
        (staging / CARD).write_text(official_card(config), encoding="utf-8")
    print(options.out)
