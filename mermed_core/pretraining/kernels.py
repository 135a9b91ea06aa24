"""The encoder's kernels, compiled by torch where the recipe wants them so."""

import contextlib
from collections.abc import Iterator

import torch

from mermed_core.errors import RecipeError
from mermed_core.pretraining.network import SelfSupervisedNetwork

_COMPILER = ("torch._dynamo", "torch._inductor")  # where its errors are made; to import them takes seconds


def compile_encoder(network: SelfSupervisedNetwork) -> None:
    """Lets an encoder be compiled when it meets its first views, once for each size of them."""
    network.backbone.encoder.compile(dynamic=False)


def without_compiling(compiled: bool) -> contextlib.AbstractContextManager[object]:
    """While it is entered, an encoder that was compiled runs as it was written.

    For a few images in other batches and another precision it is not worth the minute of compiling.
    """
    return torch.compiler.set_stance("force_eager") if compiled else contextlib.nullcontext()


@contextlib.contextmanager
def compiler_in_words() -> Iterator[None]:
    """Says in a sentence what the compiler cannot do here.

    Raises:
        RecipeError: the kernels could not be compiled; mostly no compiler for C or C++ is installed.
    """
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(_COMPILER):
            raise
        reason = str(error).strip().partition("\n")[0]
        raise RecipeError(
            f"'compute.compile' is true, but nothing can be compiled here: {reason}. Install compilers for C "
            "and C++ and Python's headers, or set it to false in a 'run.folder' of its own."
        ) from error
