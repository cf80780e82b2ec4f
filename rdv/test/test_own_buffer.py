"""
A server that is killed after both clients have ended, while its own buffer has data for one of
them: that client must not take what it has received for everything.
"""

from __future__ import annotations

from rdv._flows import joint
from rdv._transport.interfaces import StreamTransport
from rdv.test.doubles import HalfCloseRecorder, MemoryTransport
from rdv.test.server.doubles import HELLO, Guest, ServerTestCase


class OwnBufferTestCase(ServerTestCase):
    """
    Nothing is read at the client's end until the test says so.

    :ivar resets: which of the server's transports are reset if it is killed.
    """

    def setUp(self) -> None:
        super().setUp()
        self.resets: set[StreamTransport] = set()
        self.patch(joint, "linger", self.linger)

    def linger(self, transport: StreamTransport, reset_on_close: bool) -> None:
        """What happens when it is closed."""
        (self.resets.add if reset_on_close else self.resets.discard)(transport)

    def assert_whole(self, client: HalfCloseRecorder, here: MemoryTransport) -> None:
        """It gets everything and the end; whoever kills the server before that breaks it."""
        at_server = here.other
        self.assertEqual((client.received, at_server.buffered), (b"", 4))
        self.assertIn(at_server, self.resets)
        self.assertTrue(at_server.connected)
        here.resumeProducing()
        self.settle()
        self.assertEqual((client.received, client.read_ended), (b"tail", 1))
        self.assertNotIn(at_server, self.resets)
        self.assertFalse(at_server.connected)


class RelayTests(OwnBufferTestCase):
    """Two clients of one process."""

    def finish(self, first: Guest, second: Guest) -> None:
        """Both end, and ``second`` is about to get something."""
        second.here.loseWriteConnection()
        self.settle()
        second.here.pauseProducing()
        first.here.write(b"tail")
        first.here.loseWriteConnection()
        self.settle()
        self.assertEqual(first.read_ended, 1)
        self.assert_whole(second, second.here)
        self.close_all(first, second)
        self.assert_over(relayed=1)

    def test_to_the_acceptor(self) -> None:
        dialer, acceptor = self.relayed_pair()
        self.finish(dialer, acceptor)

    def test_to_the_dialer(self) -> None:
        dialer, acceptor = self.relayed_pair()
        self.finish(acceptor, dialer)

    def test_direct_path(self) -> None:
        """A dialer that has heard HELLO is closed in good order."""
        dialer, acceptor = self.pair()
        acceptor.here.write(HELLO)
        self.settle()
        self.assertEqual(self.resets, {dialer.at_server})
        self.close_all(dialer)
        self.assertEqual(self.resets, set())

    def test_reset_instead(self) -> None:
        """The other one is not kept for it."""
        dialer, acceptor = self.relayed_pair()
        acceptor.here.loseWriteConnection()
        dialer.here.pauseProducing()
        acceptor.here.write(b"tail")
        self.settle()
        acceptor.here.abortConnection()
        self.settle()
        self.assertIsNotNone(acceptor.lost)
        self.close_all(dialer)
        self.assert_over(relayed=1)
