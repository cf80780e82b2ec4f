"""
Tests of :mod:`rdv._transport.secured`: what a protocol does in its callbacks.
"""

from __future__ import annotations

from collections.abc import Callable

from rdv._secure.path import Signal
from rdv._transport.secured import SecureTransport
from rdv.test.doubles import Recorder, connect, present
from rdv.test.secure.doubles import joining
from rdv.test.transport.secured_case import MovingTestCase, SecuredTestCase


class MovedTests(MovingTestCase):
    """The new path is faster: data after MOVE arrives before MOVE."""

    def setUp(self) -> None:
        super().setUp()
        self.settle()
        acceptor, dialer = joining(self.acceptor.path, self.dialer.path)
        end = self.acceptor.join(acceptor)
        self.joined, _ = connect(self.clock, end, Recorder())
        self.settle()
        end.dataReceived(b"".join([*dialer.say(Signal.HERE), *dialer.seal(b"second")]))

    def move(self) -> None:
        """The last of the first path comes, in one piece."""
        path = self.dialer.path
        last = [*path.seal(b"first"), *path.say(Signal.MOVE)]
        self.acceptor.first.dataReceived(b"".join(last))

    def test_order(self) -> None:
        """Nothing comes to a protocol that is in the middle of what came before."""
        for action in ("resumeProducing", "loseWriteConnection"):
            got: list[bytes] = []

            def received(data: bytes, action: str = action, got: list[bytes] = got) -> None:
                getattr(self.acceptor, action)()
                got.append(data)

            self.ours.dataReceived = received  # type: ignore[method-assign]
            self.move()
            self.assertEqual(got, [b"first", b"second"])
            self.setUp()

    def test_failure(self) -> None:
        """Ends the stream on all its paths, whichever the reactor has read from."""

        def received(data: bytes) -> None:
            if data == b"second":
                raise ZeroDivisionError

        self.ours.dataReceived = received  # type: ignore[method-assign]
        self.assertRaises(ZeroDivisionError, self.move)
        self.settle()
        self.assertTrue(present(self.ours.lost).check(ZeroDivisionError))
        self.assertFalse(self.below_acceptor.connected or self.joined.connected)


class EndTests(SecuredTestCase):
    """DONE is a receipt: it is not sent before the protocol has received everything."""

    def told(self, act: Callable[[SecureTransport], None]) -> None:
        """The last data and the end come in one piece, and the protocol does that."""
        self.settle()
        self.ours.dataReceived = lambda data: act(self.acceptor)  # type: ignore[method-assign]
        path = self.dialer.path
        self.acceptor.first.dataReceived(b"".join([*path.seal(b"last"), *path.say(Signal.END)]))

    def test_resumed(self) -> None:
        said: list[bool] = []

        def act(transport: SecureTransport) -> None:
            transport.resumeProducing()
            said.append(transport.stream.first.sent_done)

        self.told(act)
        self.assertEqual((said, self.acceptor.stream.first.sent_done), ([False], True))
