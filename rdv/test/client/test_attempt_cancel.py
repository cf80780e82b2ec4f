"""
Cancellation and timeout of an attempt at every stage: nothing is left when the Deferred fires.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost

from rdv.client.trace import Event
from rdv.errors import AttemptTimeout, ServerUnreachable
from rdv.test.client.doubles import CONFIRM, HELLO, PEER, TOKEN, URL, AttemptTestCase

NOBODY_CAME = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
NO_SERVER = f"{URL} did not answer"
NO_PEER = f"no peer arrived at {URL}"
NO_PATH = "no path to the peer"


class Stage(NamedTuple):
    """
    :ivar reach: brings an attempt there.
    :ivar lacking: what it is still waiting for there, in words.
    :ivar seconds: a timeout that expires at this stage.
    :ivar dialling: how many dials are under way, to guessed ports too.
    """

    reach: Callable[[StageTestCase], object]
    lacking: str
    seconds: float = 5
    dialling: int = 0


class StageTestCase(AttemptTestCase):
    """Brings attempts to a stage; :ivar options: for each."""

    options: dict[str, Any]

    def start(self, role: str = "dial", url: str = URL) -> None:
        """Not yet connected to the server."""
        options = dict(self.options)
        self.attempt = getattr(self.client(), role)(url, TOKEN, **options)

    def ask(self, role: str = "dial", *said: bytes) -> None:
        """The server has the request, and has ``said`` something."""
        self.start(role)
        self.server = self.reactor.connected()
        self.server.deliver(*said)

    def resolve(self) -> None:
        self.reactor.resolver.silent = True
        self.start(url="http://one.example/rdv")

    def hold_stranger(self) -> None:
        self.ask("accept")
        self.arrive()

    def race(self, role: str) -> None:
        self.ask(role)
        self.answer(PEER, "203.0.113.9:41001")
        self.reactor.connected(-2)
        self.arrive(port=41002)

    def wait_for_better(self) -> None:
        self.ask()
        self.answer(PEER)
        self.server.deliver(HELLO)

    def be_sent_away(self) -> None:
        """Between two requests."""
        self.ask("accept", NOBODY_CAME)
        self.server.lose()

    def ask_again(self) -> None:
        self.be_sent_away()
        self.reactor.advance(1)
        self.assertEqual(len(self.reactor.tcpClients), 2)

    def choose(self) -> None:
        """The choice is made, and losers are still closing."""
        self.ask()
        self.answer(PEER)
        winner = self.reactor.connected()
        winner.deliver(HELLO)
        self.assertEqual(winner.value(), CONFIRM)
        self.assertNoResult(self.attempt)

    def assert_nothing_left(self, stage: Stage) -> None:
        """
        When the last connection is gone, and not before, it has failed. All are reset, but the
        relay of an attempt that has a direct path.
        """
        in_order = self.server if stage.reach is StageTestCase.choose else None
        for transport in self.reactor.transports:
            if not transport.gone:
                self.assertNoResult(self.attempt)
                how = "close" if transport is in_order else "abort"
                self.assertEqual(transport.closing, how, stage)
                transport.lose()
        stopped = [each.stoppedConnecting for each in self.reactor.connectors]
        self.assertEqual(stopped.count(True), stage.dialling, stage)
        self.assert_done()


STAGES = (
    Stage(StageTestCase.resolve, "http://one.example/rdv did not answer"),
    Stage(lambda test: test.start("dial"), NO_SERVER, dialling=1),
    Stage(lambda test: test.start("accept"), NO_SERVER, dialling=1),
    Stage(lambda test: test.ask("dial"), NO_PEER),
    Stage(lambda test: test.ask("accept"), NO_PEER),
    Stage(StageTestCase.hold_stranger, NO_PEER),
    Stage(lambda test: test.ask("dial", b"HTTP/1.1 101 Swi"), NO_PEER),
    Stage(lambda test: test.ask("dial", b"HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\nn"), NO_PEER),
    Stage(StageTestCase.be_sent_away, NO_PEER, seconds=0.5),
    Stage(StageTestCase.ask_again, NO_SERVER, dialling=1),
    Stage(lambda test: test.race("dial"), NO_PATH, dialling=5),
    Stage(lambda test: test.race("accept"), NO_PATH, dialling=5),
    Stage(StageTestCase.wait_for_better, NO_PATH, seconds=1.5, dialling=1),
    Stage(StageTestCase.choose, NO_PATH),
)


class StageTests(StageTestCase):
    """At each stage, with and without a trace, which reports the same."""

    def reach(self, stage: Stage, traced: bool, **options: object) -> None:
        """An attempt is there."""
        self.events: list[Event] = []
        self.options = {**options, **({"trace": self.events.append} if traced else {})}
        self.setUp()
        stage.reach(self)

    def assert_told(self, stage: Stage, why: str) -> None:
        """The trace's last word, unless there is no attempt at all between two requests."""
        if self.events and stage.reach is not StageTestCase.be_sent_away:
            self.assertEqual(self.events[-1].fields, {"reason": f"{why}: {stage.lacking}"})

    def test_cancelled(self) -> None:
        """Once or twice."""
        for stage in STAGES:
            for times in (1, 2):
                self.reach(stage, traced=times == 1, timeout=None)
                for _ in range(times):
                    self.attempt.cancel()
                self.assert_nothing_left(stage)
                self.failureResultOf(self.attempt, CancelledError)
                self.assert_told(stage, "cancelled")

    def test_timeout(self) -> None:
        for stage in STAGES:
            for traced in (False, True):
                self.reach(stage, traced, timeout=stage.seconds)
                self.reactor.advance(stage.seconds - self.reactor.seconds() - 0.1)
                self.assertNoResult(self.attempt)
                self.reactor.advance(0.2)
                self.assert_nothing_left(stage)
                text = str(self.failureResultOf(self.attempt, AttemptTimeout).value)
                self.assertEqual(text, f"no connection within {stage.seconds} s: {stage.lacking}")
                self.assert_told(stage, "time is up")


class OtherTests(AttemptTestCase):
    """Around these."""

    def test_cancelled_when_it_is_failing_already(self) -> None:
        self.accept()
        stranger = self.arrive()
        self.server.lose()
        self.attempt.cancel()
        self.assert_done(stranger)
        self.failureResultOf(self.attempt, CancelledError, ServerUnreachable)

    def test_cancelled_afterwards(self) -> None:
        """Nothing happens, and no timeout is left in the clock."""
        self.accept(timeout=60)
        self.answer()
        self.server.deliver(CONFIRM)
        self.assert_done()
        connection = self.successResultOf(self.attempt)
        self.attempt.cancel()
        self.assertEqual(self.server.closing, "")
        connection.abortConnection()

    def test_nothing_left_after_a_failure(self) -> None:
        self.accept(timeout=60)
        self.server.lose(ConnectionLost())
        self.failureResultOf(self.attempt, ServerUnreachable)
        self.assert_done()

    def test_timeout_by_default(self) -> None:
        """A minute for a dialer, and none for an acceptor."""
        self.attempt = self.client().dial(URL, TOKEN)
        server = self.reactor.connected()
        self.reactor.advance(60)
        server.lose()
        text = str(self.failureResultOf(self.attempt, AttemptTimeout).value)
        self.assertIn("no connection within 60 s", text)
        self.attempt = self.client().accept(URL, TOKEN)
        self.reactor.connected()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertNoResult(self.attempt)
