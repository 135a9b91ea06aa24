"""A tiny random model with heads and detector, and a collection of phantoms made by it."""

import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from mermed_core.collections.store import build_collection
from mermed_core.data.manifest import Manifest
from mermed_core.data.phantoms import phantom_manifest
from mermed_core.files import write_folder
from mermed_core.fitting import detector_fit, training_vectors
from mermed_core.fitting.model_fit import FittedModel, fit_model
from mermed_core.inference.predictor import Predictor
from mermed_core.models.backbone import Backbone
from mermed_core.models.embedder import Embedder
from mermed_core.models.model_folder import ModelConfig, save_model
from mermed_core.models.preprocessing import IMAGENET, Preprocessing

SIDE = 48
SLIDE_TILE = 32


def dicom(values: np.ndarray, syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """Returns a DICOM file of values (height, width), (frames, height, width) or (height, width, 3)."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(syntax)
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    colour = values.shape[-1] == 3
    frames = values.ndim == 3 and not colour
    bits = values.dtype.itemsize * 8
    stated = {
        "Rows": values.shape[1 if frames else 0],
        "Columns": values.shape[2 if frames else 1],
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(values.dtype.kind == "i"),
        **({"PlanarConfiguration": 0} if colour else {}),
        **({"NumberOfFrames": len(values)} if frames else {}),
        "PixelData": values.tobytes() + b"\0" * (values.nbytes % 2),
    }
    for name, value in (stated | elements).items():
        if value is not None:
            setattr(dataset, name, value)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset)
    return buffer.getvalue()


class FileServer(ThreadingHTTPServer):
    """Serves bytes by name, and parts of them as long as it is told to.

    Attributes:
        files: what it has.
        sends_parts: whether it heeds a Range.
        cuts: after how many bytes each of the next answers of more than one byte breaks off.
        errors: with which code the next requests are refused.
        leads: to which address the request of a name is redirected.
        claims: how many bytes an answer says that it has, by name, whatever it has.
        logins: what each request so far carried as Authorization.
        requests: name and Range of each request so far.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _FileHandler)
        self.files: dict[str, bytes] = {}
        self.sends_parts = True
        self.cuts: list[int] = []
        self.errors: list[int] = []
        self.leads: dict[str, str] = {}
        self.claims: dict[str, int] = {}
        self.logins: list[str | None] = []
        self.requests: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/files"


class _FileHandler(BaseHTTPRequestHandler):
    server: FileServer  # pyright: ignore[reportIncompatibleVariableOverride]  # as socketserver sets it

    def do_GET(self) -> None:
        name, span = self.path.rpartition("/")[2].partition("?")[0], self.headers.get("Range")
        self.server.requests.append((name, span))
        if self.server.errors:
            self.send_error(self.server.errors.pop(0))
            return
        self.server.logins.append(self.headers.get("Authorization"))
        if name in self.server.leads:
            self.send_response(302)
            self.send_header("Location", self.server.leads[name])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if name not in self.server.files:
            self.send_error(404)
            return
        content = data = self.server.files[name]
        if span and self.server.sends_parts:
            start, end = span.removeprefix("bytes=").split("-")
            data = content[int(start) : int(end) + 1 if end else None]
            self.send_response(206)
            size = self.server.claims.get(name, len(content))
            self.send_header("Content-Range", f"bytes {start}-{int(start) + len(data) - 1}/{size}")
        else:
            self.send_response(200)
        whole = self.server.claims.get(name, len(data)) if data is content else len(data)
        self.send_header("Content-Length", str(whole))
        self.end_headers()
        cut = self.server.cuts.pop(0) if self.server.cuts and len(data) > 1 else len(data)
        self.wfile.write(data[:cut])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def make_dicom() -> Callable[..., bytes]:
    return dicom


@pytest.fixture(scope="session")
def make_slide(make_dicom):
    def made(values: np.ndarray, **elements: object) -> bytes:
        """Returns a file whose frames are the tiles of values (height, width, 3) or (height, width)."""
        down, across = (-(-side // SLIDE_TILE) for side in values.shape[:2])
        padded = np.zeros((down * SLIDE_TILE, across * SLIDE_TILE, *values.shape[2:]), values.dtype)
        padded[: values.shape[0], : values.shape[1]] = values
        tiles = padded.reshape(down, SLIDE_TILE, across, SLIDE_TILE, *values.shape[2:]).swapaxes(1, 2)
        stated = {
            "Rows": SLIDE_TILE,
            "Columns": SLIDE_TILE,
            "NumberOfFrames": down * across,
            "TotalPixelMatrixRows": values.shape[0],
            "TotalPixelMatrixColumns": values.shape[1],
            "DimensionOrganizationType": "TILED_FULL",
            "SeriesInstanceUID": "1.2.3",
            "Modality": "SM",
        }
        return make_dicom(tiles.reshape(-1, SLIDE_TILE, SLIDE_TILE, *values.shape[2:]), **(stated | elements))

    return made


def write_model(folder: Path, seed: int = 0, architecture: str = "test_efficientnet") -> Embedder:
    torch.manual_seed(seed)
    backbone = Backbone(architecture, image_size=SIDE).eval()
    config = ModelConfig("tiny", architecture, Preprocessing(SIDE, "squash", IMAGENET), {"steps": 0}, "CC0")
    with write_folder(folder) as staging:
        save_model(staging, backbone, config)
    return Embedder.load(folder)


@pytest.fixture(scope="session")
def make_model():
    return write_model


@pytest.fixture(scope="session")
def phantoms() -> Manifest:
    return phantom_manifest(20, seed=0)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder alone, without heads."""
    folder = tmp_path_factory.mktemp("encoder") / "model"
    write_model(folder)
    return folder


@pytest.fixture(scope="session")
def embedder(encoder_folder: Path) -> Embedder:
    return Embedder.load(encoder_folder)


def strange(seed: int, count: int = 6) -> dict[str, list[np.ndarray]]:
    """Returns small pictures of three unknown kinds: colours in squares of 1, 4 and 16 pixels."""
    random = np.random.default_rng(seed)
    return {
        f"squares of {side}": [
            random.integers(0, 256, (64 // side, 64 // side, 3), dtype=np.uint8)
            .repeat(side, 0)
            .repeat(side, 1)
            for _ in range(count)
        ]
        for side in (1, 4, 16)
    }


@pytest.fixture(scope="session")
def make_strange():
    return strange


@pytest.fixture(scope="session", autouse=True)
def quick_fit() -> Iterator[None]:
    """Fits take seconds: few unknown images, and coordinates as few as a tiny encoder needs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_vectors, "unknown_images", lambda: strange(0))
        patch.setattr(training_vectors, "unknown_medical", list)
        for name, value in (("RANK", 32), ("NEAR", 8), ("SUBSPACE", 4)):
            patch.setattr(detector_fit, name, value)
        yield


@pytest.fixture(scope="session")
def fitted(embedder: Embedder, phantoms: Manifest) -> FittedModel:
    return fit_model(embedder, phantoms)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory, fitted: FittedModel) -> Path:
    folder = tmp_path_factory.mktemp("model") / "model"
    write_model(folder)
    fitted.parts.save(folder)
    return folder


@pytest.fixture(scope="session")
def collection_folder(
    tmp_path_factory: pytest.TempPathFactory, embedder: Embedder, fitted: FittedModel
) -> Path:
    folder = tmp_path_factory.mktemp("collection") / "collection"
    manifest = phantom_manifest(6, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        # UMAP compiles for a quarter of a minute; test_projection is about it, the others need any map.
        patch.setattr("mermed_core.collections.store.compute_map", lambda vectors, _: vectors[:, :2].copy())
        space = fitted.parts.space
        build_collection(folder, embedder, manifest, space=space, name="Tiny", text="Drawn.", synthetic=True)
    return folder


@pytest.fixture(scope="session")
def predictor(model_folder: Path, collection_folder: Path) -> Predictor:
    return Predictor.load(model_folder, collection_folder)


@pytest.fixture
def file_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server of files on this machine, past any proxy."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
