"""
Which ready candidate is chosen, and how.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost

from rdv.addresses import parse_address
from rdv.client.candidates import candidate
from rdv.client.race import choice as race
from rdv.test.client.doubles import CONFIRM, HELLO, PEER, AttemptTestCase, ByteTransport, answer
from rdv.test.client.race.test_contest import LAN, REFUSED, SHORT, ContestTestCase


class SuspectTests(ContestTestCase):
    """The peer has connected from an address that has refused our dial."""

    def setUp(self) -> None:
        super().setUp()
        self.acknowledged: int | None = 0
        self.patch(candidate, "bytes_acknowledged", lambda transport: self.acknowledged)
        self.begin(PEER, LAN)
        self.reactor.failed(REFUSED, 1)
        self.direct = self.arrive()
        self.direct.deliver(HELLO)

    def acknowledge(self) -> None:
        """The peer's system has got CONFIRM, and we look."""
        self.acknowledged = len(CONFIRM)
        self.reactor.advance(SHORT)

    def assert_direct(self) -> None:
        """It has won; the relay is not used."""
        connection = self.successResultOf(self.attempt)
        self.assertEqual(connection.peer_address, parse_address(PEER))
        self.assertEqual((self.direct.closing, self.server.value()), ("", b""))

    def test_acknowledged(self) -> None:
        self.assertEqual(self.direct.value(), CONFIRM)
        self.reactor.advance(1)
        self.assert_waits()
        self.acknowledge()
        self.assert_direct()

    def test_not_acknowledged(self) -> None:
        self.acknowledged = len(CONFIRM) - 1
        self.reactor.advance(1.9)
        self.assertEqual(self.direct.closing, "abort")
        self.assert_waits()
        self.reactor.advance(SHORT)
        self.assert_relayed()

    def test_not_acknowledged_when_the_relay_is_due(self) -> None:
        """A choice that is being made is not overtaken; when it fails, the relay is next."""
        self.reactor.advance(0.01)
        self.direct.lose(ConnectionLost())
        self.reactor.advance(1.9)
        late = self.arrive()
        late.deliver(HELLO)
        self.reactor.advance(0.5)
        self.assertEqual(late.value(), CONFIRM)
        self.assert_waits()
        self.reactor.advance(race._ACKNOWLEDGED_WITHIN)
        self.assertEqual(late.closing, "abort")
        self.assert_relayed()

    def test_lost(self) -> None:
        self.direct.lose(ConnectionLost())
        self.assert_waits()
        self.reactor.advance(2)
        self.assert_relayed()

    def test_only_one_at_a_time(self) -> None:
        other = self.reactor.connected(2)
        other.deliver(HELLO)
        self.assertEqual(other.value(), b"")
        self.acknowledge()
        self.assertEqual(other.value(), b"")
        self.assertEqual(other.closing, "abort")
        other.lose(ConnectionLost())
        self.assert_direct()

    def test_next_one(self) -> None:
        other = self.reactor.connected(2)
        other.deliver(HELLO)
        self.direct.lose(ConnectionLost())
        self.assertEqual(other.value(), CONFIRM)
        connection = self.successResultOf(self.attempt)
        self.assertEqual(connection.peer_address, parse_address(LAN))

    def test_cancelled(self) -> None:
        """Nobody else is chosen on the way out."""
        other = self.reactor.connected(2)
        other.deliver(HELLO)
        self.attempt.cancel()
        self.assertEqual(other.value(), b"")
        self.assert_done(self.server, self.direct, other)
        self.failureResultOf(self.attempt, CancelledError)

    def test_system_does_not_tell(self) -> None:
        """Nothing can be seen, so nothing is waited for."""
        self.acknowledged = None
        self.reactor.advance(SHORT)
        self.assertEqual(self.server.closing, "close")
        self.server.lose()
        self.assert_direct()

    def test_not_suspect(self) -> None:
        """From another port; or our own dial, a new one of which both NATs have seen all."""
        for port in (41000, 50000):
            self.setUp()
            other = self.arrive(port=port) if port == 50000 else None
            self.direct.lose(ConnectionLost())
            self.reactor.advance(SHORT)
            (other or self.reactor.connected(-1)).deliver(HELLO)
            self.assertEqual(self.successResultOf(self.attempt).peer_address.port, port)


class DetourTests(ContestTestCase):
    """Both peers are behind one NAT, and within one LAN perhaps."""

    def meet(self, observed: str) -> tuple[ByteTransport, ByteTransport]:
        """The connections by way of the NAT, where HELLO has come, and within the LAN."""
        self.setUp()
        self.begin(LAN, PEER, observed=observed)
        within, round_it = self.reactor.connected(1), self.reactor.connected(2)
        round_it.deliver(HELLO)
        return round_it, within

    def test_way_within_the_lan(self) -> None:
        """It is waited for, also when the other one is lost meanwhile."""
        for lost in (False, True):
            round_it, within = self.meet("203.0.113.9:40000")
            self.reactor.advance(0.001)
            self.assertEqual(round_it.value(), b"")
            if lost:
                round_it.lose(ConnectionLost())
            within.deliver(HELLO)
            self.assertEqual((round_it.value(), within.value()), (b"", CONFIRM))

    def test_there_is_none(self) -> None:
        """So it is used a moment later, or at once, at another site."""
        for observed, later in (("203.0.113.9:40000", SHORT), ("198.51.100.1:40000", 0)):
            round_it, within = self.meet(observed)
            self.reactor.advance(later)
            self.assertEqual((round_it.value(), within.value()), (CONFIRM, b""))

    def test_within_the_lan_at_once(self) -> None:
        self.begin(LAN, PEER, observed="203.0.113.9:40000")
        within = self.reactor.connected(1)
        within.deliver(HELLO)
        self.assertEqual(within.value(), CONFIRM)


class AcceptorTests(AttemptTestCase):
    """An acceptor immediately takes what the dialer has chosen."""

    def test_nothing_is_suspect_or_a_detour(self) -> None:
        self.patch(candidate, "bytes_acknowledged", lambda transport: 0)
        for host, port in (("203.0.113.9", 41000), ("203.0.113.9", 50000)):
            self.setUp()
            self.accept(witness=False)
            extra = "Rdv-Observed-Addr: 203.0.113.9:40000\r\n"
            self.server.deliver(answer(LAN, PEER, extra=extra))
            self.reactor.failed(REFUSED, 2)
            self.arrive(host, port).deliver(CONFIRM)
            self.successResultOf(self.attempt)
