"""A ViT that ends in its class token need not carry the other tokens through its last block.

Behind the last attention nothing reads the patch tokens: not the final norm of the class token, not the loss.
Their queries, their projection and their MLP, five sixths of the last block, change neither value nor
gradient and are left out.
"""

import types
from typing import cast

import torch
from timm.layers.attention import Attention
from timm.models import VisionTransformer
from timm.models.vision_transformer import Block
from torch import nn
from torch.nn import functional


def end_in_class_token(encoder: nn.Module) -> bool:
    """Lets the last block of an encoder compute its class token alone, where that is all that is read.

    The encoder's embedding and its gradient stay the same; its patch tokens are gone from `forward_features`.

    Args:
        encoder: a timm model; one that pools otherwise, or whose last block is not timm's plain one, stays
            as it is.

    Returns:
        Whether it was changed.
    """
    if type(encoder) is not VisionTransformer or encoder.global_pool != "token":
        return False
    last = cast(nn.ModuleList, encoder.blocks)[-1]
    if type(last) is not Block or type(last.attn) is not Attention or last.attn.gate is not None:
        return False
    last.forward = types.MethodType(_class_token_of, last)
    return True


def _class_token_of(block: Block, tokens: torch.Tensor) -> torch.Tensor:
    """Returns the block's class token (batch, 1, width) of tokens (batch, tokens, width)."""
    first = tokens[:, :1]
    attended = _attend(cast(Attention, block.attn), block.norm1(tokens))
    first = first + block.drop_path1(block.ls1(attended))
    return first + block.drop_path2(block.ls2(block.mlp(block.norm2(first))))


def _attend(attention: Attention, tokens: torch.Tensor) -> torch.Tensor:
    """Returns what the first of tokens (batch, tokens, width) attends to, (batch, 1, width)."""
    dim, weight, bias = attention.attn_dim, attention.qkv.weight, attention.qkv.bias
    shape = (len(tokens), -1, attention.num_heads, attention.head_dim)
    query = functional.linear(tokens[:, :1], weight[:dim], None if bias is None else bias[:dim])
    rest = functional.linear(tokens, weight[dim:], None if bias is None else bias[dim:])
    query, key, value = (part.view(shape).transpose(1, 2) for part in (query, *rest.split(dim, dim=-1)))
    found = functional.scaled_dot_product_attention(
        attention.q_norm(query),
        attention.k_norm(key),
        value,
        dropout_p=attention.attn_drop.p if attention.training else 0.0,
    )
    found = found.transpose(1, 2).reshape(len(tokens), 1, dim)
    return attention.proj_drop(attention.proj(attention.norm(found)))
