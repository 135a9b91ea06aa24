"""The encoder: any timm model without its classifier, from an image to an embedding."""

import math
from typing import Any, Self, cast

import timm
import torch
from timm.models import VisionTransformer, is_model_in_modules
from torch import nn

from mermed_core.errors import ModelError
from mermed_core.models.stage_pooling import StageJoin

# Cells a side of a class activation map: what the last stage of a ConvNet has at 224 px.
FEWEST_CELLS = 7


class Backbone(nn.Module):
    """A timm encoder that gives embeddings and the feature map that they were pooled from.

    Args:
        architecture: name of a timm model, with or without a pretrained tag.
        image_size: side of the input in pixels; a ViT's position embedding is made for it.
        drop_path_rate: stochastic depth while training.
        pretrained: take the tag's weights from the Hugging Face hub.
        stages: how many of the last stages are joined to the pooled features, see `joining`; 0 for none.
        focus: how wide the middle is that joined stages look at beside the whole; 0 for the whole alone.

    Raises:
        ModelError: timm does not know the architecture, or it has not so many stages, or none are joined that
            could have a focus.
    """

    def __init__(
        self,
        architecture: str,
        *,
        image_size: int,
        drop_path_rate: float = 0.0,
        pretrained: bool = False,
        stages: int = 0,
        focus: float = 0.0,
    ) -> None:
        super().__init__()
        if not timm.is_model(architecture):
            raise ModelError(f"timm has no architecture '{architecture}'; see timm.list_models().")
        self.architecture = architecture
        self.image_size = image_size
        # Multi-crop feeds it two input sizes: a position embedding is interpolated for the smaller.
        options = {"img_size": image_size, "dynamic_img_size": True} if _is_transformer(architecture) else {}
        self.encoder = timm.create_model(
            architecture, pretrained=pretrained, num_classes=0, drop_path_rate=drop_path_rate, **options
        )
        if focus and not stages:
            raise ModelError("A focus needs stages to join.")
        self.stages = stages
        self.join = StageJoin(self._joined_dim(bool(focus)), focus) if stages else None

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
        return self._pooled_dim() if self.join is None else len(self.join.center)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Embeds images (batch, 3, height, width) as (batch, dim), not normalised."""
        if self.join is None:
            return self.encoder(images)
        encoder = cast(Any, self.encoder)  # every timm model has these two
        last, maps = encoder.forward_intermediates(images, indices=self.stages)
        return self.join(encoder.forward_head(last, pre_logits=True), maps)

    def for_inference(self) -> Self:
        """Returns itself in evaluation mode, laid out so that convolutions on a CPU are fastest."""
        return self.to(memory_format=torch.channels_last).eval()

    def _pooled_dim(self) -> int:
        # Some ConvNets widen the pooled features once more before their classifier.
        widened = getattr(self.encoder, "head_hidden_size", None)
        return int(cast(int, widened or self.encoder.num_features))

    def _joined_dim(self, with_middle: bool) -> int:
        known = list(getattr(self.encoder, "feature_info", None) or [])
        if self.stages > len(known) or not hasattr(self.encoder, "forward_intermediates"):
            raise ModelError(f"'{self.architecture}' has not {self.stages} stages to join.")
        channels = sum(stage["num_chs"] for stage in known[-self.stages :])
        return self._pooled_dim() + (4 if with_middle else 2) * channels

    def cam_layers(self) -> list[nn.Module]:
        """Returns the layers whose activations a class activation map weighs, in the order of the encoder.

        For a ViT this is the first norm of the last block: behind it only the class token reaches the
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
        except (AttributeError, KeyError) as error:  # timm's list is not always that of the model
            raise ModelError(f"No feature map is known for '{self.architecture}': {error}") from error

    def to_feature_map(self, activations: torch.Tensor) -> torch.Tensor:
        """Brings activations of one of `cam_layers` to (batch, channels, rows, columns).

        Tokens (batch, tokens, channels) take the grid of the square input; prefix tokens are left out where
        the layer carries them. A Swin's maps have their channels last.

        Raises:
            ModelError: these are no activations of a square grid.
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
        found = list(shape) or "several tensors"
        raise ModelError(f"The feature map of '{self.architecture}' is none: {found}.")


def _is_transformer(architecture: str) -> bool:
    """Tells whether timm makes it for a size of input, and can let it take others."""
    kinds = ("vision_transformer", "vision_transformer_hybrid", "deit", "eva")
    swins = ("swin_transformer", "swin_transformer_v2")
    return is_model_in_modules(architecture.split(".")[0], (*kinds, *swins))
