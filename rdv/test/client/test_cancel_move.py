"""
Cancelling, aborting and closing at every moment of a stream's move: nothing of it is left.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from rdv import Secret
from rdv.client import Connection
from rdv.client.candidates.candidate import Candidate
from rdv.test.client.dial.doubles import SteppedReactor
from rdv.test.client.loopback import LoopbackTestCase, RealServer
from rdv.test.doubles import HalfCloseRecorder, besides_the_look
from rdv.test.sockets import REACTOR, turns

#: More turns than any of these takes.
_ENOUGH = 400
SECRET = Secret(bytes(range(16)))


def relay_first(candidate: Candidate) -> float:
    """A rule: the relay at once, and a direct path when the clock goes on."""
    return 0.0 if candidate.is_relay else 1.0


class AnywhereTests(LoopbackTestCase):
    """
    A real server, through which the two are connected first.

    :ivar theirs: the reactor of the other client.
    """

    timeout = 90

    def setUp(self) -> None:
        super().setUp()
        self.server = RealServer(self)

    def connect(self, call: str) -> None:
        """Both clients begin."""
        self.reactor, self.theirs = SteppedReactor(REACTOR), SteppedReactor(REACTOR)
        arguments: tuple[Any, ...] = self.server.url, SECRET
        other = self.client(self.theirs, chooser=relay_first)
        self.attempt: Deferred[Connection] = getattr(self.client(chooser=relay_first), call)(
            *arguments
        )
        self.peer = (other.accept if call == "dial" else other.dial)(*arguments)

    async def moving(self, call: str, number: int) -> tuple[Connection, Connection]:
        """Both are connected, and that many turns ago a direct path was allowed to join."""
        self.connect(call)
        ours, theirs = await self.attempt, await self.peer
        self.assertTrue(ours.may_move and theirs.may_move)
        for each in (ours, theirs):
            each.attach(HalfCloseRecorder())
        await turns(5)  # the direct path is ready
        for reactor in (self.reactor, self.theirs):
            reactor.clock.advance(1)
        await turns(number)
        return ours, theirs

    async def gone(self) -> None:
        """Everything is closed, everywhere."""
        server = self.server.rendezvous
        while server.waiting or server.pairs or self.theirs.left_over():
            await turns(1)
        while self.reactor.left_over():
            await turns(1)

    async def in_every_turn(self, how: str) -> None:
        """End our side after no turn of the reactor, after one, and so on."""
        for call in ("dial", "accept"):
            for number in range(_ENOUGH):
                ours, theirs = await self.moving(call, number)
                moved = not (ours.may_move or theirs.may_move)
                getattr(ours, how)()
                if how != "loseConnection":  # in the same turn
                    calls = self.reactor.clock.getDelayedCalls()
                    self.assertEqual(besides_the_look(calls), [])
                theirs.loseConnection()
                await self.gone()
                if moved:
                    break
            self.assertTrue(2 < number < _ENOUGH - 1, number)

    async def test_aborted(self) -> None:
        await self.in_every_turn("abortConnection")

    async def test_closed(self) -> None:
        await self.in_every_turn("loseConnection")

    async def test_cancelled(self) -> None:
        """Before there is a connection, when it begins on the relay."""
        for call in ("dial", "accept"):
            for number in range(_ENOUGH):
                self.connect(call)
                self.peer.addCallbacks(Connection.abortConnection, lambda _: None)
                await turns(number)
                connected = self.attempt.called
                self.attempt.cancel()
                try:
                    (await self.attempt).abortConnection()
                except CancelledError:
                    self.assert_nothing_left()
                self.peer.cancel()
                await self.peer
                await self.gone()
                if connected:
                    break
            self.assertTrue(5 < number < _ENOUGH - 1, number)
