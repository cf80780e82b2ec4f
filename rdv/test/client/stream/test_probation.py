"""
When a choice becomes final, and for whom.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.web.http_headers import Headers

from rdv.client.candidates import acknowledgement
from rdv.client.candidates import candidate as candidate_module
from rdv.client.stream import probation
from rdv.client.stream.connection import Connection
from rdv.client.stream.replay import LIMIT
from rdv.test.client.stream.probation_case import CONFIRM, HELLO, LONG, Path, ProbationTestCase
from rdv.test.doubles import HalfCloseRecorder
from rdv.wire import Role


class BothTestCase(ProbationTestCase):
    """What holds for a dialer and for an acceptor."""

    def assert_lost(self, kind: type[Exception] = ConnectionLost) -> None:
        """The application was told, and nothing is left."""
        assert self.wire.lost is not None
        self.assertIsNotNone(self.wire.lost.check(kind))
        self.assert_nothing_left()


class BothTests:
    """Tests of each side; what it is mixed with is a :class:`BothTestCase`."""

    def test_first_byte(self: Any) -> None:
        """Whether it came together with the line before it or later."""
        for at_once in (False, True):
            self.begin(behind=b"data" if at_once else b"")
            if not at_once:
                self.direct.deliver(b"data")
            self.assert_direct()
            self.assertEqual(self.wire.received, b"data")

    def test_end_of_the_peer_s_direction(self: Any) -> None:
        self.direct.far_end.loseWriteConnection()
        self.clock.advance(0)
        self.assert_direct()
        self.assertEqual(self.wire.read_ended, 1)

    def test_clean_end_of_all_at_once(self: Any) -> None:
        """It is no loss, so that nothing takes its place."""
        said = self.relay.far.received
        self.direct.near.lose(ConnectionDone())
        self.assert_lost(ConnectionDone)
        self.assertEqual(self.relay.far.received, said)

    def test_relay_gone_first(self: Any) -> None:
        for gone in ("lose", "end"):
            self.begin()
            self.clock.advance(0.5)
            self.assertTrue(self.relay.open)
            getattr(self.relay, gone)()
            self.assertEqual(self.clock.getDelayedCalls(), [])
            self.assertTrue(self.direct.open)
            self.direct.lose()
            self.assert_lost()

    def test_lost_and_the_relay_as_well(self: Any) -> None:
        """It breaks, ends, or never becomes ready."""
        for gone in ("lose", "end", ""):
            for acknowledged in (None, 0):
                self.begin(relay_ready=False)
                self.direct.acknowledged = acknowledged
                self.direct.lose()
                self.assertIsNone(self.wire.lost)
                if gone:
                    getattr(self.relay, gone)()
                else:
                    self.clock.advance(LONG)
                self.assert_lost()


class DialerTests(BothTests, BothTestCase):
    """The dialer waits for an acknowledgement of its CONFIRM."""

    def test_relay_is_kept_until_then(self) -> None:
        self.direct.acknowledged = len(CONFIRM) - 1
        self.clock.advance(acknowledgement._PROVEN_WITHIN * 0.9)
        self.assertTrue(self.relay.open)
        self.assertFalse(self.connection.is_relay)
        self.acknowledge()
        self.assert_direct()
        self.direct.lose()
        self.assert_lost()

    def test_looks_soon_and_again(self) -> None:
        """A direct path within a LAN costs the server nothing for long."""
        for seconds in (0.1, 1):
            self.begin()
            self.clock.advance(seconds)
            self.direct.acknowledged = len(CONFIRM)
            self.clock.advance(0.1)
            self.assert_direct()

    def test_the_application_says_something(self) -> None:
        """It is given a moment to do so, and then it costs no more than its own round trip."""
        self.direct.acknowledged = len(CONFIRM)
        self.clock.pump([0.001] * 90)
        self.assertTrue(self.relay.open)
        self.connection.write(b"data")
        self.direct.acknowledged += 1
        self.clock.advance(0.001)
        self.assert_direct()

    def test_the_application_says_nothing(self) -> None:
        """Not yet, or not at all."""
        self.direct.acknowledged = len(CONFIRM)
        self.clock.advance(0.2)
        self.assert_direct()
        for end in "loseWriteConnection", "loseConnection":
            self.begin()
            self.direct.acknowledged = len(CONFIRM)
            getattr(self.connection, end)()
            self.clock.advance(0.003)
            self.clock.advance(0)
            self.assertTrue(self.relay.ended)

    def test_looks_when_there_may_be_something(self) -> None:
        """After a round trip, soon behind it, and then more and more seldom."""
        looks: list[float] = []

        def look(transport: object) -> int:
            looks.append(self.clock.seconds())
            return 0

        self.patch(probation, "round_trip", lambda transport: 0.16)
        self.begin()
        self.patch(candidate_module, "bytes_acknowledged", look)
        self.clock.pump([0.001] * 1000)
        self.assertGreater(looks[0], 0.16)
        self.assertLess(looks[1], 0.16 * 1.2)
        self.assertLess(len(looks), 25)

    def test_the_acceptor_waits(self) -> None:
        """Within a network it begins when the relay has ended."""
        for is_global in (True, False):
            self.patch(probation, "is_global", lambda ip, is_global=is_global: is_global)
            self.begin()
            self.direct.acknowledged = len(CONFIRM)
            self.clock.pump([0.001] * 15)
            self.assertEqual(self.relay.open, is_global)

    def test_what_it_says_does_not_arrive(self) -> None:
        """Such as full segments, on a path that only lets small ones through."""
        for acknowledged, seconds in (
            (0, acknowledgement._PROVEN_WITHIN),
            (len(CONFIRM), probation._DELIVERED_WITHIN),
        ):
            self.begin()
            self.direct.acknowledged = acknowledged
            self.connection.write(b"data")
            self.clock.advance(seconds * 0.99)
            self.assertTrue(self.direct.open and self.relay.open)
            self.clock.advance(0.1)
            self.assert_relayed()
            self.assertEqual(self.relay.far.received, CONFIRM + b"data")

    def test_far(self) -> None:
        """A lost CONFIRM is sent again after three round trips."""
        self.patch(acknowledgement, "round_trip", lambda transport: 1.0)
        self.begin()
        self.clock.advance(5.9)
        self.assertTrue(self.direct.open)
        self.clock.advance(0.2)
        self.assert_relayed()

    def test_old_peer(self) -> None:
        """It has closed the relay at once, so there is nothing to fall back to."""
        self.direct.acknowledged = len(CONFIRM)
        self.connection.write(b"data")
        self.relay.end()
        self.clock.advance(LONG)
        self.assertTrue(self.direct.open)
        self.assertFalse(self.connection.is_relay)

    def test_end_of_the_connection(self) -> None:
        self.connection.loseWriteConnection()
        self.clock.advance(0)
        self.direct.end()
        self.connection.loseConnection()
        self.assert_nothing_left()
        self.assertTrue(self.wire.lost_cleanly)

    def test_system_does_not_tell_any_more(self) -> None:
        self.direct.acknowledged = None
        self.clock.advance(1)
        self.assert_direct()

    def test_no_acknowledgement_and_the_relay_is_not_ready(self) -> None:
        """It may still become so; or the acknowledgement may come."""
        for ready in (True, False):
            self.begin(relay_ready=False)
            self.clock.advance(acknowledgement._PROVEN_WITHIN + 0.1)
            self.assertTrue(self.direct.open)
            if ready:
                self.relay.deliver(HELLO)
                self.assert_relayed()
            else:
                self.direct.deliver(b"data")
                self.assert_direct()

    def test_lost(self) -> None:
        """What becomes of a socket that is gone says nothing of the choice."""
        for ready in (True, False):
            self.begin(relay_ready=ready)
            self.connection.write(b"data")
            self.direct.acknowledged = None
            self.direct.lose()
            self.clock.advance(1)
            self.assertIsNone(self.wire.lost)
            if not ready:
                self.relay.deliver(HELLO)
            self.assert_relayed()
            self.assertEqual(self.relay.far.received, CONFIRM + b"data")
            self.relay.deliver(b"answer")
            self.assertEqual(self.wire.pieces, [b"answer"])


class AcceptorTests(BothTests, BothTestCase):
    """The acceptor waits until the dialer has closed the relay."""

    role = Role.ACCEPTOR

    def test_not_for_ever(self) -> None:
        self.acknowledge()  # says nothing
        self.connection.write(b"banner")
        self.clock.advance(8)
        self.assertTrue(self.relay.open)
        self.clock.advance(2)
        self.assert_direct()

    def test_confirm_on_the_relay(self) -> None:
        """Whether we have noticed that the direct path is lost or not."""
        for lost in (False, True):
            self.begin()
            self.connection.write(b"banner")
            if lost:
                self.direct.lose()
                self.assertTrue(self.relay.open)
                self.assertIsNone(self.wire.lost)
            self.relay.deliver(CONFIRM + b"data")
            self.assert_relayed()
            self.assertEqual(self.wire.received, b"data")
            self.assertEqual(self.relay.far.received, HELLO + b"banner")

    def test_confirm_on_both(self) -> None:
        """In one turn: the dialer has fallen back before there was a connection here."""
        direct, relay = (Path(self.clock, self.role, is_relay=each) for each in (False, True))
        for path in direct, relay:
            path.deliver(CONFIRM)
        connection = Connection(direct.candidate, None, Headers(), relay.candidate)
        connection.attach(wire := HalfCloseRecorder())
        connection.write(bytes(LIMIT + 1))
        self.clock.advance(0)
        self.assertEqual(len(relay.received), LIMIT + 1)
        relay.lose()
        self.assertIsNotNone(wire.lost)

    def test_answer_to_what_came_with_it(self) -> None:
        """What was written before comes before it; it may also close."""
        answers: tuple[Callable[[bytes], object], ...] = (
            lambda data: self.connection.write(b"<" + data + b">"),
            lambda data: self.connection.loseConnection(),
        )
        for answer in answers:
            self.begin()
            self.patch(self.wire, "dataReceived", answer)
            self.connection.write(b"banner")
            self.relay.deliver(CONFIRM + b"data")
            if answer is answers[0]:
                self.assert_relayed()
                self.assertEqual(self.relay.received, b"banner<data>")
            else:
                self.assert_nothing_left()
                self.assertEqual(self.relay.received, b"banner")
                self.assertTrue(self.relay.ended)

    def test_something_else_on_the_relay(self) -> None:
        """Then it is not the peer's, and of no use."""
        self.relay.deliver(b"HTTP/1.1 500 Oops\r\n")
        self.assert_direct()
        self.connection.write(b"data")
        self.clock.advance(0)
        self.assertEqual(self.direct.received, b"data")


class WithoutRelayTests(ProbationTestCase):
    """There is no relay to fall back to."""

    def test_nothing_waits(self) -> None:
        self.relay.near.abortConnection()
        self.clock.advance(0)
        connection = Connection(self.direct.candidate, None, self.connection.headers)
        connection.attach(wire := HalfCloseRecorder())
        self.direct.lose()
        self.assertIsNotNone(wire.lost)


class DiscardTests(ProbationTestCase):
    """A connection that is not used."""

    def test_both_are_waited_for(self) -> None:
        """In whichever order they close."""
        for names in (("direct", "relay"), ("relay", "direct")):
            self.begin(attach=False)
            first, second = (getattr(self, name) for name in names)
            for path in (first, second):
                path.near.abortConnection = lambda: None  # not yet
            discarding = self.connection.discard()
            first.lose()
            self.assertNoResult(discarding)
            second.lose()
            self.successResultOf(discarding)
            self.assert_nothing_left()

    def test_final(self) -> None:
        """There is only one left."""
        self.begin(attach=False)
        self.acknowledge()
        discarding = self.connection.discard()
        self.assertNoResult(discarding)
        self.clock.advance(0)
        self.successResultOf(discarding)
        self.assert_nothing_left()
