"""
What the relay waits for.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.error import TimeoutError as ConnectTimeoutError

from rdv.addresses import parse_address
from rdv.client.dial import hole_punching
from rdv.client.race.horizon import HANDSHAKE_TIME
from rdv.test.client.doubles import CONFIRM, HELLO, PEER, AttemptTestCase, ByteTransport, answer

LAN = "192.168.7.2:41000"
REFUSED = ConnectError(osError=errno.ECONNREFUSED)
#: Seconds: less than any penalty, more than a patience of milliseconds.
SHORT = 0.1


class ContestTestCase(AttemptTestCase):
    """A dialer with a penalty of two seconds."""

    def begin(self, *peers: str, observed: str = "", **options: object) -> None:
        """The server has answered, and HELLO has come on the relay."""
        self.dial(**options)  # type: ignore[arg-type]
        self.server.clear()
        extra = f"Rdv-Observed-Addr: {observed}\r\n" if observed else ""
        self.server.deliver(answer(*peers, extra=extra) + HELLO)

    def assert_relayed(self) -> None:
        """The relay has won."""
        self.assertEqual(self.server.value(), CONFIRM)
        for transport in self.reactor.transports:
            if transport is not self.server and not transport.gone:
                transport.lose()
        self.assertTrue(self.successResultOf(self.attempt).is_relay)

    def assert_waits(self) -> None:
        """The relay has not won yet."""
        self.assertEqual(self.server.value(), b"")
        self.assertNoResult(self.attempt)


class TokenTests(AttemptTestCase):
    """To which hosts an acceptor sends the token."""

    NAT = "Rdv-Observed-Addr: 203.0.113.9:41000\r\n"
    AT_HOME = "192.168.1.7", "fe80::1", "100.64.0.9"
    OUTSIDE = "198.51.100.77", "2001:db8::77"

    def assert_shown(
        self, answered: bytes, shown: Sequence[str], held: Sequence[str], **options: object
    ) -> None:
        """To some of those who connect, whether before the answer or afterwards."""
        self.accept(**options)  # type: ignore[arg-type]
        early = [self.arrive(host) for host in (*shown, *held)]
        self.server.deliver(answered)
        late = [self.arrive(host, 41001) for host in (*shown, *held)]
        lines = [HELLO] * len(shown) + [b""] * len(held)
        self.assertEqual([each.value() for each in early + late], lines * 2)
        self.assertEqual({each.closing for each in early + late}, {""})
        self.attempt.addErrback(lambda _: None)

    def test_elsewhere(self) -> None:
        """To the addresses that the server named, with any port."""
        peer = answer("192.168.7.2:5", "198.51.100.4:1", extra=self.NAT)
        named = "192.168.7.2", "198.51.100.4", "::ffff:198.51.100.4"
        self.assert_shown(peer, named, self.AT_HOME + self.OUTSIDE)

    def test_same_site(self) -> None:
        """There may be more NATs within it."""
        peer = answer("192.168.7.2:5", "203.0.113.9:1", extra=self.NAT)
        self.assert_shown(peer, ("203.0.113.9", *self.AT_HOME), self.OUTSIDE)

    def test_behind_one_proxy(self) -> None:
        """That both are seen at its address says nothing of where they are."""
        peer = answer("192.168.7.2:5", "203.0.113.9:1", extra=self.NAT)
        held = self.AT_HOME + self.OUTSIDE
        self.assert_shown(peer, ("192.168.7.2",), ("203.0.113.9", *held), proxy="192.0.2.3:3128")

    def test_server_does_not_know(self) -> None:
        """A proxy before it does not say where its clients are: anybody may be the peer."""
        for peer in (answer("192.168.7.2:5"), answer(), answer(extra=self.NAT)):
            self.setUp()
            self.assert_shown(peer, self.AT_HOME + self.OUTSIDE, ())


class ForeignTests(ContestTestCase):
    """What a peer elsewhere can see of the hosts in our network whose addresses it names."""

    def moment(self, happens: Callable[[float], object], *, peer_fails: bool) -> float:
        """Seconds until CONFIRM comes on the relay, when that happens every eighth of a second."""
        self.setUp()
        self.refused = 0
        self.patch(hole_punching, "route_to", lambda ip: ip)
        self.begin(LAN, PEER, observed="198.51.100.1:40000")
        if peer_fails:
            self.reactor.failed(ConnectTimeoutError(), 2)
        for eighth in range(50):
            if self.server.value():
                return eighth / 8
            happens(eighth / 8)
            self.reactor.advance(1 / 8)
        raise AssertionError("it never came")

    def refuses(self, seconds: float) -> None:
        """Each dial is refused."""
        dialled = self.dialled()
        if dialled.count(LAN) > self.refused:
            self.refused = dialled.count(LAN)
            last = max(place for place, address in enumerate(dialled, 1) if address == LAN)
            self.reactor.failed(REFUSED, last)

    def fails(self, seconds: float) -> None:
        """The first dial ends in another way."""
        if not seconds:
            self.reactor.failed(ConnectTimeoutError(), 1)

    def connects(self, seconds: float, at: float, lasts: float) -> None:
        """Somebody there is silent, and closes."""
        if seconds == at:
            self.transport = self.reactor.connected(1)
        elif seconds == at + lasts and not self.transport.gone:
            self.transport.lose(ConnectionLost())

    def test_nothing(self) -> None:
        """Whether a port is open, closed or filtered; at any time."""
        events: tuple[Callable[[float], object], ...] = (
            lambda seconds: None,
            self.refuses,
            self.fails,
            lambda seconds: self.connects(seconds, 0.0, 9.0),
            lambda seconds: self.connects(seconds, 0.75, 9.0),
            lambda seconds: self.connects(seconds, 1.75, 9.0),
            lambda seconds: self.connects(seconds, 0.75, 0.125),
        )
        for peer_fails, expected in ((False, 2.0), (True, 1.0)):
            moments = [self.moment(each, peer_fails=peer_fails) for each in events]
            self.assertEqual(moments, [expected] * len(events))


class NothingCanComeTests(ContestTestCase):
    """The penalty ends early when there is nothing to wait for."""

    def test_all_refuse_for_a_while(self) -> None:
        self.begin(PEER, LAN)
        self.reactor.advance(hole_punching._HOPELESS_AFTER)
        self.reactor.failed(REFUSED, 1)
        self.assert_waits()
        self.reactor.failed(REFUSED, 2)
        self.assert_relayed()

    def test_no_dial_after_the_choice(self) -> None:
        """Though it is the refused dial itself that lets the relay win."""
        self.begin(PEER)
        self.reactor.advance(hole_punching._HOPELESS_AFTER)
        dials = len(self.reactor.tcpClients)
        self.reactor.failed(REFUSED, 1)
        self.assert_relayed()
        self.assertEqual(len(self.reactor.tcpClients), dials)

    def test_not_at_the_first_refusal(self) -> None:
        self.begin(PEER)
        self.reactor.failed(REFUSED, 1)
        self.reactor.advance(SHORT)
        self.assert_waits()

    def test_failures(self) -> None:
        """No route, another failure, or somebody else; before the relay is ready or after."""
        self.patch(hole_punching, "route_to", lambda ip: None)
        for fail in (
            lambda place: self.reactor.failed(ConnectError(osError=errno.ENETUNREACH), place),
            lambda place: self.reactor.failed(ConnectTimeoutError(), place),
            lambda place: self.reactor.connected(place).deliver(b"SSH-2.0\r\n"),
        ):
            for late in (True, False):
                self.setUp()
                self.dial()
                self.answer(PEER, LAN)
                if not late:
                    self.server.deliver(HELLO)
                for place in (1, 2):
                    self.assert_waits()
                    fail(place)
                if late:
                    self.assert_waits()
                    self.server.deliver(HELLO)
                self.assert_relayed()

    def test_silent_address(self) -> None:
        self.begin(PEER, LAN)
        self.reactor.failed(ConnectTimeoutError(), 1)
        self.reactor.advance(1.9)
        self.assert_waits()
        self.reactor.advance(0.1)
        self.assert_relayed()

    def test_peer_may_dial_us(self) -> None:
        """It has named nothing, but was told where we are."""
        for options in (
            {"observed": "198.51.100.1:40000", "self_addresses": lambda port: []},
            {"self_addresses": lambda port: [parse_address("198.51.100.1:40000")]},
        ):
            self.setUp()
            self.begin(**options)
            self.reactor.advance(1.9)
            self.assert_waits()
            self.arrive().deliver(HELLO)
            self.assertEqual(self.reactor.transports[-1].value(), CONFIRM)

    def test_peer_was_told_nothing(self) -> None:
        self.begin(self_addresses=lambda port: [])
        self.assert_relayed()

    def test_rule_that_never_takes_the_relay(self) -> None:
        for ready in (True, False):
            self.setUp()
            self.dial(chooser=lambda each: math.inf if each.is_relay else 0.0)
            self.server.clear()
            self.server.deliver(answer(PEER) + HELLO * ready)
            self.reactor.failed(ConnectTimeoutError(), 1)
            if not ready:
                self.server.deliver(HELLO)
            self.reactor.advance(29)
            self.assert_waits()


class HandshakeTests(ContestTestCase):
    """The relay waits a little longer for a direct connection that is established."""

    def setUp(self) -> None:
        super().setUp()
        self.begin(PEER, LAN)
        self.reactor.advance(2 - SHORT)

    def assert_held(self, direct: ByteTransport) -> None:
        """The relay waits for it, at most as long as that takes."""
        self.reactor.advance(HANDSHAKE_TIME - SHORT)
        self.assert_waits()
        direct.deliver(HELLO)
        self.assertEqual(direct.value(), CONFIRM)

    def test_held(self) -> None:
        """Whoever of the two has dialled."""
        self.assert_held(self.reactor.connected(1))
        self.setUp()
        self.assert_held(self.arrive(port=50000))

    def test_no_longer(self) -> None:
        self.reactor.connected(1)
        self.reactor.advance(HANDSHAKE_TIME - 0.01)
        self.assert_waits()
        self.reactor.advance(0.02)
        self.assert_relayed()

    def test_lost_meanwhile(self) -> None:
        direct = self.reactor.connected(1)
        self.reactor.advance(2 * SHORT)
        self.assert_waits()
        direct.lose(ConnectionLost())
        self.assert_relayed()

    def test_lost_before(self) -> None:
        self.reactor.connected(1).lose(ConnectionLost())
        self.assert_waits()
        self.reactor.advance(SHORT)
        self.assert_relayed()

    def test_stranger(self) -> None:
        """Whoever wants to can connect."""
        self.arrive("198.51.100.77")
        self.reactor.advance(SHORT)
        self.assert_relayed()

    def test_one_that_nothing_else_can_replace(self) -> None:
        """The dials have failed, and the peer's connection is in its handshake."""
        direct = self.arrive(port=50000)
        for place in (1, 2):
            self.reactor.failed(ConnectTimeoutError(), place)
        self.assert_waits()
        direct.deliver(HELLO)
        self.assertEqual(direct.value(), CONFIRM)

    def test_cancelled(self) -> None:
        direct = self.reactor.connected(1)
        self.reactor.advance(2 * SHORT)
        self.attempt.cancel()
        self.assert_done(self.server, direct)
        self.failureResultOf(self.attempt, CancelledError)
