"""Makes a model folder of the published MerMED-FM weights, for the other steps and the page.

    python -m train.import_official hub:youngzhou12/MerMED/MerMED.pth --out runs/official
    python -m train.fit_heads --model runs/official --data $MERMED_DATA

The file is a pickle; nothing in it is executed. Its teacher becomes the encoder, every tensor accounted for.
"""

import argparse
from pathlib import Path

from mermed_core.files import check_replaceable, write_folder
from train.arguments import run, step_parser


def main(arguments: list[str] | None = None) -> None:
    """Runs the step."""
    parser = step_parser("import_official", __doc__)
    parser.add_argument("weights", help="path of the checkpoint, or hub:OWNER/NAME/FILE")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    parser.add_argument(
        "--architecture", default="vit_base_patch16_224", help="timm name (default: %(default)s)"
    )
    parser.add_argument(
        "--normalisation",
        choices=("imagenet", "modality"),
        default="imagenet",
        help="imagenet: as the authors extract embeddings (default); modality: as they pretrained",
    )
    _import(parser.parse_args(arguments))


def _import(options: argparse.Namespace) -> None:
    # torch takes seconds to import; --help should not
    from mermed_core.models.backbone import Backbone
    from mermed_core.models.mermed_weights import IMAGE_SIZE, official_card, official_config
    from mermed_core.models.model_folder import CONFIG, save_model
    from mermed_core.models.pretrained import load_weights, locate_weights

    check_replaceable(options.out, CONFIG)
    backbone = Backbone(options.architecture, image_size=IMAGE_SIZE)
    report = load_weights(backbone.encoder, locate_weights(options.weights, options.architecture))
    config = official_config(options.normalisation, report, options.architecture)
    with write_folder(options.out) as staging:
        save_model(staging, backbone, config)
        (staging / "README.md").write_text(official_card(config), encoding="utf-8")
    print(options.out)


if __name__ == "__main__":
    run(main)
