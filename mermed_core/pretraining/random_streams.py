"""Seeds for everything random in a run: functions of the run's seed and a place, so that no state is kept."""

from enum import IntEnum

import numpy as np
import torch


class Stream(IntEnum):
    """What a seed is for; the numbers are part of a run's identity and never change."""

    START = 0
    ORDER = 1
    VIEWS = 2
    NETWORK = 3
    BLOCKS = 4
    MONITOR = 5


def derive_seed(seed: int, stream: Stream, *place: int) -> int:
    """Returns 64 random bits that are the same for the same seed, stream and place, such as (step, slot)."""
    return int(np.random.SeedSequence((seed, int(stream), *place)).generate_state(1, np.uint64)[0])


def generator(seed: int, stream: Stream, *place: int) -> torch.Generator:
    """Returns a torch generator on the CPU that starts from the derived seed."""
    return torch.Generator().manual_seed(derive_seed(seed, stream, *place))
