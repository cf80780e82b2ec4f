"""TLS with half-close as a transport: closing, back-pressure, errors, and what it passes on."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from OpenSSL._util import ffi, lib
from OpenSSL.crypto import X509
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IProtocol, IPushProducer, ISSLTransport
from zope.interface.verify import verifyObject

from rdv._transport.handover import receive_from
from rdv._transport.interfaces import StreamTransport
from rdv._transport.tls import HalfCloseTLS
from rdv.test.doubles import CLIENT, SERVER, HalfCloseRecorder, Recorder, connect, present
from rdv.test.transport.doubles import key_and_certificate
from rdv.test.transport.test_tls import VERSIONS, TLSTestCase


class TransportTests(TLSTestCase):
    """What a protocol may ask of any transport."""

    def test_interfaces(self) -> None:
        tls = self.change_hands()
        self.assertTrue(verifyObject(IProtocol, tls))
        self.assertTrue(verifyObject(ISSLTransport, tls))
        self.assertTrue(verifyObject(IConsumer, tls))
        self.assertTrue(verifyObject(IPushProducer, tls))
        stream: StreamTransport = tls
        self.assertEqual((stream.getHost(), stream.getPeer()), (SERVER, CLIENT))

    def test_below(self) -> None:
        """TCP's options are those of the connection below, which keeps no producer of ours."""
        tls = self.change_hands()
        asked: list[object] = []
        for name in ("NoDelay", "KeepAlive"):
            setattr(self.below, f"setTcp{name}", asked.append)
            setattr(self.below, f"getTcp{name}", lambda: True)
        tls.setTcpNoDelay(True)
        tls.setTcpKeepAlive(False)
        self.assertEqual(asked, [True, False])
        self.assertTrue(tls.getTcpNoDelay() and tls.getTcpKeepAlive())
        self.assertIsInstance(tls.getHandle(), SSL.Connection)
        self.assertIsNone(self.below.producer)

    def test_pausing(self) -> None:
        tls = self.change_hands()
        tls.pauseProducing()
        self.deliver(self.peer.sealed(b"later"))
        self.assertEqual(self.ours.received, b"")
        tls.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(self.ours.received, b"later")

    def test_back_pressure(self) -> None:
        """A registered producer is paused while the peer does not read."""
        tls = self.change_hands()
        producer = connect(self.clock, HalfCloseRecorder(), HalfCloseRecorder())[0]
        tls.registerProducer(producer, True)
        self.at_peer.pauseProducing()
        sent = 0
        while not producer.paused:
            tls.write(b"x" * 4096)
            sent += 4096
            self.assertLess(sent, 1 << 20)
        self.at_peer.resumeProducing()
        self.clock.advance(0)
        self.assertFalse(producer.paused)
        self.assertEqual(len(self.peer.plain), sent)

    def test_half_close_with_a_producer(self) -> None:
        """Our end comes when the producer is done, as with TCP."""
        tls = self.change_hands()
        tls.registerProducer(connect(self.clock, Recorder(), Recorder())[0], True)
        tls.loseWriteConnection()
        tls.write(b"last")
        self.clock.advance(0)
        self.assertEqual((self.peer.plain, self.peer.notified), (b"last", False))
        tls.unregisterProducer()
        self.clock.advance(0)
        self.assertTrue(self.peer.notified)
        assert isinstance(self.ours, HalfCloseRecorder)
        self.assertEqual(self.ours.write_ended, 1)


class ClientTransportTests(TLSTestCase):
    """What only a client can see."""

    is_client = True

    def test_peer_certificate(self) -> None:
        seen = self.change_hands().getPeerCertificate()
        assert isinstance(seen, X509)
        self.assertEqual(seen.to_cryptography(), key_and_certificate()[1])


class MemoryTests(TLSTestCase):
    """Data that nothing reads any more is dropped: OpenSSL would keep all of it."""

    def flood(self) -> int:
        """
        Let a megabyte of something come.

        :return: how much of it OpenSSL keeps.
        """
        piece = b"\0" * (1 << 14)
        for _ in range(64):
            self.tls.dataReceived(piece)
        tls: Any = self.tls.getHandle()  # which does not tell, but can be read out
        room = ffi.new("char[]", 1 << 20)
        kept: int = lib.BIO_read(tls._into_ssl, room, 1 << 20)
        return max(0, kept)

    def test_behind_the_peers_end(self) -> None:
        for version in VERSIONS:
            self.version = version
            self.setUp()
            self.change_hands()
            self.deliver(self.peer.sealed(b"last") + self.peer.sealed_end())
            self.assertEqual(self.flood(), 0)
            self.tls.write(b"still here")
            self.clock.advance(0)
            self.assertEqual(self.peer.plain, b"still here")
            self.assertIsNone(self.ours.lost)

    def test_behind_our_close(self) -> None:
        """Which waits for a producer; behind an abort, and a loss."""

        def close() -> None:
            self.tls.registerProducer(connect(self.clock, Recorder(), Recorder())[0], True)
            self.tls.loseConnection()

        for end in (
            close,
            lambda: self.tls.abortConnection(),
            lambda: self.at_peer.abortConnection(),
        ):
            self.setUp()
            self.change_hands()
            end()
            self.clock.advance(0)
            self.assertEqual(self.flood(), 0)


class ClosingTests(TLSTestCase):
    """How connections end."""

    def assert_closed_in_peace(self) -> None:
        """Both sides have been told that this was the end."""
        self.assertTrue(self.ours.lost_cleanly)
        self.assertTrue(self.peer.notified)
        self.assertEqual(self.peer.read_ended, 1)

    def test_close(self) -> None:
        """Behind what was written, without waiting for the peer."""
        tls = self.change_hands()
        self.at_peer.pauseProducing()
        tls.write(b"last words")
        tls.loseConnection()
        self.clock.advance(0)
        self.assertIsNone(self.ours.lost)
        self.at_peer.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(self.peer.plain, b"last words")
        self.assert_closed_in_peace()

    def test_close_behind_half_a_close(self) -> None:
        """Or as a producer is told to stop."""
        for names in (("loseWriteConnection", "loseConnection"), ("stopProducing",)):
            self.setUp()
            tls = self.change_hands()
            for name in (*names, names[-1]):
                getattr(tls, name)()
            self.clock.advance(0)
            self.assert_closed_in_peace()

    def test_close_waits_for_the_producer(self) -> None:
        tls = self.change_hands()
        tls.registerProducer(connect(self.clock, Recorder(), Recorder())[0], True)
        tls.loseConnection()
        tls.write(b"produced")
        self.clock.advance(0)
        self.assertIsNone(self.ours.lost)
        self.assertFalse(self.peer.notified)
        tls.unregisterProducer()
        self.clock.advance(0)
        self.assertEqual(self.peer.plain, b"produced")
        self.assert_closed_in_peace()

    def test_without_half_close(self) -> None:
        """To a protocol that knows no half-close, the peer's end is the end."""
        self.ours = Recorder()
        self.connect()
        self.change_hands()
        self.deliver(self.peer.sealed(b"all") + self.peer.sealed_end())
        self.assertEqual(self.ours.received, b"all")
        self.assert_closed_in_peace()

    def test_abort(self) -> None:
        """At once and without a word: the peer sees a broken stream."""
        tls = self.change_hands()
        tls.write(b"dropped")
        tls.abortConnection()
        tls.write(b"dropped too")
        tls.loseConnection()
        self.clock.advance(0)
        self.assertFalse(present(self.ours.lost).check(ConnectionDone))
        present(self.peer.lost).trap(ConnectionLost)
        self.assertEqual((self.peer.plain, self.peer.notified), (b"", False))

    def test_nothing_comes_after_an_abort(self) -> None:
        """Not even what was already received when the protocol aborted."""

        class Aborting(HalfCloseRecorder):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                assert isinstance(self.transport, HalfCloseTLS)
                self.transport.abortConnection()

        self.ours = Aborting()
        self.connect()
        self.change_hands()
        self.deliver(self.peer.sealed(b"one") + self.peer.sealed(b"two"))
        self.assertEqual(self.ours.pieces, [b"one"])

    def test_forged_bytes(self) -> None:
        """They break the connection, and are no end."""
        self.change_hands()
        self.deliver(self.peer.sealed(b"good"))
        forged = bytearray(self.peer.sealed(b"evil"))
        forged[-1] ^= 1
        self.deliver(bytes(forged))
        self.assertEqual(self.ours.received, b"good")
        self.assertFalse(present(self.ours.lost).check(ConnectionDone))
        present(self.peer.lost).trap(ConnectionLost)

    def test_use_after_the_end(self) -> None:
        """A protocol that has not noticed yet gets no exception."""
        tls = self.change_hands()
        self.at_peer.abortConnection()
        self.clock.advance(0)
        for call in (
            lambda: tls.write(b"x"),
            tls.loseWriteConnection,
            tls.loseConnection,
            tls.abortConnection,
            tls.unregisterProducer,
        ):
            call()
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class RenegotiatingConnection:
    """An OpenSSL connection that wants to read before it sends, as TLS 1.2 might in mid-stream."""

    def __init__(self, tls: SSL.Connection) -> None:
        self._tls = tls

    def send(self, data: bytes) -> int:
        raise SSL.WantReadError

    def __getattr__(self, name: str) -> object:
        return getattr(self._tls, name)


class RenegotiationTests(TLSTestCase):
    """
    Renegotiation is not supported: it breaks the connection, which is better than losing data
    silently.
    """

    def test_broken_off(self) -> None:
        connection = RenegotiatingConnection(self.change_hands().getHandle())
        tls = HalfCloseTLS(connection, self.ours)  # type: ignore[arg-type]
        receive_from(self.below, tls)
        tls.makeConnection(self.below)
        tls.write(b"lost")
        tls.write(b"more")
        self.clock.advance(0)
        self.assertFalse(present(self.ours.lost).check(ConnectionDone))
        present(self.peer.lost).trap(ConnectionLost)
        self.assertFalse(self.peer.notified)
