"""
Streams that are encrypted from end to end, through a server in memory.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from rdv import Secret
from rdv.addresses import AddressSpace
from rdv.client import Connection
from rdv.errors import BadSecret, BadToken, NotProven
from rdv.test.doubles import HalfCloseRecorder, present
from rdv.testing import MemoryRendezvous

SECRET = Secret(bytes(range(16)))
RELAY = {"spaces": AddressSpace.NONE}
LARGE = bytes(range(256)) * 2048


class SecureClientTestCase(SynchronousTestCase):
    """A server, and clients that ask it."""

    def setUp(self) -> None:
        self.rendezvous = MemoryRendezvous()
        self.addCleanup(self.rendezvous.assert_nothing_left)

    def dial(self, token: object = SECRET, **options: Any) -> Deferred[Connection]:
        """Dial from a host of its own."""
        client: Any = self.rendezvous.client(**options)
        dialling: Deferred[Connection] = client.dial(self.rendezvous.url, token)
        return dialling

    def accept(self, token: object = SECRET, **options: Any) -> Deferred[Connection]:
        """Accept on a host of its own."""
        client: Any = self.rendezvous.client(**options)
        accepting: Deferred[Connection] = client.accept(self.rendezvous.url, token)
        return accepting

    def pair(self, **options: Any) -> list[Connection]:
        """The dialer's connection, and the acceptor's."""
        connecting = [self.dial(**options), self.accept(**options)]
        self.rendezvous.flush()
        return [self.successResultOf(each) for each in connecting]

    def attach(self, connections: list[Connection]) -> list[HalfCloseRecorder]:
        """A protocol for each."""
        recorders = [HalfCloseRecorder() for _ in connections]
        for connection, recorder in zip(connections, recorders, strict=True):
            connection.attach(recorder)
        return recorders


class StreamTests(SecureClientTestCase):
    """Both peers have the secret."""

    def test_both_paths(self) -> None:
        """Bytes both ways, half-close, and a clean end; the server sees none of it."""
        for options in ({}, RELAY):
            self.setUp()
            dialer, acceptor = self.pair(**options)
            self.assertEqual([dialer.is_relay, acceptor.is_relay], [bool(options)] * 2)
            self.assertTrue(dialer.is_secure and acceptor.is_secure)
            ours, theirs = self.attach([dialer, acceptor])
            dialer.write(LARGE)
            dialer.loseWriteConnection()
            self.rendezvous.flush()
            self.assertTrue(theirs.received == LARGE)
            self.assertEqual(theirs.read_ended, 1)
            acceptor.write(b"answer")
            acceptor.loseConnection()
            self.rendezvous.flush()
            self.assertEqual(ours.received, b"answer")
            self.assertTrue(ours.lost_cleanly and theirs.lost_cleanly)

    def test_text(self) -> None:
        """A secret can be given as what it was written down as."""
        connecting = [self.dial(SECRET.reveal().upper()), self.accept(SECRET.reveal().encode())]
        self.rendezvous.flush()
        for each in connecting:
            connection = self.successResultOf(each)
            self.assertTrue(connection.is_secure)
            connection.abortConnection()
        self.rendezvous.flush()

    def test_exporter(self) -> None:
        """Both get the same, for this connection only, once the dialer knows its peer."""
        exported = []
        for _ in range(2):
            connections = self.pair()
            recorders = self.attach(connections)
            connections[1].write(b"x")
            self.rendezvous.flush()
            exported += [each.exporter("test", 20) for each in connections]
            exported.append(connections[0].exporter("other", 20))
            for each in connections:
                each.abortConnection()
            self.rendezvous.flush()
            self.assertIsNotNone(recorders[0].lost)
        one, same, other, another = exported[:4]
        self.assertEqual((one, len(one)), (same, 20))
        self.assertEqual(len({one, other, another}), 3)

    def test_exporter_of_a_plain_stream(self) -> None:
        """There is none."""
        connections = self.rendezvous.pair()
        self.assertFalse(connections[0].is_secure)
        self.assertRaises(RuntimeError, connections[0].exporter, "test", 20)
        for each in connections:
            each.abortConnection()
        self.rendezvous.flush()

    def test_broken(self) -> None:
        """A peer that is gone has not ended."""
        for options in ({}, RELAY):
            self.setUp()
            connections = self.pair(**options)
            ours, theirs = self.attach(connections)
            connections[0].write(b"part")
            self.rendezvous.flush()
            connections[0].abortConnection()
            self.rendezvous.flush()
            self.assertEqual(theirs.received, b"part")
            self.assertFalse(present(theirs.lost).check(ConnectionDone))
            self.assertIsNotNone(ours.lost)

    def test_attached_late(self) -> None:
        """What has come is kept, and the end too, which is confirmed only then."""
        dialer, acceptor = self.pair()
        (ours,) = self.attach([dialer])
        dialer.write(b"early")
        dialer.loseConnection()
        self.rendezvous.advance(60)
        self.assertIsNone(ours.lost)
        (theirs,) = self.attach([acceptor])
        self.rendezvous.flush()
        self.assertEqual((theirs.received, theirs.read_ended), (b"early", 1))
        acceptor.loseConnection()
        self.rendezvous.flush()
        self.assertTrue(ours.lost_cleanly and theirs.lost_cleanly)


class RefusalTests(SecureClientTestCase):
    """The other side does not have the secret."""

    def refused(self, *attempts: Deferred[Connection]) -> None:
        """Nobody is connected."""
        self.rendezvous.advance(0)
        for each in attempts:
            error = self.failureResultOf(each, NotProven)
            self.assertIn("does not know the secret", error.getErrorMessage())

    def test_plain_acceptor(self) -> None:
        """A stranger who has seen the server token shows that it has nothing else."""
        self.accept(SECRET.server_token, **RELAY).addErrback(lambda _: None)
        dialling = self.dial(**RELAY)
        self.rendezvous.advance(5.1)
        self.failureResultOf(dialling, NotProven)

    def test_plain_dialer(self) -> None:
        """It confirms, and gets nothing."""
        connection = self.dial(SECRET.server_token, **RELAY)
        accepting = self.accept(**RELAY)
        self.rendezvous.flush()
        (recorder,) = self.attach([self.successResultOf(connection)])
        recorder.transport.write(bytes(100))  # type: ignore[union-attr]
        self.rendezvous.flush()
        self.failureResultOf(accepting, NotProven)
        # It sees the acceptor's handshake message, which tells it nothing.
        self.assertEqual(len(recorder.received), 72)
        self.assertTrue(present(recorder.lost).check(ConnectionLost, ConnectionDone))


class ArgumentTests(SecureClientTestCase):
    """What is refused before anything is sent."""

    def test_plain_token(self) -> None:
        """``secure`` wants a secret, of a client or of one call."""
        client = self.rendezvous.client(secure=True)
        self.failureResultOf(client.dial(self.rendezvous.url, "plain"), BadToken)
        client = self.rendezvous.client()
        self.failureResultOf(client.accept(self.rendezvous.url, "plain", secure=True), BadToken)

    def test_secure_is_no_switch(self) -> None:
        """There is no way to turn it off for a secret."""
        value: Any = False
        self.assertRaises(ValueError, self.rendezvous.client, secure=value)
        client = self.rendezvous.client()
        self.failureResultOf(client.dial(self.rendezvous.url, SECRET, secure=value), ValueError)

    def test_unreadable(self) -> None:
        """Text that looks like a secret is one, or an error."""
        text = SECRET.reveal()
        for token in (text[:-1], "rdvs1-", "RDVS2-" + text[6:], "rdvs12-x"):
            error = self.failureResultOf(self.dial(token), BadSecret)
            self.assertNotIn(text[8:14], error.getErrorMessage())
