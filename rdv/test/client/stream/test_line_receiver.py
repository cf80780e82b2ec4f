"""A connection as Twisted's own protocols use a transport."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.protocols.basic import LineReceiver, NetstringReceiver
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from rdv.client.candidates.candidate import Candidate
from rdv.client.stream.connection import Connection
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


class ProtocolTests(SynchronousTestCase):
    """
    Protocols that pause, and that ask for ``transport.disconnecting``.

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

    def test_lines(self) -> None:
        """None comes of what was in the same segment behind the line at which it has closed."""
        self.connection.attach(lines := Lines())
        self.send(b"one\r\ntw")
        lines.pauseProducing()
        self.send(b"o\r\nthree\r\n")
        self.assertEqual(lines.lines, [b"one"])
        lines.resumeProducing()
        lines.sendLine(b"answer")
        self.clock.advance(0)
        self.send(b"quit\r\nmore\r\n")
        self.assertEqual(lines.lines, [b"one", b"two", b"three", b"quit"])
        self.assertEqual(self.peer.received, b"answer\r\n")
        self.assertTrue(self.peer.lost_cleanly)

    def test_netstrings(self) -> None:
        strings: list[bytes] = []
        receiver = NetstringReceiver()
        receiver.stringReceived = strings.append  # type: ignore[method-assign]
        self.connection.attach(receiver)
        self.send(b"3:one,3:tw")
        self.send(b"o,nonsense,5:three,")
        self.assertEqual(strings, [b"one", b"two"])
        self.assertIsNotNone(self.peer.lost)

    def test_options(self) -> None:
        """What a protocol may ask of TCP."""
        for enabled in (True, False):
            self.connection.setTcpNoDelay(enabled)
            self.connection.setTcpKeepAlive(not enabled)
            for transport in (self.connection, self.below):
                self.assertIs(transport.getTcpNoDelay(), enabled)
                self.assertIs(transport.getTcpKeepAlive(), not enabled)
        self.assertIs(self.connection.getHandle(), self.below.memory)
