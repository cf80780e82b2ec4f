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
from twisted.web.iweb import IPolicyForHTTPS

from rdv.addresses import Address, AddressSpace
from rdv.client import Client
from rdv.client.http.policy import tls_policy
from rdv.client.stream.connection import Connection
from rdv.test.certificates import Authority
from tests.processes import Program
from tests.servers import MEGABYTE, SystemTestCase, noise
from tests.talker import Parting, Talker

PAIRS = 200
#: How many opportunities the server must have had to read what it must not read: in each turn of
#: its reactor it could read 64 KiB.
TURNS = 2048
STALLED = 20
#: What each of these sends: more than the kernel's buffers on the path hold.
STALLED_FLOOD = 32 * MEGABYTE


def speak(connection: Connection, words: bytes) -> Talker:
    """Say this on it, and the end; ``gone`` of what it returns has all that has come back."""

    def begin(talker: Talker) -> None:
        talker.write(words)
        talker.end()

    talker = Parting()
    # Before anything is delivered: the other side's end may be there already.
    talker.made = begin
    connection.attach(talker)
    return talker


class ManyTestCase(SystemTestCase):
    """
    Clients in this process, the server in another.

    :ivar tls: how they verify it, if it speaks TLS.
    """

    forked = True
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
        # Four characters are shown in the server's log: they distinguish the pairs.
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
        return connection.is_relay, await speak(connection, self.words(token, role)).gone()

    def words(self, token: str, role: str) -> bytes:
        """What one side has to say: more than a segment, and nobody else's."""
        random = Random(f"{token} {role}")
        return random.randbytes(random.randrange(10_000, 100_000))

    async def test_pairs(self) -> None:
        """Twice, and each time all descriptors come back."""
        server = await self.serve("--no-limits")
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
        ends = Parting(), Parting()
        for connection, end in zip(await self.pair("turns"), ends, strict=True):
            connection.attach(end)
        for turn in range(TURNS):
            for source, sink in (ends, ends[::-1]):
                source.write(b"x")
                await sink.received(turn + 1)
        for end in ends:
            end.end()
        for end in ends:
            await end.gone()

    async def flood(self) -> None:
        """One writes much, and the other one reads it."""
        dialer, acceptor = await self.pair("flood")
        sender = speak(dialer, noise(3, 2 * STALLED_FLOOD))
        await speak(acceptor, b"").gone()
        await sender.gone()

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
        senders: list[Talker] = []
        readers: list[Connection] = []
        for dialer, acceptor in pairs:
            # The dialers of one half, and the acceptors of the other.
            first, second = (dialer, acceptor) if len(senders) % 2 else (acceptor, dialer)
            senders.append(speak(first, content))
            readers.append(second)
        await self.turns()
        self.assertLess(self.memory(server) - before, growth)
        wanted = sha256(content).digest()
        for reader, sender in zip(readers, senders, strict=True):
            received = await speak(reader, b"").gone()
            self.assertEqual(sha256(received).digest(), wanted)
            await sender.gone()

    async def test_spliced(self) -> None:
        """Plain TCP, whose bytes stay in the kernel: far less than a buffer for each."""
        await self.check_stalled(await self.serve(), 1024)

    async def test_copied(self) -> None:
        """TLS: a buffer of 64 KiB for each, one that has been read, and what TLS makes of them."""
        await self.check_stalled(await self.serve_tls(), STALLED * 512)
