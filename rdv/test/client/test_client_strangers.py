"""
Other hosts that connect to the shared port: they neither learn the token too early nor stop
anything.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred

from rdv.client import Connection
from rdv.test.client.doubles import answer, here
from rdv.test.client.loopback import LoopbackTestCase, RawServer
from rdv.test.doubles import Wire

HELLO = b"rdv/1 HELLO token\r\n"
CONFIRM = b"rdv/1 CONFIRM token\r\n"


class StrangersTestCase(LoopbackTestCase):
    """
    An attempt whose peer is not named by the server, so that every visitor is a stranger.

    :ivar relay: the server's side of the relay.
    """

    attempt: Deferred[Connection]
    relay: Wire

    async def start(self, call: str) -> None:
        """The request has arrived at the server."""
        server = RawServer(self)
        self.attempt = getattr(self.client(penalty=0), call)(server.url, "token")
        self.relay = await server.request()

    async def assert_connected(self, expected: bytes, *, is_relay: bool) -> None:
        """The attempt succeeds; its protocol gets ``expected``."""
        connection = await self.attempt
        self.assertIs(connection.is_relay, is_relay)
        wire = Wire()
        connection.attach(wire)
        self.addCleanup(self._hang_up, wire)
        self.assertEqual(await wire.until(expected), expected)

    async def garbage(self) -> None:
        """A stranger that says something else is thrown out."""
        stranger = await self.visit(self.relay.port)
        stranger.write(b"GET / HTTP/1.1\r\n\r\n")
        await stranger.lost()


class BeforeTests(StrangersTestCase):
    """Before the server has answered."""

    async def test_no_hello(self) -> None:
        await self.start("accept")
        scanner = await self.visit(self.relay.port)
        # Connections are accepted in order: when this one is closed, the scanner's has been
        # accepted.
        await self.garbage()
        self.assertEqual(scanner.data, b"")
        self.relay.write(answer())
        self.assertEqual(await scanner.until(HELLO), HELLO)
        self.relay.write(CONFIRM + b"data")
        await self.assert_connected(b"data", is_relay=True)

    async def test_cancelled(self) -> None:
        await self.start("accept")
        strangers = [await self.visit(self.relay.port) for _ in range(3)]
        self.attempt.cancel()
        await self.assertFailure(cast(Any, self.attempt), CancelledError)
        self.assert_nothing_left()
        for wire in (self.relay, *strangers):
            self.assertNotIn(HELLO, await wire.lost())

    async def test_no_hello_for_one_that_speaks(self) -> None:
        await self.start("accept")
        for words in (b"?", CONFIRM):
            stranger = await self.visit(self.relay.port)
            stranger.write(words)
            self.assertEqual(await stranger.lost(), b"")
        self.relay.write(answer() + CONFIRM + b"data")
        await self.assert_connected(b"data", is_relay=True)

    async def test_peer_that_is_early(self) -> None:
        """The peer got its answer first, and its connection is there before ours."""
        await self.start("accept")
        peer = await self.visit(self.relay.port)
        self.relay.write(answer())
        await peer.until(HELLO)
        peer.write(CONFIRM + b"data")
        await self.assert_connected(b"data", is_relay=False)

    async def test_acceptor_that_is_early(self) -> None:
        await self.start("dial")
        peer = await self.visit(self.relay.port)
        peer.write(HELLO + b"data")
        await self.garbage()
        self.assertEqual(peer.data, b"")
        self.relay.write(answer())
        self.assertEqual(await peer.until(CONFIRM), CONFIRM)
        await self.assert_connected(b"data", is_relay=False)


class AfterTests(StrangersTestCase):
    """After it has."""

    async def test_garbage(self) -> None:
        for call, line in (("accept", CONFIRM), ("dial", HELLO)):
            await self.start(call)
            self.relay.write(answer())
            await self.garbage()
            self.relay.write(line + b"data")
            await self.assert_connected(b"data", is_relay=True)

    async def test_one_that_stalls(self) -> None:
        await self.start("accept")
        self.relay.write(answer())
        silent = await self.visit(self.relay.port)
        await silent.until(HELLO)
        halting = await self.visit(self.relay.port)
        halting.write(CONFIRM[:-1])
        await halting.until(HELLO)
        peer = await self.visit(self.relay.port)
        peer.write(CONFIRM + b"data")
        await self.assert_connected(b"data", is_relay=False)
        for stranger in (silent, halting):
            self.assertEqual(await stranger.lost(), HELLO)

    async def test_flood_of_bytes(self) -> None:
        await self.start("accept")
        self.relay.write(answer())
        stranger = await self.visit(self.relay.port)
        stranger.write(b"x" * 10_000_000)
        await stranger.lost()
        self.relay.write(CONFIRM + b"data")
        await self.assert_connected(b"data", is_relay=True)

    async def test_flood_of_connections(self) -> None:
        await self.start("accept")
        self.relay.write(answer())
        strangers = [await self.visit(self.relay.port) for _ in range(40)]
        for stranger in strangers[:24]:
            await stranger.lost()
        await strangers[-1].until(HELLO)
        self.assertEqual([each.reason for each in strangers[24:]], [None] * 16)
        self.relay.write(CONFIRM + b"data")
        await self.assert_connected(b"data", is_relay=True)
        for stranger in strangers:
            await stranger.lost()

    async def test_flood_does_not_drive_out_the_peer(self) -> None:
        """The server has named the peer: its connection is not the oldest that makes room."""
        peer_listens = RawServer(self)
        await self.start("accept")
        self.relay.write(answer(*here(peer_listens.number)))
        peer = await peer_listens.arrival()
        await peer.until(HELLO)
        for _ in range(40):
            await self.visit(self.relay.port)
        peer.write(CONFIRM + b"data")
        await self.assert_connected(b"data", is_relay=False)

    async def test_other_end_of_a_dial_is_no_peer(self) -> None:
        """What listens at the peer's address is another program."""
        other = RawServer(self)
        await self.start("dial")
        self.relay.write(answer(*here(other.number)))
        wire = await other.arrival()
        wire.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.assertEqual(await wire.lost(), b"")
        self.relay.write(HELLO + b"data")
        await self.assert_connected(b"data", is_relay=True)
