"""The bundled model and collection behind the page, and the page served on a free port."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.services import Services, load_services
from app.ui import build_app, launch_options
from app.uploads import FOLDER_VARIABLE


@pytest.fixture(scope="session")
def services() -> Services:
    return load_services({})


@pytest.fixture(scope="session")
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("uploads")
    before = os.environ.get(FOLDER_VARIABLE)
    os.environ[FOLDER_VARIABLE] = str(folder)
    yield folder
    if before is None:
        del os.environ[FOLDER_VARIABLE]
    else:
        os.environ[FOLDER_VARIABLE] = before


@pytest.fixture(scope="session")
def address(services: Services, uploads: Path) -> Iterator[str]:
    blocks = build_app(services)
    options = launch_options({}) | {"server_port": None, "prevent_thread_lock": True}
    _, url, _ = blocks.launch(**options)
    yield url.rstrip("/")
    blocks.close()


@pytest.fixture
def sixteen_bit_png() -> bytes:
    """A ramp of 4096 grey values around 30000, which a clip at 255 would turn into one."""
    values = (30000 + np.arange(64 * 64)).reshape(64, 64).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()
