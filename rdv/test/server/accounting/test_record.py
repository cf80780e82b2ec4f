"""
What is known about a pair when it has ended.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost

from rdv._transport.liveness import PeerVanished
from rdv.server import EndReason, Outcome, Pair, PairRecord
from rdv.server.accounting import record
from rdv.test.server.doubles import CONFIRM, HELLO, Guest, ServerTestCase
from rdv.test.server.meeting.held_case import HeldTestCase
from rdv.wire import Role


class RecordTestCase(ServerTestCase):
    """
    A server that reports the end of each pair to the test.

    :ivar records: the records so far.
    """

    def open(self, **options: Any) -> None:
        super().open(**options)
        self.records: list[PairRecord] = []
        self.rendezvous.listeners.append(self.records.append)

    def assert_ended(self, outcome: Outcome, reason: EndReason) -> PairRecord:
        """One pair has ended, in that way."""
        self.settle()
        (record,) = self.records
        self.assertEqual((record.outcome, record.reason), (outcome, reason))
        return record

    def greeted_pair(self) -> tuple[Guest, Guest]:
        """A pair whose dialer has heard HELLO."""
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        self.settle()
        return dialer, acceptor


class FieldTests(RecordTestCase):
    """Who, when, how long and how much."""

    def test_relayed(self) -> None:
        acceptor = self.accept(observed="198.51.100.4:40112")
        self.clock.advance(3)
        dialer = self.dial(observed="203.0.113.9:39841")
        acceptor.here.write(HELLO)
        dialer.here.write(CONFIRM + b"four")
        self.clock.advance(5)
        acceptor.here.write(b"thirteen more")
        self.settle()
        self.close_all(dialer, acceptor)
        ended = self.assert_ended(Outcome.RELAYED, EndReason.DIALER_CLOSED)
        self.assertEqual((ended.waited, ended.lasted), (3, 5))
        self.assertEqual((ended.dialer_bytes, ended.acceptor_bytes), (4, 13))
        self.assertEqual(ended.dialer_address, "203.0.113.9:39841")
        self.assertEqual(ended.acceptor_address, "198.51.100.4:40112")
        self.assertEqual((ended.token, ended.id), ("to…", f"{acceptor.leg.id:08x}"))
        self.assertEqual((ended.dialer_user, ended.acceptor_user, ended.worker), ("", "", None))

    def test_time(self) -> None:
        """It is the world's, not the reactor's."""
        self.patch(record, "time", lambda: 1.5e9)
        self.close_all(*self.pair())
        self.assertEqual(self.records[0].time, 1.5e9)

    def test_worker(self) -> None:
        self.rendezvous.worker = 2
        self.close_all(*self.pair())
        self.assertEqual(self.records[0].worker, 2)

    def test_waits_again(self) -> None:
        """What a client meets next is another pair, for which it has waited all the time."""

        def serve(pair: Pair) -> Deferred[None]:
            thinking.append(Deferred())
            return thinking[-1]

        thinking: list[Deferred[None]] = []
        self.open(serve=serve)
        acceptor = self.accept()
        first = acceptor.leg.id
        self.clock.advance(2)
        self.close_all(self.dial())
        self.assert_waiting(acceptor)
        self.clock.advance(2)
        dialer = self.dial()
        thinking[-1].callback(None)
        self.close_all(dialer, acceptor)
        ended = self.assert_ended(Outcome.ABANDONED, EndReason.DIALER_CLOSED)
        self.assertEqual(ended.waited, 4)
        self.assertNotEqual(acceptor.leg.id, first)
        self.assertEqual(ended.id, f"{acceptor.leg.id:08x}")

    def test_listener_fails(self) -> None:
        """The next one is told all the same, and the server can close."""
        self.rendezvous.listeners.insert(0, lambda record: 1 / 0)
        self.close_all(*self.pair())
        self.assert_ended(Outcome.ABANDONED, EndReason.DIALER_CLOSED)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.successResultOf(self.rendezvous.close())


class ReasonTests(RecordTestCase):
    """Why it ended: what came first."""

    def test_direct(self) -> None:
        self.close_all(*self.greeted_pair())
        self.assert_ended(Outcome.DIRECT, EndReason.DIALER_CLOSED)

    def test_direct_and_the_acceptor_closes_first(self) -> None:
        self.close_all(*self.greeted_pair()[::-1])
        self.assert_ended(Outcome.DIRECT, EndReason.ACCEPTOR_CLOSED)

    def test_relayed(self) -> None:
        """Whoever ends first, although the other one goes on."""
        for index, reason in enumerate((EndReason.DIALER_CLOSED, EndReason.ACCEPTOR_CLOSED)):
            self.open()
            guests = self.relayed_pair()
            guests[index].here.loseWriteConnection()
            self.settle()
            guests[1 - index].here.write(b"still here")
            self.settle()
            guests[1 - index].here.loseConnection()
            self.assert_ended(Outcome.RELAYED, reason)

    def test_reset(self) -> None:
        """Before a path was chosen, and behind that; then also when the other one had ended."""
        for index, reason in enumerate((EndReason.DIALER_RESET, EndReason.ACCEPTOR_RESET)):
            self.open()
            self.pair()[index].here.abortConnection()
            self.assert_ended(Outcome.ABANDONED, reason)
            self.open()
            self.relayed_pair()[index].here.abortConnection()
            self.assert_ended(Outcome.RELAYED, reason)
            self.open()
            guests = self.relayed_pair()
            guests[1 - index].here.loseWriteConnection()
            self.settle()
            guests[index].here.abortConnection()
            self.assert_ended(Outcome.RELAYED, reason)

    def test_vanished(self) -> None:
        for index, reason in enumerate((EndReason.DIALER_VANISHED, EndReason.ACCEPTOR_VANISHED)):
            self.open()
            self.relayed_pair()[index].at_server.lose(PeerVanished())
            self.assert_ended(Outcome.RELAYED, reason)
            self.open()
            self.pair()[index].at_server.lose(PeerVanished())
            self.assert_ended(Outcome.ABANDONED, reason)

    def test_other_loss(self) -> None:
        self.relayed_pair()[0].at_server.lose(ConnectionLost())
        self.assert_ended(Outcome.RELAYED, EndReason.DIALER_RESET)

    def test_wrong_line(self) -> None:
        self.pair()[0].here.write(b"GET / HTTP/1.1\r\n\r\n")
        self.assert_ended(Outcome.FAILED, EndReason.WRONG_LINE)

    def test_handshake_timeout(self) -> None:
        self.open(handshake_timeout=7)
        self.pair()
        self.clock.advance(7)
        ended = self.assert_ended(Outcome.FAILED, EndReason.HANDSHAKE_TIMEOUT)
        self.assertEqual(ended.lasted, 7)

    def test_idle(self) -> None:
        self.open(idle_timeout=7)
        self.relayed_pair()
        self.clock.advance(7)
        self.assert_ended(Outcome.RELAYED, EndReason.IDLE)

    def test_shutdown(self) -> None:
        self.relayed_pair()
        self.rendezvous.close(3)
        self.clock.advance(3)
        self.assert_ended(Outcome.RELAYED, EndReason.SHUTDOWN)

    def test_ends_while_the_server_stops(self) -> None:
        """By itself."""
        guests = self.relayed_pair()
        self.rendezvous.close(3)
        self.close_all(*guests)
        self.assert_ended(Outcome.RELAYED, EndReason.DIALER_CLOSED)

    def test_aborted(self) -> None:
        """By whoever has the pair, and says why or does not."""
        for reasons in ((), (EndReason.QUOTA,)):
            pairs: list[Pair] = []
            self.open(serve=pairs.append)
            self.relayed_pair()
            pairs[0].abort(*reasons)
            self.assert_ended(Outcome.RELAYED, *(reasons or (EndReason.ABORTED,)))

    def test_refused(self) -> None:
        self.open(serve=lambda pair: pair.reject(403, "not today"))
        self.dial(), self.accept()
        self.assert_ended(Outcome.FAILED, EndReason.REFUSED)

    def test_hook_fails(self) -> None:
        self.open(serve=lambda pair: 1 / 0)
        self.dial(), self.accept()
        self.assert_ended(Outcome.FAILED, EndReason.HOOK_FAILED)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_hook_does_not_decide(self) -> None:
        self.open(serve=lambda pair: Deferred(), handshake_timeout=7)
        self.dial(), self.accept()
        self.clock.advance(7)
        self.assert_ended(Outcome.FAILED, EndReason.HOOK_FAILED)

    def test_nobody_was_told(self) -> None:
        """One left while the hook was thinking, or the server stopped: that was no pair yet."""
        self.open(serve=lambda pair: Deferred())
        self.close_all(self.dial(), self.accept())
        self.dial(), self.accept()
        self.rendezvous.close()
        self.settle()
        self.assertEqual(self.records, [])


class HeldTests(HeldTestCase, RecordTestCase):
    """One of the two has been answered, and the other one not yet."""

    def test_leaves(self) -> None:
        reasons = {
            Role.DIALER: EndReason.DIALER_CLOSED,
            Role.ACCEPTOR: EndReason.ACCEPTOR_CLOSED,
        }
        for near in Role:
            for index in (0, 1):
                self.open()
                guest = self.held_pair(near)[index]
                guest.here.loseConnection()
                self.assert_ended(Outcome.FAILED, reasons[guest.leg.role])

    def test_speaks_too_early(self) -> None:
        near, _ = self.held_pair(Role.DIALER)
        near.here.write(b"early")
        self.assert_ended(Outcome.FAILED, EndReason.WRONG_LINE)
