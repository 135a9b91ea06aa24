"""Seconds of a call, on a CPU or a GPU."""

import time
from collections.abc import Callable

import torch


def seconds_of(run: Callable[[], object], device: str) -> float:
    """Returns the seconds from a device that has nothing to do to one that has done all of a call."""
    _wait(device)
    start = time.perf_counter()
    run()
    _wait(device)
    return time.perf_counter() - start


def is_gpu(device: str) -> bool:
    """Tells whether a device only queues what it is given."""
    return torch.device(device).type == "cuda"


def _wait(device: str) -> None:
    if is_gpu(device):
        torch.cuda.synchronize()
