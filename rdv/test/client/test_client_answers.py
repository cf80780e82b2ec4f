"""
Servers that send anything but a good 101, or nothing, over real sockets.
"""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from rdv.addresses import AddressSpace
from rdv.client import Connection
from rdv.errors import (
    NoConnection,
    RdvError,
    ServerRefused,
    ServerUnreachable,
)
from rdv.test.client.doubles import answer
from rdv.test.client.loopback import LoopbackTestCase, RawServer, RealServer
from rdv.test.sockets import held_port, keep_alive_states


class AnswersTestCase(LoopbackTestCase):
    """The client of a server whose responses the test chooses."""

    def setUp(self) -> None:
        super().setUp()
        self.server = RawServer(self)

    async def error(self, attempt: Deferred[Connection], kind: type[RdvError]) -> RdvError:
        """What the attempt fails with: one line for a person, and nothing left behind."""
        error: RdvError = await self.assertFailure(cast(Any, attempt), kind)
        self.assertIs(type(error), kind)
        self.assertNotIn("\n", str(error))
        self.assert_nothing_left()
        return error


class RealServerTests(AnswersTestCase):
    """Refusals of the real server."""

    async def test_not_found(self) -> None:
        server = RealServer(self)
        error = await self.error(self.client().dial(server.url + "x", "token"), ServerRefused)
        self.assertIn("404", str(error))

    async def test_conflict(self) -> None:
        server = RealServer(self)
        older = self.client().accept(server.url, "token")
        await server.arrival()
        newer = self.client().accept(server.url, "token")
        error: RdvError = await self.assertFailure(cast(Any, older), ServerRefused)
        self.assertEqual(
            str(error), f"{server.url} refused: 409 Conflict: replaced by another conn"
        )
        newer.cancel()
        await newer.addErrback(lambda _: None)
        self.assert_nothing_left()


class EndTests(AnswersTestCase):
    """Servers that die, or are silent."""

    async def test_nobody_listens(self) -> None:
        gone = RawServer(self)
        await gone.stop()
        error = await self.error(self.client().dial(gone.url, "token"), ServerUnreachable)
        self.assertEqual(str(error), f"cannot reach {gone.url}: connection refused")

    async def test_server_would_be_the_client_itself(self) -> None:
        """
        TCP connects the port to itself. That is no server, and the request that was made on the
        connection is nobody's any more: no error of it may be left to the garbage collector.
        """
        holder = held_port()

        def close(reason: Failure) -> Failure:
            holder.close()
            return reason

        port = holder.getsockname()[1]
        url = f"http://127.0.0.1:{port}/rdv"
        attempt = self.client(local_port=port).dial(url, "token")
        attempt.addErrback(close)
        error = await self.error(attempt, ServerUnreachable)
        self.assertEqual(str(error), f"cannot reach {url}: connection refused")

    async def test_dies_before_the_answer(self) -> None:
        """Or in the middle of its head."""
        for data in (b"", answer()[:50]):
            attempt = self.client().dial(self.server.url, "token")
            wire = await self.server.request()
            wire.write(data)
            wire.close()
            await self.error(attempt, ServerUnreachable)

    async def test_dies_after_the_answer(self) -> None:
        for call in ("dial", "accept"):
            client = self.client(spaces=AddressSpace.NONE)
            attempt = getattr(client, call)(self.server.url, "token")
            wire = await self.server.request()
            wire.write(answer())
            wire.close()
            await self.error(attempt, NoConnection)

    async def test_silence_is_kept_alive(self) -> None:
        """While we wait in the lobby, by the kernel."""
        attempt = self.client().accept(self.server.url, "token")
        wire = await self.server.request()
        states = keep_alive_states(wire.port)
        self.assertEqual(states, {f"127.0.0.1:{self.server.number}": True})
        attempt.cancel()
        await self.assertFailure(cast(Any, attempt), CancelledError)


class AgainTests(AnswersTestCase):
    """A 408."""

    async def test_comes_back_from_a_fixed_port(self) -> None:
        holder = held_port()
        self.addCleanup(holder.close)
        port = holder.getsockname()[1]
        attempt = self.client(local_port=port).dial(self.server.url, "token")
        for _ in range(3):
            wire = await self.server.request()
            self.assertEqual(wire.port, port)
            pause = self.reactor.scheduled(1)
            wire.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
            await pause
            self.reactor.clock.advance(1)
        await self.server.request()
        attempt.cancel()
        await self.assertFailure(cast(Any, attempt), CancelledError)
        holder.close()
        self.assert_nothing_left()
