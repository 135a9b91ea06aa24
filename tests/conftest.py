"""Skips tests whose marker asks for something that is not here; property tests draw the same each time."""

import ctypes
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# One core for each test, as `make test` has it: the last digits of an embedding depend on it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A busy machine is slow, which says nothing about the code: no deadline, and the same examples in every run.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


# The memory of large arrays goes back to the system with them: a process that runs hundreds of files would
# keep gigabytes of it otherwise. Of all C libraries glibc alone knows these calls.
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_M_MMAP_THRESHOLD = -3
if hasattr(_LIBC, "mallopt"):
    _LIBC.mallopt(_M_MMAP_THRESHOLD, 2**18)


@pytest.fixture(scope="module", autouse=True)
def _memory_returns() -> Iterator[None]:
    """Lets no file of tests inherit what the one before it left."""
    yield
    gc.collect()
    if hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)


@pytest.fixture(scope="module", autouse=True)
def _cores_return() -> Iterator[None]:
    """Lets no file of tests change how many cores the next one computes on: the last digits depend on it."""
    before = _cores()
    yield
    if before is not None:
        assert _cores() == before, "torch is left with another number of threads (here, in new ones)"


def _cores() -> tuple[int, int] | None:
    """Returns the number of torch's threads in this thread and in a new one, None before torch is loaded."""
    if "torch" not in sys.modules:
        return None
    torch = sys.modules["torch"]
    with ThreadPoolExecutor(1) as new:
        return torch.get_num_threads(), new.submit(torch.get_num_threads).result()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Draws the same numbers in a test whichever tests ran before it, in its fixtures too."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


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


class ScriptedServer(ThreadingHTTPServer):
    """Answers every GET as a test tells it to, well or badly.

    Attributes:
        answer: gets the handler of each request, and writes what it likes.
        asked: path and headers of each request so far.
        over: set when the server stops; whoever keeps a client waiting waits for it.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _ScriptedHandler)
        self.answer: Callable[[BaseHTTPRequestHandler], None] = lambda handler: handler.send_error(404)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def sends(self, body: bytes, kind: str, status: int = 200, **headers: str) -> None:
        """Makes every answer from now on the same."""

        def answer(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            stated = {"Content-Type": kind, "Content-Length": str(len(body))} | headers
            for name, value in stated.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)

        self.answer = answer

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of clients that hang up."""


class _ScriptedHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, ScriptedServer)
        self.server.asked.append((self.path, dict(self.headers)))
        self.server.answer(self)

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the output of the tests clean."""


@pytest.fixture
def scripted_server() -> Iterator[ScriptedServer]:
    """A web server on this machine that does as it is told."""
    with ScriptedServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()
