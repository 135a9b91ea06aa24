"""How glibc treats the memory that a step gives back, on machines that train on the CPU."""

import ctypes
import sys

# mallopt(3), malloc.h
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Lets the process keep freed memory for the next step; returns whether the system could be told so.

    glibc maps every large tensor anew and returns it at once, so that each step pays for clearing its pages
    again: a third of the time of a step with a ViT-S.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another libc
        return False
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, -1) and mallopt(_TOP_PAD, 64 * 2**20))
