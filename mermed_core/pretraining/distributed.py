"""The processes that work on a run together: one, or several under torchrun, on CPUs or GPUs."""

import contextlib
import logging
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from timm.layers.norm_act import convert_sync_batchnorm
from torch import distributed, nn

from mermed_core.device import choose_device
from mermed_core.errors import RecipeError

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


class Processes:
    """What one process needs to work with the others; alone, every method is the identity.

    Each process works on every n-th place of a batch, from its own rank on (`BalancedSampler.share`).

    Args:
        device: "auto", or a torch device; under torchrun each process takes a GPU of its own.
        tracker: "none", or a tracker that Accelerate knows.
        folder: where trackers write.

    Attributes:
        device: where this process computes.
        rank: number of this process, from 0.
        world_size: number of processes.

    Raises:
        RecipeError: this machine has no such device, or Accelerate does not know the tracker.
    """

    def __init__(self, device: str = "auto", *, tracker: str = "none", folder: Path | None = None) -> None:
        wanted = _device(device)
        if wanted.type == "cuda" and wanted.index is not None:
            torch.cuda.set_device(wanted)
        self._tracker = tracker
        try:
            self._accelerator = Accelerator(
                cpu=wanted.type == "cpu",
                log_with=None if tracker == "none" else tracker,
                project_dir=folder,
                step_scheduler_with_optimizer=False,
            )
        except (ValueError, ImportError) as error:
            raise RecipeError(f"'run.tracker' is '{tracker}', which cannot be used: {error}") from error
        self.rank = self._accelerator.process_index
        self.world_size = self._accelerator.num_processes
        # Accelerate keeps the first device that a process asked for; alone, another may be wanted later.
        self.device = self._accelerator.device if self.world_size > 1 else wanted
        if not self.is_main:  # the main process logs for all, but a warning may concern only this one
            logging.getLogger("mermed_core").setLevel(logging.WARNING)

    @property
    def is_main(self) -> bool:
        """Whether this process writes what is written only once."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Returns the network such that every backward averages its gradients over the processes."""
        return network if self.world_size == 1 else cast(nn.Module, self._accelerator.prepare_model(network))

    def without_averaging(self, wrapped: nn.Module) -> contextlib.AbstractContextManager[Any]:
        """Makes backward only add to the gradients of this process while the context is open."""
        return self._accelerator.no_sync(wrapped)

    def wait(self) -> None:
        """Waits until every process has reached this point."""
        self._accelerator.wait_for_everyone()

    def gather_batch(self, share: torch.Tensor, dim: int = 0) -> torch.Tensor:
        """Returns the whole batch, in the order of its places, from each process's share along `dim`."""
        if self.world_size == 1:
            return share
        return interleave(_gather(share), dim)

    def sum(self, value: torch.Tensor) -> torch.Tensor:
        """Returns the sum over the processes."""
        if self.world_size > 1:
            value = value.clone()
            distributed.all_reduce(value)
        return value

    def max(self, number: int) -> int:
        """Returns the largest of the processes' numbers."""
        if self.world_size == 1:
            return number
        value = torch.tensor(number, device=self.device)
        distributed.all_reduce(value, op=distributed.ReduceOp.MAX)
        return int(value)

    def merge(self, table: dict[str, str]) -> dict[str, str]:
        """Returns the entries of every process's table."""
        if self.world_size == 1:
            return table
        return dict(cast("list[tuple[str, str]]", gather_object(sorted(table.items()))))

    def start_tracker(self, settings: dict[str, Any]) -> None:
        """Opens the tracker with plain settings, such as the recipe's values."""
        if self._tracker != "none":
            self._accelerator.init_trackers("curves", config=settings)

    def track(self, values: dict[str, float], step: int) -> None:
        """Sends the values of a step to the tracker."""
        if self._tracker != "none":
            self._accelerator.log(values, step=step)

    def end_tracker(self) -> None:
        """Closes the tracker."""
        if self._tracker != "none":
            self._accelerator.end_training()


def synchronise_batch_norm(network: nn.Module, processes: Processes) -> nn.Module:
    """Returns the network with batch norms over the whole batch, as one process alone would compute them.

    With the statistics of its own share each process would compute something else, and the result of a run
    would depend on their number. The names of the tensors stay the same. On GPUs these are torch's batch
    norms; torch has none for CPUs, where every process normalises the joined batch and keeps its own share of
    the result.
    """
    if processes.world_size == 1:
        return network
    if processes.device.type == "cuda":
        return cast(nn.Module, convert_sync_batchnorm(network))
    for module in network.modules():
        if isinstance(module, BATCH_NORMS):
            module.register_forward_pre_hook(_join)
            module.register_forward_hook(_keep_own_share)
    return network


def gather_with_gradient(share: torch.Tensor) -> torch.Tensor:
    """Returns (processes · batch, …) from each process's (batch, …), with gradients."""
    return cast(torch.Tensor, _GatherWithGradient.apply(share))


def interleave(parts: list[torch.Tensor], dim: int = 0) -> torch.Tensor:
    """Undoes a division in which each part took every n-th place along `dim`."""
    return torch.stack(parts, dim=dim + 1).flatten(dim, dim + 1)


class _GatherWithGradient(torch.autograd.Function):
    """Joins the processes' tensors along the first dimension; gradients return to where they belong."""

    @staticmethod
    def forward(ctx: Any, share: torch.Tensor) -> torch.Tensor:
        """Returns (processes · batch, …) from each process's (batch, …)."""
        ctx.size = len(share)
        return torch.cat(_gather(share))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        """Returns this process's part of the sum of all gradients."""
        gradient = gradients[0].contiguous()
        distributed.all_reduce(gradient)
        return gradient.split(ctx.size)[distributed.get_rank()]


def _gather(share: torch.Tensor) -> list[torch.Tensor]:
    share = share.contiguous()
    parts = [torch.empty_like(share) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, share)
    return parts


def _join(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> torch.Tensor | None:
    return gather_with_gradient(inputs[0]) if module.training else None


def _keep_own_share(module: nn.Module, _: Any, output: torch.Tensor) -> torch.Tensor | None:
    if not module.training:
        return None
    return output.chunk(distributed.get_world_size())[distributed.get_rank()]


def _device(name: str) -> torch.device:
    try:
        device = choose_device(None if name == "auto" else name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RecipeError(f"'run.device' is '{name}', which this machine does not have: {error}") from error
    return device
