"""The random partition of the memory into blocks (MaSSL, ICML 2024)."""

import torch


def random_blocks(count: int, blocks: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Cuts the numbers 0..count-1 at random into blocks whose sizes differ by one at most.

    A ring with fewer memories than blocks gives that many blocks of one memory each, an empty ring gives
    none: no block is ever empty, and no softmax is taken over nothing.
    """
    if count == 0:
        return ()
    return torch.randperm(count, generator=generator).tensor_split(min(blocks, count))
