"""The teacher: a moving average of the student's parameters.

Buffers are not averaged. A batch norm of the teacher that is not frozen works with the statistics of its own
batch, as the student's does, and gathers its own running statistics from the global crops that it sees; these
belong to the teacher's weights and go into the finished model. Frozen batch norms keep the start's in both.
"""

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Moves each of the teacher's parameters to momentum · teacher + (1 − momentum) · student."""
    average = get_ema_multi_avg_fn(momentum)  # of all at once: on a GPU one by one costs more than the sums
    average(list(teacher.parameters()), list(student.parameters()), 0)


class BufferGuard:
    """Remembers the buffers of networks, to put them back when a step turns out to be bad."""

    def __init__(self, *networks: nn.Module) -> None:
        self._saved = [
            (buffer, buffer.clone()) for network in networks for buffer in network.buffers() if buffer.numel()
        ]

    @torch.no_grad()
    def restore(self) -> None:
        """Puts back what the buffers held."""
        for buffer, saved in self._saved:
            buffer.copy_(saved)
