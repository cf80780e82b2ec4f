"""
A proxy that hides its clients: ``python -m tests.natlab.tcp_proxy PORT SOURCE BACKEND``.

It listens on PORT, on all addresses, and connects each client from the address SOURCE to the port
BACKEND there. The end of one direction is passed on, and the other one continues.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys


async def copy(source: socket.socket, target: socket.socket) -> None:
    """Until the end of one direction."""
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(source, 65536):
        await loop.sock_sendall(target, data)
    target.shutdown(socket.SHUT_WR)


async def serve(client: socket.socket, source: str, port: int) -> None:
    """One client."""
    with client, socket.socket() as backend, contextlib.suppress(OSError, ExceptionGroup):
        for sock in (client, backend):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        backend.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(backend, (source, port))
        async with asyncio.TaskGroup() as ways:
            ways.create_task(copy(client, backend))
            ways.create_task(copy(backend, client))


async def main(port: str, source: str, backend: str) -> None:
    """Until it is killed."""
    listener = socket.create_server(("0.0.0.0", int(port)), backlog=100)
    listener.setblocking(False)
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    async with asyncio.TaskGroup() as clients:
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(listener)
            clients.create_task(serve(client, source, int(backend)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
