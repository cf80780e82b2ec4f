"""A rendezvous at a plain port, behind a PROXY header, in TLS, and in both."""

from __future__ import annotations

import gc
import weakref

from twisted.internet.ssl import TLSVersion
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource

from rdv._transport.tls import HalfCloseTLS
from rdv.server import Outcome, RendezvousResource
from rdv.server.leg import Leg
from rdv.test.doubles import CLIENT, HalfCloseRecorder, ends, present
from rdv.test.server.doubles import CONFIRM, HELLO, WebTestCase, request
from rdv.test.transport.doubles import PROXY_HEADER, TLSPeer, proxied, with_tls
from rdv.wire import refusal

EARLY = refusal(400, "bytes before the response")


class Visitor:
    """A client that passes whatever is in front of the site."""

    def __init__(self, case: ProxiedTests) -> None:
        self._clock = case.clock
        self._tls = TLSPeer(is_client=True) if case.tls else None
        self._plain = self._tls or HalfCloseRecorder()
        self.at_server, self.here = ends(self._clock)
        self.at_server.protocol = present(case.factory.buildProtocol(CLIENT))
        self.at_server.protocol.makeConnection(self.at_server)
        self.here.protocol = self._plain
        if case.proxy:
            self.here.write(PROXY_HEADER)
        self._plain.makeConnection(self.here)
        self._clock.advance(0)
        self._taken = 0

    def send(self, data: bytes) -> None:
        """In one segment."""
        self.here.write(self._tls.sealed(data) if self._tls else data)
        self._clock.advance(0)

    def end(self) -> None:
        """End this direction, and no other."""
        if self._tls:
            self.here.write(self._tls.sealed_end())
        else:
            self.here.loseWriteConnection()
        self._clock.advance(0)

    @property
    def ended(self) -> bool:
        """Whether the other direction has ended properly."""
        return self._tls.notified if self._tls else self._plain.read_ended == 1

    @property
    def broken(self) -> bool:
        """Whether the connection is gone, and not as it should."""
        return self._plain.lost is not None and not self._plain.lost_cleanly and not self.ended

    def take(self) -> bytes:
        """What has come since the last time."""
        received = self._tls.plain if self._tls else self._plain.received
        new, self._taken = received[self._taken :], len(received)
        return new


class ProxiedTests(WebTestCase):
    """Behind ``haproxy:``."""

    proxy = True
    tls: TLSVersion | None = None
    observed = b"192.0.2.7:7777"

    def mount(self, resource: Resource) -> None:
        super().mount(resource)
        factory = self.factory
        if self.tls is not None:
            factory = with_tls(factory, self.clock, False, self.tls)
        self.factory = proxied(factory) if self.proxy else factory

    def visit(self, data: bytes) -> Visitor:
        """Come and send that."""
        visitor = Visitor(self)
        visitor.send(data)
        return visitor

    def assert_idle(self) -> None:
        """Nobody is left, and no timer."""
        self.assertEqual((self.rendezvous.waiting, self.rendezvous.pairs), (0, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def pair(self) -> tuple[Visitor, Visitor]:
        """Two who have got their 101."""
        dialer, acceptor = self.visit(request()), self.visit(request(b"ACCEPT"))
        for visitor in (dialer, acceptor):
            self.assertEqual(
                visitor.take(),
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rdv/1\r\n"
                b"Rdv-Observed-Addr: %s\r\n"
                b"Rdv-Peer-Addrs: 192.168.1.16:39841, [2001:db8::7]:39841, %s\r\n\r\n"
                % (self.observed, self.observed),
            )
        return dialer, acceptor

    def relayed_pair(self) -> tuple[Visitor, Visitor]:
        """The same, after the lines."""
        dialer, acceptor = self.pair()
        acceptor.send(HELLO)
        dialer.send(CONFIRM)
        self.assertEqual((dialer.take(), acceptor.take()), (HELLO, CONFIRM))
        return dialer, acceptor

    def test_both_ways(self) -> None:
        dialer, acceptor = self.relayed_pair()
        data = bytes(range(256)) * 1000
        dialer.send(data)
        acceptor.send(data[::-1])
        self.assertEqual(acceptor.take(), data)
        self.assertEqual(dialer.take(), data[::-1])

    def test_back_pressure(self) -> None:
        """A client that does not read stops its partner; the server holds little meanwhile."""
        one, two = self.relayed_pair(), self.relayed_pair()
        for sender, receiver in (one, two[::-1]):
            receiver.here.pauseProducing()
            sent = 0
            while not sender.at_server.paused:
                sender.send(b"x" * 4096)
                sent += 4096
                self.assertLess(sent, 1 << 18)
            receiver.here.resumeProducing()
            self.clock.advance(0)
            self.assertFalse(sender.at_server.paused)
            self.assertEqual(len(receiver.take()), sent)

    def test_half_close_each_way(self) -> None:
        one, two = self.relayed_pair(), self.relayed_pair()
        for first, second in (one, two[::-1]):
            first.send(b"question")
            first.end()
            self.assertEqual((second.take(), second.ended), (b"question", True))
            self.assertFalse(first.ended)
            second.send(b"answer")
            second.end()
            self.assertEqual((first.take(), first.ended), (b"answer", True))
        self.assertEqual(self.rendezvous.outcomes[Outcome.RELAYED], 2)
        self.assert_idle()

    def test_break_is_passed_on(self) -> None:
        one, two = self.relayed_pair(), self.relayed_pair()
        for broken, other in (one, two[::-1]):
            broken.here.abortConnection()
            self.clock.advance(0)
            self.assertTrue(other.broken)
        self.assert_idle()

    def test_direct(self) -> None:
        """One that closes properly without a line has found another way."""
        dialer, acceptor = self.pair()
        acceptor.send(HELLO + b"early")
        dialer.end()
        self.assertTrue(acceptor.ended)
        self.assertEqual(self.rendezvous.outcomes[Outcome.DIRECT], 1)

    def test_leaving(self) -> None:
        """Noticed in the lobby, in whatever way."""
        for how in ("end", "loseConnection", "abortConnection"):
            visitor = self.visit(request())
            self.assertEqual(self.rendezvous.waiting, 1)
            getattr(visitor if how == "end" else visitor.here, how)()
            self.clock.advance(0)
            self.assertEqual(self.rendezvous.waiting, 0)
            self.assertFalse(visitor.at_server.connected)
        self.assert_idle()

    def test_answer_before_it(self) -> None:
        """What HTTP has still to send, when requests come one behind the other, goes first."""
        self.visit(request(b"ACCEPT"))
        visitor = self.visit(request(b"GET", path=b"/") + request())
        received = visitor.take()
        self.assertTrue(received.startswith(b"HTTP/1.1 404 "), received)
        self.assertIn(b"HTTP/1.1 101 ", received)

    def test_http_becomes_garbage(self) -> None:
        """Neither request nor channel is kept by anything while the client waits."""
        refs: list[weakref.ref[object]] = []

        class Watched(RendezvousResource):
            def render(self, request: IRequest) -> int | bytes:
                channel = request.channel  # type: ignore[attr-defined]
                refs.extend([weakref.ref(request), weakref.ref(channel)])
                return super().render(request)

        self.mount(Watched(self.rendezvous))
        visitor = self.visit(request())
        self.assertEqual(self.rendezvous.waiting, 1)
        gc.collect()
        self.assertEqual([ref() for ref in refs], [None, None])
        self.assertTrue(visitor.at_server.connected)


class PlainTests(ProxiedTests):
    """With nothing in front of the site."""

    proxy = False
    observed = b"203.0.113.9:39841"


class TLSTests(PlainTests):
    """In TLS 1.3."""

    tls = TLSVersion.TLSv1_3

    def test_who_is_above(self) -> None:
        """The leg has the transport with half-close."""
        visitor = self.visit(request())
        below = visitor.at_server.protocol
        assert isinstance(below, HalfCloseTLS)
        self.assertIsInstance(below.protocol, Leg)

    def test_truncation_is_passed_on(self) -> None:
        """A TCP end without an end of TLS, however polite, is a break."""
        one, two = self.relayed_pair(), self.relayed_pair()
        for broken, other in (one, two[::-1]):
            broken.send(b"half a stor")
            broken.here.loseConnection()
            self.clock.advance(0)
            self.assertEqual(other.take(), b"half a stor")
            self.assertTrue(other.broken)


class TLS12Tests(TLSTests):
    """In TLS 1.2."""

    tls = TLSVersion.TLSv1_2


class ProxiedTLSTests(ProxiedTests):
    """In TLS, with the PROXY header in front of that."""

    tls = TLSVersion.TLSv1_3
