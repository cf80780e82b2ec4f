"""
The visitors of the server in ``benchmarks/soak.py``. Each behaviour is one visit, which raises
:class:`Wrong` when a byte, an answer or an end is not what it should be.

The visits of each behaviour come from a few addresses, within the limits per address. If the server
failed to count some of them down, it would therefore refuse later visits after some minutes.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from typing import Any

from rdv._signed_token import SignedToken, new_nonce, sign
from rdv.wire import confirm_line, hello_line

__all__ = ["BEHAVIOURS", "House", "Wrong"]

#: Seconds within which any event must happen: more than the server's longest time limit.
_PATIENCE = 40.0
#: The number of addresses of each behaviour.
_ADDRESSES = 8
_RESET = struct.pack("ii", 1, 0)
#: More connections than an address may have at once.
_FLOOD = 270


class Wrong(Exception):
    """The server did something that it must not do."""


class House:
    """
    A server.

    :param admin: the path of its admin port.
    :param key: the key that signs its tokens.
    :ivar seen: the number of visits of each kind, and other counts.
    """

    def __init__(self, port: int, admin: str, key: bytes) -> None:
        self.port = port
        self._admin = admin
        self._key = key
        self._turn = count()
        self.seen: Counter[str] = Counter()

    def token(self) -> bytes:
        """A token that was not used before."""
        return sign(self._key, SignedToken(int(time.time()) + 600, "guest", new_nonce()))

    async def open(self, kind: str, number: int | None = None) -> Guest:
        """
        A connection from one of the addresses of a behaviour.

        :param number: which address; any by default.
        """
        third = 1 + list(BEHAVIOURS).index(kind)
        fourth = 1 + (next(self._turn) if number is None else number) % _ADDRESSES
        source = (f"127.9.{third}.{fourth}", 0)
        return Guest(*await asyncio.open_connection("127.0.0.1", self.port, local_addr=source))

    async def ask(self, kind: str, method: bytes, token: bytes) -> Guest:
        """A connection with an offer."""
        guest = await self.open(kind)
        guest.write(
            b"%b /rdv HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: rdv/1\r\n"
            b"Rdv-Token: %b\r\nRdv-Self-Addrs: 192.168.1.%d:39841\r\n\r\n"
            % (method, token, random.randrange(1, 255))
        )
        return guest

    async def pair(self, kind: str) -> tuple[Guest, Guest, bytes]:
        """An acceptor and a dialer that have been introduced, and their token."""
        token = self.token()
        acceptor = await self.ask(kind, b"ACCEPT", token)
        dialer = await self.ask(kind, b"DIAL", token)
        for guest in (acceptor, dialer):
            await guest.answered(101)
        return acceptor, dialer, token

    async def relayed(self, kind: str) -> tuple[Guest, Guest]:
        """The two clients of a relayed pair."""
        acceptor, dialer, token = await self.pair(kind)
        for source, sink, line in (
            (acceptor, dialer, hello_line(token)),
            (dialer, acceptor, confirm_line(token)),
        ):
            source.write(line)
            await sink.hears(line)
        return acceptor, dialer

    async def status(self) -> dict[str, Any]:
        """The server's own status report."""
        guest = Guest(*await asyncio.open_unix_connection(self._admin))
        guest.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        await guest.answered(200)
        found: dict[str, Any] = json.loads(await guest.rest())
        return found


class Guest:
    """One connection."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.write = writer.write

    async def send(self, data: bytes) -> None:
        """Send all data, as fast as the server accepts it."""
        self._writer.write(data)
        await asyncio.wait_for(self._writer.drain(), _PATIENCE)

    async def hears(self, data: bytes) -> None:
        """Expect exactly this data."""
        try:
            heard = await asyncio.wait_for(self._reader.readexactly(len(data)), _PATIENCE)
        except asyncio.IncompleteReadError as error:
            raise Wrong(f"{len(error.partial)} bytes of {len(data)}, then the end") from error
        if heard != data:
            place = next(n for n in range(len(data)) if heard[n] != data[n])
            raise Wrong(f"the byte at {place} of {len(data)} is wrong")

    async def answer(self) -> int:
        """The status of the answer; 0 if the connection is cut instead."""
        try:
            head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), _PATIENCE)
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0
        return int(head.split(b" ", 2)[1])

    async def answered(self, status: int) -> None:
        """Expect an answer with this status."""
        found = await self.answer()
        if found != status:
            raise Wrong(f"the answer is {found}, not {status}")

    async def rest(self) -> bytes:
        """All data up to the end."""
        return await asyncio.wait_for(self._reader.read(), _PATIENCE)

    async def refused(self, status: int) -> None:
        """Expect an answer with this status, and the end of the connection."""
        await self.answered(status)
        await self.rest()
        self.close()

    def end(self) -> None:
        """End our direction."""
        self._writer.write_eof()

    async def ended(self) -> None:
        """Expect the end of the other direction, with no data before it."""
        if rest := await self.rest():
            raise Wrong(f"{len(rest)} bytes more than were sent")
        self.close()

    async def gone(self) -> None:
        """Expect the end of the connection, clean or not."""
        with suppress(ConnectionError):
            await self.rest()
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    def reset(self) -> None:
        """Reset the connection, as when a program is killed."""
        if not self._writer.is_closing():
            sock = self._writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._writer.transport.abort()


async def _direct(house: House) -> None:
    acceptor, dialer, token = await house.pair("direct")
    acceptor.write(hello_line(token))
    await dialer.hears(hello_line(token))
    dialer.end()
    await acceptor.ended()
    await dialer.ended()
    house.seen["ended direct"] += 1


async def _relayed(house: House) -> None:
    pair = await house.relayed("relayed")
    await _both_ways(house, pair, random.randrange(1 << 18))


async def _stalled(house: House) -> None:
    await _both_ways(house, await house.relayed("stalled"), 3 << 20, random.uniform(0, 3))


async def _both_ways(
    house: House, pair: tuple[Guest, Guest], size: int, stall: float = 0.0
) -> None:
    """Send bytes in both directions, each of which ends at its own time."""
    there, back = random.randbytes(size), random.randbytes(size // 2)

    async def carry(source: Guest, sink: Guest, data: bytes) -> None:
        async def heard() -> None:
            await asyncio.sleep(stall)
            await sink.hears(data)
            if rest := await sink.rest():
                raise Wrong(f"{len(rest)} bytes more than were sent")

        async def sent() -> None:
            await source.send(data)
            source.end()

        await asyncio.gather(sent(), heard())

    acceptor, dialer = pair
    await asyncio.gather(carry(dialer, acceptor, there), carry(acceptor, dialer, back))
    for guest in pair:
        guest.close()
    house.seen["ended relayed"] += 1
    house.seen["bytes checked"] += len(there) + len(back)


async def _reset(house: House) -> None:
    acceptor, dialer = await house.relayed("reset")
    data = random.randbytes(random.randrange(1 << 16))
    await asyncio.gather(dialer.send(data), acceptor.hears(data))
    dialer.reset()
    await acceptor.gone()
    house.seen["ended relayed"] += 1
    house.seen["bytes checked"] += len(data)


async def _given_up(house: House) -> None:
    acceptor, dialer, _ = await house.pair("given up")
    dialer.reset()
    await acceptor.gone()
    house.seen["ended abandoned"] += 1


async def _wrong_line(house: House) -> None:
    acceptor, dialer, token = await house.pair("wrong line")
    acceptor.write(hello_line(token).replace(b"HELLO", b"HALLO"))
    await asyncio.gather(acceptor.gone(), dialer.gone())
    house.seen["ended failed"] += 1


async def _leaves(house: House) -> None:
    guest = await house.ask("leaves", b"ACCEPT", house.token())
    await asyncio.sleep(random.uniform(0, 2))
    random.choice((guest.close, guest.reset))()


async def _in_vain(house: House) -> None:
    guest = await house.ask("in vain", b"DIAL", house.token())
    await guest.refused(408)
    house.seen["refused 408 in vain"] += 1


async def _replaced(house: House) -> None:
    token = house.token()
    first = await house.ask("replaced", b"DIAL", token)
    await asyncio.sleep(0.05)
    second = await house.ask("replaced", b"DIAL", token)
    found = await asyncio.wait(
        [asyncio.ensure_future(each.answered(409)) for each in (first, second)],
        timeout=_PATIENCE,
        return_when=asyncio.FIRST_COMPLETED,
    )
    for task in found[0]:
        task.result()
    for task in found[1]:
        task.cancel()
    first.close()
    second.close()


async def _half_head(house: House) -> None:
    guest = await house.open("half head")
    guest.write(b"DIAL /rdv HTTP/1.1\r\nHost: h\r\nRdv-Token: " + b"x" * random.randrange(8000))
    if random.random() < 0.5:
        await asyncio.sleep(random.random())
        guest.reset()
    else:
        await guest.gone()


async def _body(house: House) -> None:
    guest = await house.open("body")
    guest.write(b"POST /rdv HTTP/1.1\r\nHost: h\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000)
    await guest.gone()


async def _stranger(house: House) -> None:
    token = random.choice((b"unsigned", house.token()[:-1] + b"!"))
    guest = await house.ask("stranger", b"DIAL", token)
    await guest.refused(403)


async def _health(house: House) -> None:
    guest = await house.open("health")
    for _ in range(3):
        guest.write(b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n")
        await guest.answered(200)
        await guest.hears(b"ok\n")
    guest.close()


async def _flood(house: House) -> None:
    """One address exceeds its limits; the others must not notice."""
    guests = []
    for _ in range(_FLOOD):
        with suppress(ConnectionError):  # after some refusals the connection is cut
            guests.append(await house.open("flood", 0))
    await asyncio.sleep(0.5)
    for guest in guests:
        guest.reset()


#: Each behaviour, and the seconds between two of its visits at the usual rate.
BEHAVIOURS: dict[str, tuple[Callable[[House], Awaitable[None]], float]] = {
    "direct": (_direct, 0.1),
    "relayed": (_relayed, 0.1),
    "stalled": (_stalled, 1.0),
    "reset": (_reset, 0.2),
    "given up": (_given_up, 0.2),
    "wrong line": (_wrong_line, 0.3),
    "leaves": (_leaves, 0.3),
    "in vain": (_in_vain, 0.5),
    "replaced": (_replaced, 0.3),
    "half head": (_half_head, 0.3),
    "body": (_body, 0.3),
    "stranger": (_stranger, 0.3),
    "health": (_health, 0.2),
    "flood": (_flood, 10.0),
}
