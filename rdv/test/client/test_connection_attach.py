"""
What a connection holds until its protocol is attached, and while it is paused.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IPushProducer

from rdv.test.client.test_connection import ConnectionTestCase
from rdv.test.doubles import HalfWire, Wire


class Pausing(Wire):
    """Does not want to hear anything for now."""

    def connectionMade(self) -> None:
        super().connectionMade()
        self.pause()

    def pause(self) -> None:
        """Read nothing."""
        IPushProducer(self.transport).pauseProducing()

    def resume(self) -> None:
        """Read on."""
        IPushProducer(self.transport).resumeProducing()


class PausingHalfWire(HalfWire, Pausing):
    """The same, with half-close."""


class PieceByPiece(HalfWire):
    """Stops reading after each piece."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        IPushProducer(self.transport).pauseProducing()


class AttachTests(ConnectionTestCase):
    """Bytes from before there is a protocol."""

    early = b"early "

    def test_nothing_is_read_before(self) -> None:
        self.assertEqual(self.below.producerState, "paused")
        self.connection.attach(Wire())
        self.assertEqual(self.below.producerState, "producing")

    def test_protocol_is_connected_to_it(self) -> None:
        wire = Wire()
        self.connection.attach(wire)
        self.assertIs(wire.transport, self.connection)
        self.successResultOf(wire.made)

    def test_held_bytes_first_and_once(self) -> None:
        wire = Wire()
        self.below.deliver(b"bytes ", b"that ")
        self.connection.attach(wire)
        self.assertEqual(wire.data, b"early bytes that ")
        self.below.deliver(b"are late")
        self.assertEqual(wire.data, b"early bytes that are late")

    def test_held_bytes_do_not_come_again(self) -> None:
        wire = Wire()
        self.connection.attach(wire)
        self.connection.pauseProducing()
        self.connection.resumeProducing()
        self.assertEqual(wire.data, b"early ")

    def test_only_one_protocol(self) -> None:
        wire = Wire()
        self.connection.attach(wire)
        self.assertRaises(RuntimeError, self.connection.attach, Wire())
        self.below.deliver(b"data")
        self.assertEqual(wire.data, b"early data")

    def test_pausing_at_once(self) -> None:
        wire = Pausing()
        self.connection.attach(wire)
        self.below.deliver(b"data")
        self.assertEqual((wire.data, self.below.producerState), (b"", "paused"))
        wire.resume()
        self.assertEqual((wire.data, self.below.producerState), (b"early data", "producing"))

    def test_end_before(self) -> None:
        wire = HalfWire()
        self.below.end()
        self.connection.attach(wire)
        self.assertEqual((wire.data, wire.read_ended), (b"early ", 1))
        self.assertEqual(self.below.closing, "")

    def test_end_before_and_no_interest_in_half_close(self) -> None:
        wire = Wire()
        self.below.end()
        self.connection.attach(wire)
        self.assertEqual((wire.data, self.below.closing), (b"early ", "close"))

    def test_loss_before(self) -> None:
        reason = self.below.lose(ConnectionLost())
        wire = Wire()
        self.connection.attach(wire)
        self.assertEqual(wire.data, b"early ")
        self.assertIs(wire.reason, reason)

    def test_end_and_loss_before(self) -> None:
        self.below.end()
        reason = self.below.lose()
        wire = HalfWire()
        self.connection.attach(wire)
        self.assertEqual((wire.data, wire.read_ended), (b"early ", 1))
        self.assertIs(wire.reason, reason)

    def test_loss_is_reported_once(self) -> None:
        reasons: list[object] = []
        wire = Wire()
        wire.connectionLost = reasons.append  # type: ignore[assignment,method-assign]
        self.below.lose()
        self.connection.attach(wire)
        self.connection.resumeProducing()
        self.assertEqual(len(reasons), 1)

    def test_end_waits_for_a_paused_protocol(self) -> None:
        wire = PausingHalfWire()
        self.below.end()
        reason = self.below.lose()
        self.connection.attach(wire)
        self.assertEqual((wire.data, wire.read_ended, wire.reason), (b"", 0, None))
        wire.resume()
        self.assertEqual((wire.data, wire.read_ended), (b"early ", 1))
        self.assertIs(wire.reason, reason)

    def test_protocol_pauses_on_the_held_bytes(self) -> None:
        wire = PieceByPiece()
        self.below.end()
        self.below.lose()
        self.connection.attach(wire)
        self.assertEqual((wire.data, wire.read_ended, wire.reason), (b"early ", 0, None))
        self.assertEqual(self.below.producerState, "paused")
        self.connection.resumeProducing()
        self.assertEqual(wire.read_ended, 1)
        self.assertIsNotNone(wire.reason)

    def test_protocol_closes_at_once(self) -> None:
        wire = Wire()
        wire.made.addCallback(Wire.close)
        self.connection.attach(wire)
        self.assertEqual(self.below.closing, "close")
