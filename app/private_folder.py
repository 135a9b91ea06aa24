"""A folder for what visitors bring: nobody else may open it, and it is gone when its process is."""

import atexit
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

# Room that the memory file system must have before uploads pass through it.
_ENOUGH = 2 * 2**30
_MEMORY = Path("/dev/shm")
# A folder is locked as soon as it is made; a younger one may be about to be.
_YOUNG_SECONDS = 10


def private_folder(prefix: str) -> Path:
    """Makes a folder, in memory where there is room; it is removed at exit.

    What a process that was killed has left behind is removed, too: the owner of a folder holds a lock on it,
    and loses it however it ends.

    Args:
        prefix: of its name; folders with the same one are of the same use.
    """
    in_memory = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH
    parent = _MEMORY if in_memory else Path(tempfile.gettempdir())
    _remove_abandoned(parent, prefix)
    own = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    _lock(own)  # never closed: it lasts as long as the process
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    return own


def _remove_abandoned(parent: Path, prefix: str) -> None:
    for folder in parent.glob(f"{prefix}*"):
        try:
            state = folder.lstat()
            if state.st_uid != os.getuid() or time.time() - state.st_ctime < _YOUNG_SECONDS:
                continue
            lock = _lock(folder)
        except OSError:  # its owner lives, or it is gone already, or no folder
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _lock(folder: Path) -> int:
    """Locks a folder, which nobody has; returns the open file that holds the lock.

    Raises:
        OSError: somebody has it, or it is no folder.
    """
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(opened)
        raise
    return opened
