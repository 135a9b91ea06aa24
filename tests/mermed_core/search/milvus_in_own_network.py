"""Runs the Milvus server of the package `milvus` where nobody can reach it but through a socket in a folder.

It opens some ten ports on every address, so this runs in a network namespace that holds nothing but a
loopback device: `unshare --map-root-user --net`. It answers those alone who bring Milvus's first token,
root:Milvus. Arguments: a folder for the server, the socket. It ends when its stdin does.
"""

import asyncio
import fcntl
import os
import socket
import struct
import sys

_UP = 0x8914, 0x1 | 0x40  # SIOCSIFFLAGS; IFF_UP and IFF_RUNNING
_COMPONENTS = ["rootCoord", "proxy", "queryCoord", "queryNode", "indexNode", "dataCoord", "dataNode"]


def raise_loopback() -> None:
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _UP[0], struct.pack("16sh22x", b"lo", _UP[1]))


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes on what comes until there is no more."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def join(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, socket_path: str = "", port: int = 0
) -> None:
    """Connects who called to a socket or to a port of this machine."""
    opened = (
        asyncio.open_unix_connection(socket_path)
        if socket_path
        else asyncio.open_connection("127.0.0.1", port)
    )
    further = await opened
    await asyncio.gather(copy(reader, further[1]), copy(further[0], writer))


def main(folder: str, socket_path: str) -> None:
    from milvus import MilvusServer, MilvusServerConfig  # pyright: ignore[reportMissingImports]

    raise_loopback()
    config = MilvusServerConfig(data_dir=folder)
    config.set("authorization_enabled", True)
    for component in _COMPONENTS:
        config.set(f"{component}.ip", "127.0.0.1")
    server = MilvusServer(config)
    server.start()

    async def serve() -> None:
        port = server.listen_port
        await asyncio.start_unix_server(lambda *ends: join(*ends, port=port), socket_path + ".new")
        os.rename(socket_path + ".new", socket_path)  # who waits for it finds one that answers
        await asyncio.to_thread(sys.stdin.read)

    try:
        asyncio.run(serve())
    finally:
        server.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
