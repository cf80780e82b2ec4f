"""Closing a connection from which the protocol has not taken everything."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost

from rdv.test.client.test_connection import ConnectionTestCase
from rdv.test.doubles import HalfWire, Wire

CLOSING = ("loseConnection", "abortConnection", "stopProducing")


class PausedTestCase(ConnectionTestCase):
    """The protocol has paused the connection, and more has come."""

    def attach(self, wire: Wire) -> Wire:
        """Attach it, pause, and let something come."""
        self.connection.attach(wire)
        self.connection.pauseProducing()
        self.below.deliver(b"held")
        self.assertEqual(wire.data, b"")
        return wire

    def assert_told(self, wire: Wire) -> None:
        """It has been told the end, and nothing else."""
        self.assertIsNotNone(wire.reason)
        self.assertEqual(wire.data, b"")


class PausedTests(PausedTestCase):
    """It closes then, as who has seen enough does."""

    def test_end_is_told(self) -> None:
        for close in CLOSING:
            for error in (ConnectionDone(), ConnectionLost()):
                self.setUp()
                wire = self.attach(Wire())
                getattr(self.connection, close)()
                self.assertIsNone(wire.reason)
                reason = self.below.lose(error)
                self.assert_told(wire)
                self.assertIs(wire.reason, reason)

    def test_peer_has_ended_too(self) -> None:
        for close in CLOSING:
            self.setUp()
            wire = HalfWire()
            self.attach(wire)
            self.below.end()
            getattr(self.connection, close)()
            self.below.lose()
            self.assert_told(wire)
            self.assertEqual(wire.read_ended, 0)

    def test_end_alone_is_held(self) -> None:
        for close in CLOSING:
            self.setUp()
            wire = HalfWire()
            self.connection.attach(wire)
            self.connection.pauseProducing()
            self.below.end()
            getattr(self.connection, close)()
            self.below.lose()
            self.assert_told(wire)

    def test_data_that_comes_after_closing(self) -> None:
        """What one read of TLS had decrypted still comes; nobody wants it."""
        for close in CLOSING:
            self.setUp()
            wire = self.attach(Wire())
            getattr(self.connection, close)()
            self.below.deliver(b"late")
            self.below.lose()
            self.assert_told(wire)

    def test_closing_in_the_middle_of_a_delivery(self) -> None:
        for close in CLOSING:
            self.setUp()
            wire = Wire()
            self.connection.attach(wire)
            wire.until(b"first").addCallback(self._close, close)
            self.below.deliver(b"first", b"second")
            self.below.lose()
            self.assertEqual(wire.data, b"first")
            self.assertIsNotNone(wire.reason)

    def _close(self, data: bytes, how: str) -> None:
        getattr(self.connection, how)()

    def test_lost_already(self) -> None:
        """The end came first and waits behind what is held; then the protocol closes."""
        for close in CLOSING:
            self.setUp()
            wire = self.attach(Wire())
            reason = self.below.lose(ConnectionLost())
            self.assertIsNone(wire.reason)
            getattr(self.connection, close)()
            self.assert_told(wire)
            self.assertIs(wire.reason, reason)

    def test_told_once(self) -> None:
        for close in CLOSING:
            self.setUp()
            told: list[object] = []
            wire = self.attach(Wire())
            wire.connectionLost = told.append  # type: ignore[method-assign, assignment]
            getattr(self.connection, close)()
            self.below.lose()
            self.connection.resumeProducing()
            self.assertEqual(len(told), 1)


class EarlyTests(ConnectionTestCase):
    """What came with CONFIRM is held as well."""

    early = b"early"

    def test_pauses_at_once(self) -> None:
        class Pausing(Wire):
            def connectionMade(self) -> None:
                self.transport.pauseProducing()  # type: ignore[union-attr]

        for close in CLOSING:
            self.setUp()
            wire = Pausing()
            self.connection.attach(wire)
            self.assertEqual(wire.data, b"")
            getattr(self.connection, close)()
            self.below.lose()
            self.assertEqual(wire.data, b"")
            self.assertIsNotNone(wire.reason)

    def test_closes_at_once(self) -> None:
        class Closing(Wire):
            def connectionMade(self) -> None:
                self.transport.loseConnection()  # type: ignore[union-attr]

        wire = Closing()
        self.connection.attach(wire)
        self.below.lose()
        self.assertEqual(wire.data, b"")
        self.assertIsNotNone(wire.reason)
