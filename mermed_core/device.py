"""Which device does the work; the choice is logged."""

import logging
import os
import threading

import torch

logger = logging.getLogger(__name__)

_NICE = 10
_SMALL = 10_000_000  # parameters
_one_sets = threading.Lock()


def choose_device(name: str | None = None) -> torch.device:
    """Returns the named device, or the GPU where there is one and the CPU elsewhere; logs the choice."""
    device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
    logger.info("torch runs on %s", describe(device))
    return device


def describe(device: torch.device) -> str:
    """Returns the device in words, such as "cpu (2 threads)"."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)"


def one_core_for_small(parameters: int) -> None:
    """Lets an encoder of so many parameters work on one core, if it is small and the host chose no number.

    The threads that share one small image wait for each other at every layer. Where anything else runs, as
    another visitor's request does, two threads on two cores take five times as long as one (measured).
    """
    if parameters <= _SMALL and "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)


def compute_on(cores: int) -> None:
    """Lets this thread compute on so many cores; others keep their number, also those that start later.

    Torch hands the number that was set last, in whatever thread, to every new thread: a pool that took one
    core for itself, or half of them, would change on how many the next visitor's image is computed, and with
    it the last digits of the answer.
    """
    with _one_sets:  # or a second thread would take what the first one set for what was there before
        before = torch.get_num_threads()
        torch.set_num_threads(cores)
        if cores != before:
            other = threading.Thread(target=torch.set_num_threads, args=(before,))
            other.start()
            other.join()


def let_others_first() -> None:
    """Lowers the priority of this thread, and of those that it starts, where the system has one."""
    if hasattr(os, "setpriority"):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
