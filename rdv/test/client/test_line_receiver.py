"""A connection as Twisted's own protocols use a transport."""

from __future__ import annotations

from twisted.internet.interfaces import ITCPTransport
from twisted.internet.task import Clock
from twisted.protocols.basic import LineReceiver, NetstringReceiver
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from zope.interface.verify import verifyObject

from rdv.client.candidate import Candidate
from rdv.client.connection import Connection
from rdv.test.doubles import Recorder, connect
from rdv.wire import Role, confirm_line


class Lines(LineReceiver):
    """
    Collects lines, and closes at ``quit``.

    :ivar lines: what it has got.
    """

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def lineReceived(self, line: bytes) -> None:
        self.lines.append(line)
        if line == b"quit":
            assert self.transport is not None
            self.transport.loseConnection()


class ConnectionTestCase(SynchronousTestCase):
    """
    A connection and the peer's end.

    :ivar peer: what the peer gets.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        candidate = Candidate(self.clock, Role.ACCEPTOR, b"token")
        self.peer = Recorder()
        self.far, self.below = connect(self.clock, self.peer, candidate)
        self.send(confirm_line(b"token"))
        self.peer.pieces.clear()
        self.connection = Connection(candidate, None, Headers())

    def send(self, data: bytes) -> None:
        """The peer says something."""
        self.far.write(data)
        self.clock.advance(0)


class ProtocolTests(ConnectionTestCase):
    """Protocols that ask for ``transport.disconnecting``."""

    def test_lines(self) -> None:
        lines = Lines()
        self.connection.attach(lines)
        self.send(b"one\r\ntw")
        self.send(b"o\r\nthree\r\n")
        lines.sendLine(b"answer")
        self.clock.advance(0)
        self.assertEqual(lines.lines, [b"one", b"two", b"three"])
        self.assertEqual(self.peer.received, b"answer\r\n")

    def test_no_line_after_closing(self) -> None:
        """What came in the same segment behind the line at which the protocol has closed."""
        lines = Lines()
        self.connection.attach(lines)
        self.send(b"quit\r\nmore\r\n")
        self.assertEqual(lines.lines, [b"quit"])
        self.assertTrue(self.peer.lost_cleanly)

    def test_lines_while_paused(self) -> None:
        lines = Lines()
        self.connection.attach(lines)
        lines.pauseProducing()
        self.send(b"one\r\n")
        self.assertEqual(lines.lines, [])
        lines.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(lines.lines, [b"one"])

    def test_netstrings(self) -> None:
        strings: list[bytes] = []
        receiver = NetstringReceiver()
        receiver.stringReceived = strings.append  # type: ignore[method-assign]
        self.connection.attach(receiver)
        self.send(b"3:one,3:tw")
        self.send(b"o,nonsense,5:three,")
        self.assertEqual(strings, [b"one", b"two"])
        self.assertIsNotNone(self.peer.lost)

    def test_disconnecting(self) -> None:
        for close in ("loseConnection", "abortConnection", "stopProducing"):
            self.setUp()
            self.assertFalse(self.connection.disconnecting)
            self.connection.loseWriteConnection()
            self.assertFalse(self.connection.disconnecting)
            getattr(self.connection, close)()
            self.assertTrue(self.connection.disconnecting)


class TCPTests(ConnectionTestCase):
    """What a protocol may ask of TCP."""

    def test_interface(self) -> None:
        verifyObject(ITCPTransport, self.connection)

    def test_options(self) -> None:
        for enabled in (True, False):
            self.connection.setTcpNoDelay(enabled)
            self.connection.setTcpKeepAlive(not enabled)
            self.assertIs(self.below.getTcpNoDelay(), enabled)
            self.assertIs(self.below.getTcpKeepAlive(), not enabled)
            self.assertIs(self.connection.getTcpNoDelay(), enabled)
            self.assertIs(self.connection.getTcpKeepAlive(), not enabled)

    def test_handle(self) -> None:
        self.assertIs(self.connection.getHandle(), self.below.memory)
