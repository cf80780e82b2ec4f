"""
Two real clients and the real server: the direct connection breaks just after the choice.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import gatherResults

from rdv._system.sockets import bottom
from rdv.client import Connection
from rdv.client.candidates import candidate as candidate_module
from rdv.client.candidates.acknowledgement import _PROVEN_WITHIN
from rdv.test.client.dial.doubles import SteppedReactor
from rdv.test.client.loopback import LoopbackTestCase, RealServer
from rdv.test.doubles import HalfWire

TOKEN = "a token"
MUCH = 300_000


class BrokenTests(LoopbackTestCase):
    """What was written arrives all the same, by way of the server."""

    async def meet(self) -> tuple[Connection, Connection]:
        """A dialer and an acceptor with a direct connection, each with the relay in reserve."""
        server = RealServer(self)
        self.reactors = [self.reactor, SteppedReactor(self.reactor._reactor)]
        dialer, acceptor = (self.client(reactor) for reactor in self.reactors)
        accepting = acceptor.accept(server.url, TOKEN)
        await server.arrival()
        here, there = await gatherResults([dialer.dial(server.url, TOKEN), accepting])
        self.assertFalse(here.is_relay)
        self.assertFalse(there.is_relay)
        return here, there

    def reset(self, connection: Connection) -> None:
        """The connection below breaks."""
        cast(Any, bottom(connection)).abortConnection()

    async def assert_relayed(self, here: Connection, there: Connection, size: int) -> None:
        """Streams go both ways, to their ends, and then nothing is left."""
        wires = [HalfWire(), HalfWire()]
        for connection, wire in zip((here, there), wires, strict=True):
            connection.attach(wire)
            self.addCleanup(self._hang_up, wire)
            wire.write(b"0123456789" * (size // 10))
            connection.loseWriteConnection()
        for wire in wires:
            self.assertTrue(await wire.ended() == b"0123456789" * (size // 10))
        self.assertTrue(here.is_relay)
        self.assertTrue(there.is_relay)
        for wire in wires:
            wire.close()
        await gatherResults([wire.lost() for wire in wires])
        for reactor in self.reactors:
            self.assert_nothing_left(reactor)

    async def test_at_either_end(self) -> None:
        for size in (10, MUCH):
            for end in (0, 1):
                ends = await self.meet()
                self.reset(ends[end])
                await self.assert_relayed(*ends, size)

    async def test_written_before(self) -> None:
        """It went into the connection that is broken; and now once more."""
        here, there = await self.meet()
        here.write(b"written ")
        there.write(b"written ")
        self.reset(here)
        wires = [HalfWire(), HalfWire()]
        for connection, wire in zip((here, there), wires, strict=True):
            connection.attach(wire)
            self.addCleanup(self._hang_up, wire)
            wire.write(b"before")
        for wire in wires:
            self.assertEqual(await wire.until(b"before"), b"written before")

    async def test_nothing_is_acknowledged(self) -> None:
        """The direct path takes what we send, and drops it."""
        self.patch(candidate_module, "bytes_acknowledged", lambda transport: 0)
        here, there = await self.meet()
        self.reactor.clock.pump([_PROVEN_WITHIN / 10] * 12)
        await self.assert_relayed(here, there, MUCH)
