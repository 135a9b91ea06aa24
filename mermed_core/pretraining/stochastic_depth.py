"""Stochastic depth that does not compute what it drops.

timm lets a branch of a block work on every image and then multiplies what some images got with zero. Here
those images stay away from the branch: the same images are drawn, value and gradient are the same, and the
share of the work that is dropped is saved (DINOv2, arXiv 2304.07193, section 5, drops so on the GPU).
"""

import types
from collections.abc import Callable

import torch
from timm.layers.drop import DropPath
from timm.models.vision_transformer import Block
from torch import nn


def skip_dropped(encoder: nn.Module) -> None:
    """Lets the plain transformer blocks of an encoder that have stochastic depth skip what they drop.

    Only on the CPU, and not in a compiled encoder: which images are left must be known to the program, and
    elsewhere that would make it wait, or compile anew, for every block.

    Args:
        encoder: a timm model; blocks of other kinds, or whose forward was set already, stay as they are.
    """
    for block in encoder.modules():
        if type(block) is Block and isinstance(block.drop_path1, DropPath) and "forward" not in vars(block):
            block.forward = types.MethodType(_forward, block)


def _forward(block: Block, tokens: torch.Tensor) -> torch.Tensor:
    """Returns the block's tokens (batch, tokens, width)."""
    tokens = _add_branch(tokens, lambda kept: block.ls1(block.attn(block.norm1(kept))), block.drop_path1)
    return _add_branch(tokens, lambda kept: block.ls2(block.mlp(block.norm2(kept))), block.drop_path2)


def _add_branch(
    tokens: torch.Tensor, branch: Callable[[torch.Tensor], torch.Tensor], drop_path: nn.Module
) -> torch.Tensor:
    if not isinstance(drop_path, DropPath) or not drop_path.training or not _knows_its_images(tokens):
        return tokens + drop_path(branch(tokens))
    # One draw an image, in the way of timm's drop_path, so that a seed drops the same images.
    drawn = drop_path(tokens.new_ones(len(tokens)))
    kept = drawn.nonzero().squeeze(1)
    if len(kept) in (0, len(tokens)):  # with none left, the branch's weights would be without a gradient
        return tokens + branch(tokens) * drawn.view(-1, 1, 1)
    added = branch(tokens[kept]) * drawn[kept].view(-1, 1, 1)
    return tokens.index_add(0, kept, added.to(tokens.dtype))


def _knows_its_images(tokens: torch.Tensor) -> bool:
    return tokens.device.type == "cpu" and not torch.compiler.is_compiling()
