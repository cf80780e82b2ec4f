"""
Cancelling at every moment from the beginning to the connection: when the Deferred fires, nothing of
the attempt is left.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from rdv.addresses import AddressSpace
from rdv.client import Connection, tls_policy
from rdv.client.trace import Event
from rdv.test.certificates import Authority
from rdv.test.client.dial.doubles import SteppedReactor
from rdv.test.client.loopback import LoopbackTestCase, RealServer
from rdv.test.sockets import REACTOR, turns

#: More turns, and more events, than any of these connections takes.
_ENOUGH = 400


class AnywhereTests(LoopbackTestCase):
    """A real server; the peer comes at the same time."""

    timeout = 60

    def setUp(self) -> None:
        super().setUp()
        self.server = RealServer(self)

    def connect(self, call: str, options: dict[str, Any], trace: Any = None) -> None:
        """Both clients begin."""
        self.reactor = SteppedReactor(REACTOR)
        arguments = self.server.url, "token"
        self.attempt = getattr(self.client(**options), call)(*arguments, trace=trace)
        peer = self.client(SteppedReactor(REACTOR), **options)
        self.peer = peer.accept(*arguments) if call == "dial" else peer.dial(*arguments)
        self.peer.addCallbacks(Connection.abortConnection, lambda _: None)

    async def end(self) -> bool:
        """
        See what the attempt has come to, and clean up.

        :return: whether it was cancelled: then there must be nothing left of it.
        """
        try:
            connection: Connection = await self.attempt
        except CancelledError:
            self.assert_nothing_left()
            cancelled = True
        else:
            connection.abortConnection()
            cancelled = False
        self.peer.cancel()
        await self.peer
        while self.server.rendezvous.waiting or self.server.rendezvous.pairs:
            await turns(1)
        return cancelled

    async def in_every_turn(self, trace: Any = None, **options: Any) -> None:
        """Cancel after no turn of the reactor, after one, and so on."""
        for call in ("dial", "accept"):
            for number in range(_ENOUGH):
                self.connect(call, options, trace)
                await turns(number)
                connected = self.attempt.called
                self.attempt.cancel()
                self.assertEqual(await self.end(), not connected)
                if connected:
                    break
            self.assertTrue(5 < number < _ENOUGH - 1, number)

    async def test_direct(self) -> None:
        await self.in_every_turn()

    async def test_relayed(self) -> None:
        await self.in_every_turn(spaces=AddressSpace.NONE)

    async def test_traced(self) -> None:
        """Then it is another Deferred that is cancelled."""
        await self.in_every_turn(lambda event: None)

    async def test_tls(self) -> None:
        """Where the connection to the server takes more than a reset to close."""
        authority = Authority()
        self.server = RealServer(self, authority.server_context("127.0.0.1"))
        for spaces in (AddressSpace.LOOPBACK, AddressSpace.NONE):
            await self.in_every_turn(tls=tls_policy(ca=authority.pem), spaces=spaces)

    async def test_with_every_event(self) -> None:
        """A trace cancels it."""
        for call in ("dial", "accept"):
            cancelled = number = 0
            while number < _ENOUGH:
                events: list[Event] = []
                attempts: list[Deferred[Connection]] = []

                def told(
                    event: Event, at: int = number, seen: Any = events, given: Any = attempts
                ) -> None:
                    seen.append(event)
                    if len(seen) == at + 1 and given:
                        given[0].cancel()

                self.connect(call, {}, told)
                attempts.append(self.attempt)
                cancelled += await self.end()
                if len(events) <= number:
                    break
                number += 1
            self.assertGreater(cancelled, 10)
