"""Skips tests whose marker asks for something that is not here; property tests draw the same each time."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is slow, which says nothing about the code: no deadline, and the same examples in every run.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = {name: [item for item in items if item.get_closest_marker(name)] for name in ("data", "gpu")}
    if marked["data"] and not os.environ.get("MERMED_DATA"):
        for item in marked["data"]:
            item.add_marker(pytest.mark.skip(reason="MERMED_DATA names no folder of real images"))
    if marked["gpu"] and not _has_cuda():
        for item in marked["gpu"]:
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session")
def mermed_data() -> Path:
    """The folder of real image sets; ask for it only in tests marked `data`."""
    folder = Path(os.environ["MERMED_DATA"])
    assert folder.is_dir(), f"MERMED_DATA names {folder}, which is no folder"
    return folder


def _has_cuda() -> bool:
    import torch  # slow to import, so only where a test needs it

    return torch.cuda.is_available()
