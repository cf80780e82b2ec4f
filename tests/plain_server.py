"""
A plain rdv/1 server with the behaviour of the original, on asyncio and raw sockets.

``python -m tests.plain_server --port 0`` prints ``listening 127.0.0.1:PORT`` on stdout. On stderr
it tells what happens: ``joined``, ``matched``, ``refused`` and ``ended``, each with role and
address, one line each.

On purpose, because the original does so: it wants the headers ``Connection: upgrade`` and
``Upgrade: rdv/1`` with one token each; it writes the 101 in many small pieces; and when one
direction of a relayed stream ends it closes both, whatever is still on its way.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
from typing import Any

from tests.plain import format_address, read_exactly
from tests.plain_http import Refusal, Request, read_request, refuse_upgraded, write_101

# The result for a client in the lobby, decided once: its partner, or why it has none.
Fate = asyncio.Future[Request | Refusal]


def log(what: str, request: Request) -> None:
    """One line on stderr, without the token."""
    sys.stderr.write(f"{what}: {request.role} {format_address(request.observed)}\n")


def has_sent(sock: socket.socket) -> bool:
    """Whether the client has sent bytes behind its request, or closed, already."""
    try:
        sock.recv(4096)
    except BlockingIOError:
        return False
    return True


async def forward(source: Request, target: Request) -> None:
    """Tell *target* where *source* is; check and forward the line of *source*, then its bytes."""
    loop = asyncio.get_running_loop()
    write_101(target, source)
    data = await read_exactly(source.sock, len(source.line))
    if data != source.line:
        return
    while data:
        await loop.sock_sendall(target.sock, data)
        data = await loop.sock_recv(source.sock, 32 * 1024)


async def relay(first: Request, second: Request) -> None:
    """Join two clients until either direction ends, for whatever reason."""
    ways = [asyncio.create_task(forward(*pair)) for pair in ((first, second), (second, first))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        log("ended", first)


class PlainServer:
    """
    Listens from the start; :meth:`run` serves.

    :param port: 0 for any free one.
    :param lobby_timeout: seconds that a client may wait for its partner, 0 for ever.
    """

    def __init__(self, host: str, port: int, lobby_timeout: float) -> None:
        self.listener = socket.create_server((host, port), backlog=1024)
        self.listener.setblocking(False)
        self.lobby_timeout = lobby_timeout
        self.waiting: dict[bytes, tuple[Request, Fate]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until *stop* is set; then tell those who wait, and cut everybody."""
        tasks: set[asyncio.Task[None]] = set()
        tasks.add(asyncio.create_task(self.accept_all(tasks)))
        await stop.wait()
        self.listener.close()
        for request, _ in self.waiting.values():
            refuse_upgraded(request.sock, Refusal(503, "shutting down, try again"))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def accept_all(self, tasks: set[asyncio.Task[None]]) -> None:
        """Start one task per connection."""
        loop = asyncio.get_running_loop()
        while True:
            sock, _ = await loop.sock_accept(self.listener)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            task = asyncio.create_task(self.serve(sock))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    async def serve(self, sock: socket.socket) -> None:
        """One connection, from its request to its end, or until its partner's task takes over."""
        with contextlib.suppress(OSError, EOFError), contextlib.ExitStack() as stack:
            stack.enter_context(sock)
            request = await read_request(sock)
            if has_sent(sock):
                refuse_upgraded(sock, Refusal(400, "received client data before response header"))
                return
            fate = self.enter(request)
            if fate is None:
                stack.pop_all()
                return
            partner = await self.wait(request, fate)
            if isinstance(partner, Refusal):
                log(f"refused {partner.status}", request)
                refuse_upgraded(sock, partner)
            else:
                stack.enter_context(partner.sock)
                await relay(request, partner)

    def enter(self, request: Request) -> Fate | None:
        """Enter the lobby; none when a partner was there, who takes over from here."""
        older, fate = self.waiting.pop(request.token, (None, None))
        if older and fate and older.role != request.role:
            log("matched", request)
            fate.set_result(request)
            return None
        if fate:
            fate.set_result(Refusal(409, "replaced by another conn"))
        mine: Fate = asyncio.get_running_loop().create_future()
        self.waiting[request.token] = request, mine
        log("joined", request)
        return mine

    async def wait(self, request: Request, fate: Fate) -> Request | Refusal:
        """Wait for a partner, and see that the client stays and keeps quiet."""
        loop = asyncio.get_running_loop()
        noise = asyncio.create_task(loop.sock_recv(request.sock, 4096))
        either: set[asyncio.Future[Any]] = {noise, fate}
        limit = self.lobby_timeout or None
        try:
            await asyncio.wait(either, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if not fate.done():
                del self.waiting[request.token]
                if noise.done():
                    return Refusal(400, "a waiting client has to keep silent")
                return Refusal(408, "no matching peer found")
            return fate.result()
        finally:
            noise.cancel()
            await asyncio.gather(noise, return_exceptions=True)


async def main() -> None:
    """The program: serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="plain_server")
    parser.add_argument("--host", default="127.0.0.1", metavar="IP")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--lobby-timeout", type=float, default=20, help="seconds; 0: none")
    options = parser.parse_args()
    server = PlainServer(options.host, options.port, options.lobby_timeout)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sys.stdout.write(f"listening {format_address(server.listener.getsockname())}\n")
    sys.stdout.flush()
    await server.run(stop)


if __name__ == "__main__":
    asyncio.run(main())
