"""The processes that work on a run together: one, or several under torchrun, on CPUs or GPUs."""

import contextlib
import logging
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import distributed, nn

from mermed_core.device import choose_device
from mermed_core.errors import RecipeError


class Ranks:
    """What one process needs to work with the others; alone, every method is the identity.

    Every rank works on every `world`-th place of a batch, from its own number on (`BalancedSampler.share`).

    Args:
        device: "auto", or a torch device; under torchrun each process takes its own GPU.
        tracker: "none", or a tracker that Accelerate knows.
        folder: where trackers write.

    Attributes:
        device: where this process computes.
        rank: number of this process.
        world: number of processes.

    Raises:
        RecipeError: there is no such device here, or Accelerate does not know the tracker.
    """

    def __init__(self, device: str = "auto", *, tracker: str = "none", folder: Path | None = None) -> None:
        wanted = _present(device)
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
        self.world = self._accelerator.num_processes
        # Accelerate keeps to the first device that a process asked for; alone, another may be wanted later.
        self.device = self._accelerator.device if self.world > 1 else wanted
        if not self.is_main:  # what all of them see, one tells; warnings may be of one rank's images alone
            logging.getLogger("mermed_core").setLevel(logging.WARNING)

    @property
    def is_main(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Returns the network so that its gradients are averaged over the ranks after every backward."""
        return network if self.world == 1 else cast(nn.Module, self._accelerator.prepare_model(network))

    def without_averaging(self, wrapped: nn.Module) -> contextlib.AbstractContextManager[Any]:
        """While it is entered, backward only adds to the gradients of this rank."""
        return self._accelerator.no_sync(wrapped)

    def wait(self) -> None:
        """Waits until every rank has come here."""
        self._accelerator.wait_for_everyone()

    def gather_places(self, share: torch.Tensor, dim: int = 0) -> torch.Tensor:
        """Returns the whole batch, in the order of its places, from each rank's share along `dim`."""
        if self.world == 1:
            return share
        return interleave(_all(share), dim)

    def total(self, value: torch.Tensor) -> torch.Tensor:
        """Returns the sum over the ranks."""
        if self.world > 1:
            value = value.clone()
            distributed.all_reduce(value)
        return value

    def largest(self, number: int) -> int:
        """Returns the largest of the ranks' numbers."""
        if self.world == 1:
            return number
        value = torch.tensor(number, device=self.device)
        distributed.all_reduce(value, op=distributed.ReduceOp.MAX)
        return int(value)

    def merge(self, table: dict[str, str]) -> dict[str, str]:
        """Returns the entries of every rank's table."""
        if self.world == 1:
            return table
        return dict(cast("list[tuple[str, str]]", gather_object(sorted(table.items()))))

    def start_tracker(self, settings: dict[str, Any]) -> None:
        """Opens the tracker with plain settings, such as the recipe's numbers."""
        if self._tracker != "none":
            self._accelerator.init_trackers("curves", config=settings)

    def track(self, values: dict[str, float], step: int) -> None:
        """Gives the tracker the values of a step."""
        if self._tracker != "none":
            self._accelerator.log(values, step=step)

    def end_tracker(self) -> None:
        """Closes the tracker."""
        if self._tracker != "none":
            self._accelerator.end_training()


class _GatherWithGradient(torch.autograd.Function):
    """Joins the ranks' tensors along the first dimension; gradients return to the rank they belong to."""

    @staticmethod
    def forward(ctx: Any, share: torch.Tensor) -> torch.Tensor:
        """Returns (world · batch, …) from each rank's (batch, …)."""
        ctx.size = len(share)
        return torch.cat(_all(share))

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        """Returns this rank's part of the sum of all ranks' gradients."""
        gradient = gradients[0].contiguous()
        distributed.all_reduce(gradient)
        return gradient.split(ctx.size)[distributed.get_rank()]


def gather_with_gradient(share: torch.Tensor) -> torch.Tensor:
    """Returns (world · batch, …) from each rank's (batch, …), with gradients."""
    return cast(torch.Tensor, _GatherWithGradient.apply(share))


def interleave(parts: list[torch.Tensor], dim: int = 0) -> torch.Tensor:
    """Undoes a division in which each part took every n-th place along `dim`."""
    return torch.stack(parts, dim=dim + 1).flatten(dim, dim + 1)


def _all(share: torch.Tensor) -> list[torch.Tensor]:
    share = share.contiguous()
    parts = [torch.empty_like(share) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, share)
    return parts


def _present(name: str) -> torch.device:
    try:
        device = choose_device(None if name == "auto" else name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise RecipeError(f"'run.device' is '{name}', which this machine does not have: {error}") from error
    return device
