"""
Attempts at several servers: which are made, and when.
"""

from __future__ import annotations

from collections.abc import Callable

from hyperlink import URL
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import parse_address
from rdv.client.servers.several import Several
from rdv.client.servers.urls import Place
from rdv.errors import NoConnection, NoServer, RdvError, ServerRefused, ServerUnreachable

A, B, C, D = (Place(URL.from_text(f"http://{name}.example/")) for name in "abcd")
SERVERS = [A, B, C]

GONE = ServerUnreachable("gone")
FULL = ServerRefused("http://x/", 503, "full", "", 10.0)
REFUSED = ServerRefused("http://x/", 401, "Unauthorized", "")
REPLACED = ServerRefused("http://x/", 409, "Conflict", "")


class SeveralTestCase(SynchronousTestCase):
    """
    Three servers, and a test that plays them.

    :ivar asked: the servers that were asked, in that order.
    :ivar visits: those that are under way.
    :ivar waits: see :class:`Several`.
    """

    waits: Callable[[Place], bool] | None = None

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[Place] = []
        self.visits: dict[Place, Deferred[str]] = {}
        self.met: dict[Place, Callable[[], object]] = {}
        self.discarded: list[str] = []
        self.canceller: Callable[[Deferred[str]], None] | None = None
        self.several = Several(
            self.clock, self.first, self.visit, self.discard, self.waits, lambda: 1.0
        )
        self.result = Deferred.fromCoroutine(self.several.run())
        self.result.addErrback(lambda failure: failure)  # a failure is looked at by the test

    def tearDown(self) -> None:
        """Whatever has happened, nothing is left."""
        if not self.result.called:
            self.result.cancel()
        self.result.addErrback(lambda _: None)
        self.assertEqual(self.visits, {})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @property
    def first(self) -> list[Place]:
        """Those that are known from the beginning."""
        return SERVERS

    async def visit(self, server: Place, met: Callable[[], object]) -> str:
        self.asked.append(server)
        self.met[server] = met
        self.assertNotIn(server, self.visits)
        visit = self.visits[server] = Deferred(self.canceller)
        try:
            return await visit
        finally:
            del self.visits[server]

    def discard(self, late: str) -> Deferred[None]:
        self.discarded.append(late)
        return succeed(None)

    def fails(self, server: Place, error: RdvError) -> None:
        self.visits[server].errback(error)
        self.clock.advance(0)


class SeveralTests(SeveralTestCase):
    """Several URLs."""

    def test_first(self) -> None:
        """Nobody else is asked when the peer is there."""
        self.clock.advance(1.9)
        self.met[A]()
        self.clock.advance(30)
        self.assertEqual(self.asked, [A])
        self.visits[A].callback("a")
        self.assertEqual(self.successResultOf(self.result), "a")

    def test_one_after_the_other(self) -> None:
        for asked in ([A], [A, B], [A, B, C], [A, B, C]):
            self.assertEqual(self.asked, asked)
            self.clock.advance(2)
        self.visits[B].callback("b")
        self.assertEqual(self.successResultOf(self.result), "b")

    def test_at_once_after_a_failure(self) -> None:
        self.fails(A, GONE)
        self.assertEqual(self.asked, [A, B])
        self.fails(B, FULL)
        self.assertEqual(self.asked, [A, B, C])
        self.assertNoResult(self.result)

    def test_asked_again(self) -> None:
        """While another one lets us wait; the pauses grow, to 15 seconds."""
        self.fails(A, GONE)
        for pause in (2, 4, 8, 15, 15):
            before = len(self.asked)
            self.clock.advance(pause - 0.1)
            self.assertNotIn(A, self.asked[before:])
            self.clock.advance(0.1)
            self.assertEqual(self.asked.count(A), self.asked[:before].count(A) + 1)
            self.fails(A, GONE)

    def test_as_late_as_it_wants(self) -> None:
        self.fails(A, FULL)
        self.clock.advance(14.4)
        self.assertEqual(self.asked, [A, B, C])
        self.clock.advance(0.1)
        self.assertEqual(self.asked, [A, B, C, A])

    def test_none(self) -> None:
        self.fails(A, GONE)
        self.fails(B, FULL)
        self.fails(C, GONE)
        error = self.failureResultOf(self.result, NoServer).value
        self.assertEqual(error.errors, [GONE, FULL, GONE])
        self.assertEqual(str(error), f"no server accepts this client: gone; {FULL}; gone")

    def test_silence_is_no_failure(self) -> None:
        """One that has not answered yet may still let us wait."""
        self.clock.pump([2, 2])
        self.fails(A, GONE)
        self.fails(B, GONE)
        self.assertNoResult(self.result)
        self.fails(C, GONE)
        self.failureResultOf(self.result, NoServer)

    def test_replaced(self) -> None:
        """By our own request at another URL of the same server: it is left at that."""
        self.clock.pump([2, 2])
        self.fails(A, REPLACED)
        self.fails(B, REPLACED)
        self.clock.pump([10] * 10)
        self.assertEqual(self.asked, [A, B, C])
        self.fails(C, REPLACED)
        self.assertIs(self.failureResultOf(self.result).value, REPLACED)

    def test_meeting_in_vain(self) -> None:
        self.clock.advance(2)
        self.met[B]()
        self.fails(B, NoConnection("no path"))
        self.failureResultOf(self.result, NoConnection)

    def test_two_meetings(self) -> None:
        """Each goes on as long as it can; what still waits is given up after a moment."""
        self.clock.pump([2, 2])
        self.met[B]()
        self.clock.advance(0.9)
        self.met[A]()
        self.assertEqual(set(self.visits), {A, B, C})
        self.clock.advance(0.1)
        self.assertEqual(set(self.visits), {A, B})
        self.fails(A, NoConnection("no path"))
        self.visits[B].callback("b")
        self.assertEqual(self.successResultOf(self.result), "b")

    def test_no_more_after_a_meeting(self) -> None:
        """Neither one that was not asked, nor one that has failed."""
        self.fails(A, GONE)
        self.met[B]()
        self.clock.pump([2] * 10)
        self.assertEqual(self.asked, [A, B])

    def test_one_that_waits_fails_during_a_meeting(self) -> None:
        self.clock.advance(2)
        self.met[B]()
        self.fails(A, GONE)
        self.assertNoResult(self.result)

    def test_unexpected(self) -> None:
        self.visits[A].errback(ZeroDivisionError())
        self.failureResultOf(self.result, ZeroDivisionError)

    def test_cancelled(self) -> None:
        """In every phase."""
        self.fails(A, GONE)
        self.clock.advance(2)
        self.result.cancel()
        self.failureResultOf(self.result, CancelledError)

    def test_too_late(self) -> None:
        """One that has come to a connection while it was cancelled."""
        self.canceller = lambda visit: visit.callback("late")
        self.clock.advance(2)
        self.result.cancel()
        self.failureResultOf(self.result, CancelledError)
        self.assertEqual(self.discarded, ["late"])


class MachinesTests(SeveralTestCase):
    """
    One server, whose name turns out to have three addresses.

    :ivar waiting: where our request has arrived.
    """

    def setUp(self) -> None:
        self.waiting: set[Place] = set()
        super().setUp()
        self.several.add([B, C])

    @property
    def first(self) -> list[Place]:
        return [A]

    def waits(self, server: Place) -> bool:
        return server in self.waiting

    def test_at_one(self) -> None:
        """Nobody else is asked as long as one lets us wait."""
        self.clock.advance(1.9)
        self.waiting.add(A)
        self.clock.pump([1.0] * 100)
        self.several.add([B, C])  # its name is looked up again
        self.clock.pump([1.0] * 100)
        self.assertEqual(self.asked, [A])

    def test_dies(self) -> None:
        """We wait at the next, and at the first again when it is back."""
        self.waiting |= {A, B}
        self.clock.advance(100)
        self.fails(A, GONE)
        self.assertEqual(self.asked, [A, B])
        self.clock.advance(1.9)
        self.assertEqual(self.asked, [A, B])
        self.clock.advance(0.1)
        self.assertEqual(self.asked, [A, B, A])
        self.waiting.discard(A)
        self.fails(A, GONE)
        self.assertEqual(self.asked, [A, B, A])
        self.waiting.add(A)
        self.clock.pump([1.0] * 4)
        self.assertEqual(set(self.visits), {A, B})
        self.clock.pump([1.0] * 100)
        self.assertEqual(self.asked, [A, B, A, A])

    def test_silent(self) -> None:
        """One that cannot be reached; the next ones after a while each."""
        for asked in ([A], [A, B], [A, B, C]):
            self.assertEqual(self.asked, asked)
            self.clock.advance(2)
        self.several.add([B, C])
        self.clock.advance(2)
        self.assertEqual(self.asked, [A, B, C])

    def test_drains(self) -> None:
        self.waiting.add(B)
        self.fails(A, FULL)
        self.clock.pump([0.5] * 25)
        self.assertEqual(self.asked, [A, B])
        self.clock.pump([0.5] * 10)
        self.assertEqual(self.asked, [A, B, A])

    def test_same_answer_everywhere(self) -> None:
        """What is no fault of that machine ends the call."""
        for error in (REFUSED, REPLACED, NoConnection("no path")):
            self.fails(A, error)
            self.assertIs(self.failureResultOf(self.result).value, error)
            self.assertEqual(self.asked, [A])
            self.tearDown()
            self.setUp()

    def test_two_addresses_of_one_machine(self) -> None:
        """Our request at one takes the place of that at the other, which is left at that."""
        self.waiting |= {A, B, C}
        self.fails(A, GONE)
        self.clock.advance(2)
        self.fails(B, REPLACED)
        self.clock.pump([1.0] * 100)
        self.assertEqual((self.asked, list(self.visits)), ([A, B, A], [A]))

    def test_none(self) -> None:
        """The last one says why."""
        for server, error in zip(SERVERS, (FULL, FULL, GONE), strict=True):
            self.fails(server, error)
        self.assertIs(self.failureResultOf(self.result).value, GONE)

    def test_very_many(self) -> None:
        """As many as a list of URLs may have, whatever the name says, and however often."""
        for more in range(3):
            found = [Place(A.url, parse_address(f"192.0.2.{n}:80")) for n in range(50 * more + 50)]
            self.several.add(found)
            self.clock.pump([1.0] * 100)
        self.assertEqual(len(set(self.asked)), 8)

    def test_found_too_late(self) -> None:
        """There is a connection, or none any more."""
        self.visits[A].callback("a")
        self.several.add([D])
        self.assertEqual(self.successResultOf(self.result), "a")
        self.assertEqual(self.clock.getDelayedCalls(), [])
