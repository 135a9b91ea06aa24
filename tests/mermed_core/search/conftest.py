"""Milvus servers to test against: the small one in Python and the real one, from an environment of their own.

`make milvus` sets it up; without it, or without a network namespace for the real one, what needs them is
skipped.
"""

import asyncio
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from mermed_core.search.milvus_server import MilvusServer

from . import milvus_in_own_network as own_network
from .milvus_stand_in import StandIn

ENVIRONMENT = Path(__file__).parents[3] / ".venv-milvus"
TOKEN = "root:Milvus"
"""What opens the real server; others do not ask."""
_SECONDS = 180
# The server reads from /proc how much memory it has, by its number, which is another process's outside.
_OWN_NETWORK = ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


@pytest.fixture(scope="module")
def stand_in() -> Iterator[str]:
    """The address of a server that is none; other addresses still lead to servers."""
    address, client, connect = "http://stand-in:19530", StandIn(), MilvusServer.connect
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            MilvusServer, "connect", lambda server: client if server.url == address else connect(server)
        )
        yield address


@pytest.fixture(scope="session")
def milvus_lite(tmp_path_factory) -> Iterator[str]:
    """The address of milvus-lite's server."""
    program = _program("milvus-lite")
    port = _free_port()
    folder = tmp_path_factory.mktemp("milvus-lite")
    command = [str(program), "server", "--data-dir", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    place = folder.parent / "milvus-lite.log"
    with place.open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=_alone())
    try:
        _wait(server, lambda: _answers(port), place)
        yield f"http://127.0.0.1:{port}"
    finally:
        _end(server)


@pytest.fixture(scope="session")
def milvus(tmp_path_factory) -> Iterator[str]:
    """The address of a real Milvus, which has a network of its own."""
    program = _program("python")
    if not _own_network():
        pytest.skip("no network of its own can be had for Milvus here")
    folder = tmp_path_factory.mktemp("m")  # the path of a socket has at most 107 bytes
    place = folder / "socket"
    command = [*_OWN_NETWORK, str(program), own_network.__file__, str(folder), str(place)]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=_alone())
    try:
        _wait(server, place.exists, folder / "log")
        with _forwarded(str(place)) as port:
            yield f"http://127.0.0.1:{port}"
    finally:
        assert server.stdin is not None
        server.stdin.close()  # its sign to end
        _end(server)


@contextmanager
def _forwarded(place: str) -> Iterator[int]:
    """Yields a port of this machine alone that leads to a socket."""
    port: Future[int] = Future()
    end: Future[None] = Future()

    async def serve() -> None:
        server = await asyncio.start_server(
            lambda *ends: own_network.join(*ends, socket_path=place), "127.0.0.1", 0
        )
        port.set_result(server.sockets[0].getsockname()[1])
        await asyncio.wrap_future(end)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    try:
        yield port.result()
    finally:
        end.set_result(None)
        thread.join()


def _program(name: str) -> Path:
    program = ENVIRONMENT / "bin" / name
    if not program.exists():
        pytest.skip("there is no Milvus to test against; `make milvus` sets it up")
    return program


def _own_network() -> bool:
    try:
        tried = subprocess.run([*_OWN_NETWORK, "true"], capture_output=True)
    except OSError:
        return False
    return tried.returncode == 0


def _alone() -> dict[str, str]:
    """Returns the environment without a way to other machines."""
    return {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}


def _free_port() -> int:
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        return any_socket.getsockname()[1]


def _answers(port: int) -> bool:
    with socket.socket() as any_socket:
        return any_socket.connect_ex(("127.0.0.1", port)) == 0


def _wait(server: subprocess.Popen[bytes], ready: Callable[[], bool], log: Path) -> None:
    end = time.monotonic() + _SECONDS
    while not ready():
        if server.poll() is not None or time.monotonic() > end:
            said = log.read_text(encoding="utf-8", errors="replace")[-2000:]
            pytest.fail(f"the server does not start; it said: {said}")
        time.sleep(0.1)


def _end(server: subprocess.Popen[bytes]) -> None:
    try:
        server.wait(10) if server.stdin else server.terminate()
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait(10)
