"""The encoder: any timm model without its classifier, from images to embeddings."""

import math
from typing import Any, Self, cast

import timm
import torch
from timm.models import VisionTransformer, is_model_in_modules
from torch import nn

from mermed_core.errors import ModelError
from mermed_core.models.stage_pooling import StagePooling

# Cells a side of a class activation map: what the last stage of a ConvNet has at 224 px.
FEWEST_CELLS = 7


class Backbone(nn.Module):
    """A timm encoder that gives embeddings and the feature maps that they were pooled from.

    Args:
        architecture: name of a timm model, with or without a pretrained tag.
        image_size: side of the input in pixels; a ViT's position embedding is made for it.
        drop_path_rate: stochastic depth while training.
        pretrained: take the tag's weights from the Hugging Face hub.
        pooled_stages: how many of the last stages are pooled into the embedding beside the encoder's own
            features, see `stage_pooling`; 0 for none.
        centre_sigma: width of the centre that pooled stages weigh beside the whole image, a share of the
            side; 0 for the whole image alone.

    Raises:
        ModelError: timm does not know the architecture, it has fewer stages, or a centre is given but no
            stage to pool.
    """

    def __init__(
        self,
        architecture: str,
        *,
        image_size: int,
        drop_path_rate: float = 0.0,
        pretrained: bool = False,
        pooled_stages: int = 0,
        centre_sigma: float = 0.0,
    ) -> None:
        super().__init__()
        if not timm.is_model(architecture):
            raise ModelError(f"timm has no architecture '{architecture}'; see timm.list_models().")
        self.architecture = architecture
        self.image_size = image_size
        # Multi-crop training has two input sizes: the position embedding is interpolated for the smaller.
        options = {"img_size": image_size, "dynamic_img_size": True} if _is_transformer(architecture) else {}
        self.encoder = timm.create_model(
            architecture, pretrained=pretrained, num_classes=0, drop_path_rate=drop_path_rate, **options
        )
        if centre_sigma and not pooled_stages:
            raise ModelError("A centre sigma needs stages to pool.")
        self.pooled_stages = pooled_stages
        self.pooling = (
            StagePooling(self._pooled_dim(bool(centre_sigma)), centre_sigma) if pooled_stages else None
        )

    @torch.no_grad()
    def check_size(self, size: int) -> None:
        """Makes sure that images of size × size pixels can be embedded.

        Raises:
            ModelError: they cannot; some architectures are made for one size.
        """
        training = self.training
        try:
            self.eval()(torch.zeros(1, 3, size, size))
        except (RuntimeError, AssertionError) as error:
            raise ModelError(
                f"'{self.architecture}' cannot take images of {size} × {size} pixels: {error}"
            ) from error
        finally:
            self.train(training)

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self._encoder_dim() if self.pooling is None else len(self.pooling.center)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embeds images (batch, 3, height, width) as (batch, dim), not normalised."""
        if self.pooling is None:
            return self.encoder(images)
        encoder = cast(Any, self.encoder)  # every timm model has these two
        last, maps = encoder.forward_intermediates(images, indices=self.pooled_stages)
        return self.pooling(encoder.forward_head(last, pre_logits=True), maps)

    def for_inference(self) -> Self:
        """Returns itself in evaluation mode, laid out so that convolutions on a CPU are fastest."""
        return self.to(memory_format=torch.channels_last).eval()

    def _encoder_dim(self) -> int:
        # Some ConvNets widen the pooled features once more before their classifier.
        widened = getattr(self.encoder, "head_hidden_size", None)
        return int(cast(int, widened or self.encoder.num_features))

    def _pooled_dim(self, with_centre: bool) -> int:
        known = list(getattr(self.encoder, "feature_info", None) or [])
        if self.pooled_stages > len(known) or not hasattr(self.encoder, "forward_intermediates"):
            raise ModelError(f"'{self.architecture}' has no {self.pooled_stages} stages to pool.")
        channels = sum(stage["num_chs"] for stage in known[-self.pooled_stages :])
        return self._encoder_dim() + (4 if with_centre else 2) * channels

    def cam_layers(self) -> list[nn.Module]:
        """Returns the layers that a class activation map is made from, in the order of the encoder.

        For a ViT this is the first norm of the last block: after it only the class token reaches the
        embedding, so that patch tokens have no gradient. For a ConvNet it is the two deepest stages whose map
        is still fine enough to point at something: at 128 px the last one has 4 × 4 cells.
        """
        if isinstance(self.encoder, VisionTransformer):
            return [cast(nn.Module, self.encoder.blocks[-1].norm1)]
        stages = getattr(self.encoder, "feature_info", None)
        if not stages:
            raise ModelError(f"No feature map is known for '{self.architecture}'.")
        try:
            fine = [stage for stage in stages if self.image_size / stage["reduction"] >= FEWEST_CELLS]
            return [self.encoder.get_submodule(stage["module"]) for stage in fine[-2:] or stages[:1]]
        except (AttributeError, KeyError) as error:  # timm's list does not always match the model
            raise ModelError(f"No feature map is known for '{self.architecture}': {error}") from error

    def to_feature_map(self, activations: torch.Tensor) -> torch.Tensor:
        """Brings activations of one of `cam_layers` to (batch, channels, rows, columns).

        Tokens (batch, tokens, channels) are laid out on the grid of the square input, without prefix tokens
        where the layer carries them. A Swin's maps have their channels last.

        Raises:
            ModelError: the activations are not those of a square grid.
        """
        shape = tuple(getattr(activations, "shape", ()))
        if len(shape) == 4:
            channels_last = shape[1] == shape[2] != shape[3]
            return activations.permute(0, 3, 1, 2) if channels_last else activations
        if len(shape) == 3:
            for prefix in (0, int(getattr(self.encoder, "num_prefix_tokens", 0))):
                side = math.isqrt(shape[1] - prefix)
                if side * side == shape[1] - prefix:
                    return activations[:, prefix:].transpose(1, 2).unflatten(2, (side, side))
        got = list(shape) or "several tensors"
        raise ModelError(f"The activations of '{self.architecture}' are no feature map: {got}.")


def _is_transformer(architecture: str) -> bool:
    """Returns whether timm builds it for one size of input and can let it take others."""
    kinds = ("vision_transformer", "vision_transformer_hybrid", "deit", "eva")
    swins = ("swin_transformer", "swin_transformer_v2")
    return is_model_in_modules(architecture.split(".")[0], (*kinds, *swins))
