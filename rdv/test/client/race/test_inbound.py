"""
Connections that others open to the shared port.
"""

from __future__ import annotations

import weakref
from ipaddress import ip_address

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv.addresses import AddressSpace
from rdv.client.candidates.candidate import Candidate
from rdv.client.race.inbound import IP, Inbound
from rdv.test.client.doubles import ByteTransport, context
from rdv.test.doubles import collect_garbage
from rdv.wire import Role

HELLO = b"rdv/1 HELLO token\r\n"
CONFIRM = b"rdv/1 CONFIRM token\r\n"
PEER = "192.0.2.1"
STRANGER = "198.51.100.7"


class InboundTestCase(SynchronousTestCase):
    """An acceptor's inbound connections."""

    def setUp(self) -> None:
        self.inbound = Inbound(context(Clock(), Role.ACCEPTOR))
        self.contending: list[Candidate] = []
        self.cancelled = 0

    def begin(self, *known: str, others: bool = True) -> None:
        """The server has answered; the peer may come from others than these addresses."""
        ips: set[IP] = {ip_address(ip) for ip in known}

        def dropped(failure: Failure) -> Failure:
            self.cancelled += failure.check(CancelledError) is not None
            return failure

        def contending(candidate: Candidate) -> Deferred[Candidate]:
            self.contending.append(candidate)
            return candidate.shaken().addErrback(dropped)

        self.inbound.begin(ips, contending, lambda ip: others)

    def arrive(self, host: str, port: int = 50000) -> ByteTransport:
        """Somebody connects, and is let in."""
        kind = IPv6Address if ":" in host else IPv4Address
        peer = kind("TCP", host, port)
        candidate = self.inbound.buildProtocol(peer)
        assert candidate is not None
        transport = ByteTransport(candidate, peer)
        transport.connect()
        return transport


class SpacesTests(SynchronousTestCase):
    """From where connections are accepted."""

    def accepts(self, spaces: AddressSpace, peer: IAddress | None) -> bool:
        """Whether a connection from ``peer`` is accepted."""
        inbound = Inbound(context(Clock(), spaces=spaces))
        return inbound.buildProtocol(peer) is not None

    def test_only_the_spaces_given(self) -> None:
        members = {
            AddressSpace.PUBLIC4: IPv4Address("TCP", "192.0.2.1", 1),
            AddressSpace.PRIVATE4: IPv4Address("TCP", "10.0.0.1", 1),
            AddressSpace.LOOPBACK: IPv4Address("TCP", "127.0.0.1", 1),
            AddressSpace.PUBLIC6: IPv6Address("TCP", "2001:db8::1", 1),
            AddressSpace.LINK6: IPv6Address("TCP", "fe80::1%eth0", 1),
        }
        for space in members:
            for other, peer in members.items():
                self.assertIs(self.accepts(space, peer), space is other, (space, peer))

    def test_mapped(self) -> None:
        peer = IPv6Address("TCP", "::ffff:10.0.0.1", 1)
        self.assertTrue(self.accepts(AddressSpace.PRIVATE4, peer))
        self.assertFalse(self.accepts(AddressSpace.PUBLIC6, peer))

    def test_nobody(self) -> None:
        """Without spaces, or from what is neither IPv4 nor IPv6."""
        for peer in (IPv4Address("TCP", "192.0.2.1", 1), IPv6Address("TCP", "::1", 1)):
            self.assertFalse(self.accepts(AddressSpace.NONE, peer))
        for other in (UNIXAddress("/socket"), None):
            self.assertFalse(self.accepts(AddressSpace.ALL, other))


class HeldTests(InboundTestCase):
    """Before and after the server has answered."""

    def test_before_the_answer(self) -> None:
        """Silence; then all begin, and those who come at once."""
        early = [self.arrive(PEER), self.arrive(STRANGER)]
        self.assertEqual([each.value() for each in early], [b"", b""])
        self.assertEqual(self.contending, [])
        self.begin(PEER)
        late = [self.arrive(PEER), self.arrive(STRANGER)]
        self.assertEqual([each.value() for each in early + late], [HELLO] * 4)
        self.assertEqual(len(self.contending), 4)

    def test_gone_before(self) -> None:
        transport = self.arrive(PEER)
        transport.lose(ConnectionLost())
        self.begin(PEER)
        self.assertEqual(self.contending, [])


class StrangersTests(InboundTestCase):
    """Addresses that the server did not name."""

    def test_oldest_makes_room(self) -> None:
        """Before the answer and behind it."""
        for begun in (True, False):
            self.setUp()
            if begun:
                self.begin(PEER)
            strangers = [self.arrive(STRANGER, 50000 + n) for n in range(16)]
            self.assertEqual({stranger.closing for stranger in strangers}, {""})
            more = [self.arrive(STRANGER, 51000 + n) for n in range(2)]
            closing = [stranger.closing for stranger in strangers + more]
            self.assertEqual(closing, ["abort", "abort", *[""] * 16])

    def test_room_of_one_that_has_left(self) -> None:
        self.begin(PEER)
        strangers = [self.arrive(STRANGER, 50000 + n) for n in range(16)]
        strangers[5].lose(ConnectionLost())
        self.arrive(STRANGER, 51000)
        self.assertEqual({stranger.closing for stranger in strangers}, {""})

    def test_peer_is_exempt(self) -> None:
        """Whenever it came, and however its address is written; it has as much room itself."""
        ours = [self.arrive(PEER)]
        self.begin(PEER, "192.0.2.2")
        ours += [self.arrive("::ffff:" + PEER, 50000 + n) for n in range(15)]
        for host in (STRANGER, "192.0.2.2"):
            others = [self.arrive(host, 50000 + n) for n in range(20)]
            self.assertEqual([each.closing for each in others], ["abort"] * 4 + [""] * 16)
        self.assertEqual({transport.closing for transport in ours}, {""})
        self.arrive(PEER, 51000)
        self.assertEqual([each.closing for each in ours], ["abort"] + [""] * 15)

    def test_cannot_be_the_peer(self) -> None:
        """It hears nothing, whenever it came."""
        strangers = [self.arrive(STRANGER)]
        self.begin(PEER, others=False)
        strangers.append(self.arrive(STRANGER))
        peer = self.arrive(PEER)
        self.assertEqual([each.value() for each in [*strangers, peer]], [b"", b"", HELLO])
        strangers[0].deliver(CONFIRM)
        self.assertEqual([each.closing for each in strangers], ["abort", ""])
        self.assertNoResult(self.inbound.first)
        peer.deliver(CONFIRM)
        self.assertIs(self.successResultOf(self.inbound.first), self.contending[0])

    def test_stranger_may_be_the_peer(self) -> None:
        self.begin(PEER)
        self.arrive(STRANGER).deliver(CONFIRM)
        self.assertIs(self.successResultOf(self.inbound.first), self.contending[0])

    def test_nothing_is_kept_of_one_that_has_left(self) -> None:
        self.begin()
        transport = self.arrive(STRANGER)
        candidate = weakref.ref(self.contending.pop())
        transport.lose(ConnectionLost())
        del transport
        collect_garbage()
        self.assertIsNone(candidate())


class FirstTests(InboundTestCase):
    """All of them as one contender."""

    def test_ready(self) -> None:
        """Even if the next one is in the same turn; and then nobody is let in any more."""
        self.begin(PEER)
        transports = [self.arrive(PEER, 50000 + n) for n in range(3)]
        self.assertNoResult(self.inbound.first)
        transports[1].deliver(CONFIRM)
        transports[0].deliver(CONFIRM)
        self.assertIs(self.successResultOf(self.inbound.first), self.contending[1])
        self.assertEqual(transports[1].closing, "")
        self.assertIsNone(self.inbound.buildProtocol(IPv4Address("TCP", PEER, 50001)))

    def test_failures_do_not_count(self) -> None:
        self.begin(PEER)
        self.arrive(PEER).deliver(b"GET / HTTP/1.1\r\n")
        self.arrive(STRANGER).lose(ConnectionLost())
        self.assertNoResult(self.inbound.first)
        self.arrive(PEER).deliver(CONFIRM)
        self.successResultOf(self.inbound.first)


class StopTests(InboundTestCase):
    """The end of listening. Connections are closed by the owner of their candidates."""

    def test_stops_the_handshakes(self) -> None:
        """And lets nobody in; as does whoever cancels the wait for the first."""
        for cancel in (False, True):
            self.setUp()
            self.begin(PEER)
            transports = [self.arrive(PEER), self.arrive(STRANGER)]
            if cancel:
                self.inbound.first.cancel()
                self.failureResultOf(self.inbound.first, CancelledError)
            else:
                self.inbound.stop()
            self.assertEqual(self.cancelled, 2)
            for transport in transports:
                transport.deliver(CONFIRM)
            self.assertEqual(self.inbound.first.called, cancel)
            self.assertIsNone(self.inbound.buildProtocol(IPv4Address("TCP", PEER, 50001)))

    def test_keeps_the_first(self) -> None:
        self.begin(PEER)
        self.arrive(PEER)
        self.arrive(STRANGER).deliver(CONFIRM)
        self.inbound.stop()
        self.assertIs(self.successResultOf(self.inbound.first), self.contending[1])
