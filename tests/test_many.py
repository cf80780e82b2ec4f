"""
Many pairs at once through one server, and what it holds for them.
"""

from __future__ import annotations

import contextlib
import os
import re
from hashlib import sha256
from ipaddress import IPv4Address
from random import Random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from rdv.addresses import Address, AddressSpace
from rdv.client import Client
from rdv.client.connection import Connection
from rdv.client.http.verification import tls_policy
from rdv.test.certificates import Authority
from tests.processes import Program
from tests.servers import MEGABYTE, SystemTestCase, noise

PAIRS = 200
#: So often the server must have had the opportunity to read what it must not read: with each turn
#: of its reactor it could take 64 KiB.
TURNS = 2048
STALLED = 20
#: What each of those has to send: more than the kernel's buffers on the way take.
STALLED_FLOOD = 32 * MEGABYTE


@implementer(IHalfCloseableProtocol)
class Exchange(Protocol):
    """
    Says something, and its end; hears what there is to hear.

    :ivar received: a Deferred of all that came, when the connection is gone.
    """

    def __init__(self, words: bytes) -> None:
        self._words = words
        self._heard: list[bytes] = []
        self.received: Deferred[bytes] = Deferred()

    transport: Connection

    def connectionMade(self) -> None:
        self.transport.write(self._words)
        self.transport.loseWriteConnection()

    def dataReceived(self, data: bytes) -> None:
        self._heard.append(data)

    def readConnectionLost(self) -> None:
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.received.callback(b"".join(self._heard))


class Turns(Protocol):
    """
    Sends a byte back and forth.

    :ivar done: fires after so many turns.
    """

    def __init__(self, turns: int = 0) -> None:
        self._left = turns
        self.done: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        if self._left:
            self._next()

    def dataReceived(self, data: bytes) -> None:
        if not self._left:
            self._next()
            return
        self._left -= 1
        if self._left:
            self._next()
        else:
            self.done.callback(None)

    def _next(self) -> None:
        assert self.transport is not None
        self.transport.write(b"x")

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        if not self.done.called:
            self.done.callback(None)


class ManyTestCase(SystemTestCase):
    """
    Clients in this process, the server in another.

    :ivar tls: how they verify it, if it speaks TLS.
    """

    tls: IPolicyForHTTPS | None = None

    def clients(self) -> dict[str, Client]:
        """One that goes directly, however long that takes, and one that does not."""
        spaces = {"direct": AddressSpace.LOOPBACK, "relayed": AddressSpace.NONE}
        return {
            outcome: Client(
                reactor,
                tls=self.tls,
                spaces=space,
                penalty=60.0,
                self_addresses=lambda port: [Address(IPv4Address("127.0.0.1"), port)],
            )
            for outcome, space in spaces.items()
        }

    async def serve_tls(self, *options: str) -> Program:
        """Start a server that speaks TLS, and that the clients trust."""
        authority = Authority()
        self.tls = tls_policy(ca=authority.pem)
        return await self.serve_https(*options, authority=authority)

    async def pair(self, token: str) -> tuple[Connection, Connection]:
        """A dialer and an acceptor, relayed."""
        client = self.clients()["relayed"]
        dialer, acceptor = await gatherResults(
            [connect(self.url, token) for connect in (client.dial, client.accept)]
        )
        return dialer, acceptor

    def descriptors(self, pid: int | str = "self") -> int:
        """How many a process has open, but for pipes, of which a relay keeps a few in stock."""
        folder = f"/proc/{pid}/fd"
        targets = []
        for name in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):  # that of the listing itself
                targets.append(os.readlink(f"{folder}/{name}"))
        return sum(not target.startswith("pipe:") for target in targets)


class CrossTalkTests(ManyTestCase):
    """Each of many pairs gets its own bytes and no other's."""

    timeout = 240

    async def check(self, seed: int, count: int, server: Program) -> None:
        """All of them at once, dialers and acceptors in any order."""
        random = Random(seed)
        clients = self.clients()
        # Four characters are shown in the server's log: they tell the pairs apart.
        tokens = [f"{seed}{number:03} pair" for number in range(count)]
        outcomes = {token: random.choice(("direct", "relayed")) for token in tokens}
        ends = [(token, role) for token in tokens for role in ("dial", "accept")]
        random.shuffle(ends)
        results = await gatherResults(
            [
                Deferred.fromCoroutine(self.take_part(clients[outcomes[token]], token, role))
                for token, role in ends
            ]
        )
        for (token, role), (is_relay, heard) in zip(ends, results, strict=True):
            other = "accept" if role == "dial" else "dial"
            self.assertEqual(is_relay, outcomes[token] == "relayed", token)
            self.assertEqual(sha256(heard).digest(), sha256(self.words(token, other)).digest())
        for token, outcome in outcomes.items():
            await server.line(f"{outcome}: {re.escape(token[:4])}")

    async def take_part(self, client: Client, token: str, role: str) -> tuple[bool, bytes]:
        """One side of one pair."""
        connect: Any = client.dial if role == "dial" else client.accept
        connection: Connection = await connect(self.url, token)
        exchange = Exchange(self.words(token, role))
        connection.attach(exchange)
        return connection.is_relay, await exchange.received

    def words(self, token: str, role: str) -> bytes:
        """What one side has to say: more than a segment, and nobody else's."""
        random = Random(f"{token} {role}")
        return random.randbytes(random.randrange(10_000, 100_000))

    async def test_pairs(self) -> None:
        """Twice, and each time all descriptors come back."""
        server = await self.serve()
        pid = server.transport.pid
        await self.check(0, 1, server)  # Twisted keeps one descriptor in reserve, once.
        before = self.descriptors(pid), self.descriptors()
        for seed in (1, 2):
            await self.check(seed, PAIRS, server)
            self.assertEqual((self.descriptors(pid), self.descriptors()), before)
        self.assertNotIn(b"Traceback", server.stderr)


class StalledReaderTests(ManyTestCase):
    """One side of each of many relayed pairs does not read."""

    timeout = 120

    def memory(self, server: Program) -> int:
        """The server's resident memory, in KiB."""
        with open(f"/proc/{server.transport.pid}/status") as file:
            found = re.search(r"^VmRSS:\s+(\d+) kB$", file.read(), re.MULTILINE)
        assert found is not None
        return int(found[1])

    async def turns(self) -> None:
        """
        Let the server turn so often: it has seen to all its connections as often, whether it then
        reads from them or not.
        """
        dialer, acceptor = await self.pair("turns")
        echo, turns = Turns(), Turns(TURNS)
        acceptor.attach(echo)
        dialer.attach(turns)
        await turns.done
        turns.transport.loseConnection()  # type: ignore[union-attr]
        await echo.done

    async def flood(self) -> None:
        """One writes much, and the other one reads it."""
        dialer, acceptor = await self.pair("flood")
        sender, reader = Exchange(noise(3, 2 * STALLED_FLOOD)), Exchange(b"")
        dialer.attach(sender)
        acceptor.attach(reader)
        await reader.received
        await sender.received

    async def check_stalled(self, server: Program, growth: int) -> None:
        """
        One of each pair writes all it has, the other one does not read before the server had time
        for it. The server does not grow, and nothing is lost.

        :param growth: KiB by which it may, for all of them.
        """
        # What it needs once: its code, its buffers.
        await self.turns()
        await self.flood()
        pairs = [await self.pair(f"flood {number}") for number in range(STALLED)]
        before = self.memory(server)
        content = noise(5, STALLED_FLOOD)
        senders: list[Exchange] = []
        readers: list[Connection] = []
        for dialer, acceptor in pairs:
            # The dialers of one half, and the acceptors of the other.
            first, second = (dialer, acceptor) if len(senders) % 2 else (acceptor, dialer)
            senders.append(Exchange(content))
            readers.append(second)
            first.attach(senders[-1])
        await self.turns()
        self.assertLess(self.memory(server) - before, growth)
        wanted = sha256(content).digest()
        for reader, sender in zip(readers, senders, strict=True):
            exchange = Exchange(b"")
            reader.attach(exchange)
            self.assertEqual(sha256(await exchange.received).digest(), wanted)
            await sender.received

    async def test_spliced(self) -> None:
        """Plain TCP, whose bytes stay in the kernel: far less than a buffer for each."""
        await self.check_stalled(await self.serve(), 1024)

    async def test_copied(self) -> None:
        """TLS: a buffer of 64 KiB for each, one that has been read, and what TLS makes of them."""
        await self.check_stalled(await self.serve_tls(), STALLED * 512)
