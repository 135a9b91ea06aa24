"""The bundled model and collection behind the page, and the page served on a free port."""

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from app.services import Services, load_services
from app.ui import build_app, launch_options
from app.uploads import FOLDER_VARIABLE
from mermed_core.files import BUNDLED_COLLECTION
from mermed_core.settings import Settings

# The drawn cases, which have pictures, whatever a fresh installation serves.
SETTINGS = Settings.from_environment({"MERMED_COLLECTION": str(BUNDLED_COLLECTION)})


@pytest.fixture(scope="session")
def services() -> Services:
    return load_services(SETTINGS)


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
    options = launch_options(SETTINGS) | {
        "server_port": None,
        "prevent_thread_lock": True,
    }
    _, url, _ = blocks.launch(**options)
    yield url.rstrip("/")
    blocks.close()


@pytest.fixture(scope="session")
def ct_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DICOM file whose header says CT and names a patient, and whose pixels are noise."""
    data_set = pydicom.Dataset()
    data_set.SOPClassUID, data_set.SOPInstanceUID = CTImageStorage, generate_uid()
    data_set.Modality, data_set.PatientName = "CT", "Doe^Jane"
    data_set.WindowCenter, data_set.WindowWidth = 40, 400
    data_set.RescaleIntercept, data_set.RescaleSlope = -1024, 1
    data_set.ensure_file_meta()
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    values = np.random.default_rng(0).integers(0, 4096, (64, 64), dtype=np.uint16)
    data_set.set_pixel_data(values, "MONOCHROME2", 12)
    path = tmp_path_factory.mktemp("dicom") / "slice.dcm"
    data_set.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture
def sixteen_bit_png() -> bytes:
    """A ramp of 4096 grey values around 30000, which a clip at 255 would turn into one."""
    values = (30000 + np.arange(64 * 64)).reshape(64, 64).astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()
