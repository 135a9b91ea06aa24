"""Speed-ups that leave the result of a step as it is, and one repair that half precision on the CPU needs.

- `shorten_last_block`: a ViT that is read only at its class token computes nothing else in its last block.
- `skip_dropped_branches`: stochastic depth does not compute what it drops.
- `use_single_precision_convolutions`: padded convolutions on the CPU are kept out of half precision.
- `keep_freed_memory`: malloc keeps the memory of one step for the next.
- `compile_encoder`, `without_compiling`, `explain_compile_errors`: torch.compile.
"""

import contextlib
import ctypes
import sys
import types
from collections.abc import Callable, Iterator
from typing import cast

import torch
from timm.layers.attention import Attention
from timm.layers.drop import DropPath
from timm.models import VisionTransformer
from timm.models.vision_transformer import Block
from torch import nn
from torch.nn import functional

from mermed_core.errors import RecipeError

# mallopt(3), malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
# Where torch.compile raises its errors: there is no public base class, and importing these takes seconds.
# test_speedups.py fails when an upgrade moves them.
_COMPILER_MODULES = ("torch._dynamo", "torch._inductor")


def shorten_last_block(encoder: nn.Module) -> bool:
    """Makes the last block of a ViT compute its class token alone, where nothing else of it is read.

    After the last attention the patch tokens are read neither by the final norm of the class token nor by the
    loss. Their queries, their projection and their MLP are five sixths of the block and change neither the
    embedding nor its gradient. The patch tokens are then missing from `forward_features`.

    Args:
        encoder: a timm model; one that pools otherwise, or whose last block is not timm's plain one, stays
            as it is.

    Returns:
        Whether the encoder was changed.
    """
    if type(encoder) is not VisionTransformer or encoder.global_pool != "token":
        return False
    last = cast(nn.ModuleList, encoder.blocks)[-1]
    if type(last) is not Block or type(last.attn) is not Attention or last.attn.gate is not None:
        return False
    last.forward = types.MethodType(_class_token_forward, last)
    return True


def skip_dropped_branches(encoder: nn.Module) -> None:
    """Makes the plain transformer blocks of an encoder skip what stochastic depth drops.

    timm computes a branch for every image and then multiplies the result with zero for some of them. Here
    these images do not enter the branch: the same images are drawn, value and gradient stay the same, and the
    work for the dropped share is saved (DINOv2, arXiv 2304.07193, section 5, does so on the GPU).

    Only on the CPU and in an encoder that is not compiled: the program must know which images are left, which
    elsewhere means waiting for the device or compiling anew in every block.

    Args:
        encoder: a timm model; blocks of other kinds, and blocks whose forward was replaced already, stay as
            they are.
    """
    for block in encoder.modules():
        if type(block) is Block and isinstance(block.drop_path1, DropPath) and "forward" not in vars(block):
            block.forward = types.MethodType(_stochastic_forward, block)


def use_single_precision_convolutions(network: nn.Module) -> None:
    """Makes the padded convolutions of a network compute in single precision under autocast on the CPU.

    Where the map is so small that a tap of the kernel only ever meets padding, the half-precision gradient of
    that tap holds whatever was in the memory before (PyTorch 2.15, oneDNN on CPUs with AVX-512 BF16; 26 of 30
    times for a stride of 2 on a 1 × 1 map when freed memory is filled with NaN).
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.padding not in ((0, 0), "valid"):
            module.forward = types.MethodType(_single_precision_forward, module)


def keep_freed_memory() -> bool:
    """Tells malloc to keep freed memory for the next step; returns whether that was possible.

    By default glibc maps every large tensor anew and returns it to the system at once, so that every step
    pays for clearing the pages again: a third of the time of a step with a ViT-S.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another libc
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, -1) and mallopt(_TOP_PAD, 64 * 2**20))


def compile_encoder(encoder: nn.Module) -> None:
    """Marks an encoder for compilation, which happens at its first views, once for each size of them."""
    encoder.compile(dynamic=False)


def without_compiling(compiled: bool) -> contextlib.AbstractContextManager[object]:
    """Runs compiled encoders as they were written while the context is open.

    A few images in other batches and another precision are not worth the minute that compiling takes.
    """
    return torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext()


@contextlib.contextmanager
def explain_compile_errors() -> Iterator[None]:
    """Turns an error of torch.compile into a sentence.

    Raises:
        RecipeError: nothing can be compiled here, mostly because no compiler for C or C++ is installed.
    """
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(_COMPILER_MODULES):
            raise
        reason = str(error).strip().partition("\n")[0]
        raise RecipeError(
            f"'compute.compile' is true, but nothing can be compiled here: {reason}. Install compilers for C "
            "and C++ and Python's headers, or set it to false in a 'run.folder' of its own."
        ) from error


def _class_token_forward(block: Block, tokens: torch.Tensor) -> torch.Tensor:
    """Returns the block's class token (batch, 1, width) for tokens (batch, tokens, width)."""
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
    attended = functional.scaled_dot_product_attention(
        attention.q_norm(query),
        attention.k_norm(key),
        value,
        dropout_p=attention.attn_drop.p if attention.training else 0.0,
    )
    attended = attended.transpose(1, 2).reshape(len(tokens), 1, dim)
    return attention.proj_drop(attention.proj(attention.norm(attended)))


def _stochastic_forward(block: Block, tokens: torch.Tensor) -> torch.Tensor:
    """Returns the block's tokens (batch, tokens, width)."""
    tokens = _add_branch(tokens, lambda kept: block.ls1(block.attn(block.norm1(kept))), block.drop_path1)
    return _add_branch(tokens, lambda kept: block.ls2(block.mlp(block.norm2(kept))), block.drop_path2)


def _add_branch(
    tokens: torch.Tensor, branch: Callable[[torch.Tensor], torch.Tensor], drop_path: nn.Module
) -> torch.Tensor:
    may_skip = tokens.device.type == "cpu" and not torch.compiler.is_compiling()
    if not isinstance(drop_path, DropPath) or not drop_path.training or not may_skip:
        return tokens + drop_path(branch(tokens))
    # One draw for each image, as timm's drop_path makes it, so that a seed drops the same images.
    drawn = drop_path(tokens.new_ones(len(tokens)))
    kept = drawn.nonzero().squeeze(1)
    if len(kept) in (0, len(tokens)):  # with no image left, the branch's weights would get no gradient
        return tokens + branch(tokens) * drawn.view(-1, 1, 1)
    added = branch(tokens[kept]) * drawn[kept].view(-1, 1, 1)
    return tokens.index_add(0, kept, added.to(tokens.dtype))


def _single_precision_forward(convolution: nn.Conv2d, values: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", enabled=False):
        return type(convolution).forward(convolution, values.float())
