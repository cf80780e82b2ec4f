"""
Tests of :mod:`rdv._transport.secured`: broken streams, producers, and what applications do.
"""

from __future__ import annotations

from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IPushProducer,
    ITCPTransport,
)

from rdv._secure.path import Signal
from rdv._transport.secured import PeerNotProven, SecureTransport
from rdv.test.doubles import (
    HalfCloseRecorder,
    Recorder,
    connect,
    present,
)
from rdv.test.secure.doubles import paths
from rdv.test.transport.secured_case import LARGE, SecuredTestCase


class BrokenTests(SecuredTestCase):
    """Everything that is not a clean end."""

    def both_lost(self) -> None:
        """Neither takes it for an end."""
        self.settle()
        for recorder in (self.ours, self.theirs):
            self.assertNotEqual(self.lost(recorder), ConnectionDone)

    def test_cut(self) -> None:
        """TCP ends, at whatever moment before both have everything."""
        for moment in range(4):
            self.secure()
            self.settle()
            if moment > 0:
                self.dialer.write(b"x")
            if moment > 1:
                self.dialer.loseWriteConnection()
            self.settle()
            if moment > 2:
                self.acceptor.path.say(Signal.END)  # which gets lost, as does its DONE
            self.below_acceptor.lose(ConnectionDone())
            self.both_lost()

    def test_end_of_tcp_alone(self) -> None:
        """Half of it."""
        self.settle()
        self.below_acceptor.loseWriteConnection()
        self.settle()
        self.assertEqual(self.lost(self.theirs), ConnectionLost)
        self.assertEqual(self.theirs.read_ended, 0)

    def test_reason(self) -> None:
        """Why the connection below was lost is passed on."""
        self.below_dialer.lose(ConnectionAborted())
        self.assertEqual(self.lost(self.theirs), ConnectionAborted)

    def test_abort(self) -> None:
        """The peer sees a broken stream."""
        self.settle()
        self.dialer.write(b"x")
        self.dialer.abortConnection()
        self.both_lost()
        self.assertEqual(self.ours.received, b"")

    def test_aborted_while_closing(self) -> None:
        """No timer is left."""
        self.dialer.loseConnection()
        self.settle()
        self.dialer.abortConnection()
        self.settle()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_forged(self) -> None:
        """Good records are delivered, and then the loss is reported."""
        self.settle()
        good = self.dialer.path.seal(b"good")
        self.acceptor.first.dataReceived(b"".join([*good, b"\x17\x03\x03\0\x20", bytes(32)]))
        self.assertEqual(self.ours.received, b"good")
        self.assertEqual(self.lost(self.ours), PeerNotProven)
        self.acceptor.first.dataReceived(b"more")
        self.both_lost()

    def test_forged_at_the_end(self) -> None:
        """A protocol that closes at the good data hears of the loss once."""

        class Closing(Recorder):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                cast(ITCPTransport, self.transport).abortConnection()

        self.secure(ours=Closing())
        self.settle()
        good = self.dialer.path.seal(b"good")
        self.acceptor.first.dataReceived(b"".join(good) + b"forged")
        self.both_lost()

    @given(st.integers(0), st.integers(0, 2))
    def test_cut_anywhere(self, position: int, how: int) -> None:
        """A stream that is cut, or in which a byte is missing or another one, is never whole."""
        self.secure()
        self.settle()
        whole = b"".join(self.dialer.path.seal(b"some data") + self.dialer.path.say(Signal.END))
        position %= len(whole)
        received = [
            whole[:position],
            whole[:position] + whole[position + 1 :],
            whole[:position] + bytes([whole[position] ^ 0x20]) + whole[position + 1 :],
        ][how]
        self.acceptor.first.dataReceived(received)
        self.acceptor.loseConnection()
        self.below_acceptor.lose(ConnectionDone())
        self.assertIn(self.ours.received, (b"", b"some data"))
        self.assertEqual(self.ours.read_ended, 0)
        self.assertTrue(issubclass(self.lost(self.ours), ConnectionLost))


class ProducerTests(SecuredTestCase):
    """Back-pressure."""

    def test_producer(self) -> None:
        """A producer is paused while the peer does not read, and nothing is lost."""
        self.settle()
        self.acceptor.pauseProducing()
        producer = connect(self.clock, Recorder(), Recorder())[0]
        self.dialer.registerProducer(producer, True)
        sent = 0
        while not producer.paused:
            self.dialer.write(bytes(4096))
            sent += 4096
            self.assertLess(sent, 1 << 20)
        self.dialer.loseConnection()
        self.acceptor.resumeProducing()
        self.settle()
        self.assertFalse(producer.paused)
        self.assertEqual(self.ours.read_ended, 0)  # its producer may still have something
        self.dialer.unregisterProducer()
        self.settle()
        self.assertEqual((len(self.ours.received), self.ours.read_ended), (sent, 1))

    def test_a_piece(self) -> None:
        """64 KiB do not pause a producer, as in a plain stream."""
        producer = connect(self.clock, Recorder(), Recorder())[0]
        self.dialer.registerProducer(producer, True)
        self.dialer.write(bytes(1 << 16))
        self.assertFalse(producer.paused)
        self.dialer.write(bytes(1 << 16))
        self.assertTrue(producer.paused)
        self.dialer.unregisterProducer()

    def test_stop_producing(self) -> None:
        """As for any transport, it closes."""
        self.dialer.stopProducing()
        self.settle()
        self.assertEqual(self.ours.read_ended, 1)

    def test_unregistered_twice(self) -> None:
        """Nothing of our own is unregistered."""
        self.dialer.loseWriteConnection()
        self.dialer.unregisterProducer()
        self.assertIsNotNone(self.below_dialer.producer)

    def test_reentrant(self) -> None:
        """A protocol that pauses in the middle gets no more."""

        class Pausing(HalfCloseRecorder):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(data)
                cast(IPushProducer, self.transport).pauseProducing()

        self.secure(ours=Pausing())
        self.settle()
        for piece in (b"one", b"two"):
            self.dialer.write(piece)
            self.settle()
        self.assertEqual(self.ours.received, b"one")
        self.acceptor.resumeProducing()
        self.settle()
        self.assertEqual(self.ours.received, b"onetwo")


class ApplicationTests(SecuredTestCase):
    """What applications do at odd moments; :mod:`test_secured_model` has all of them at once."""

    def test_writes_at_once(self) -> None:
        """What an acceptor writes when it is connected comes behind READY."""

        class Writing(HalfCloseRecorder):
            def connectionMade(self) -> None:
                present(self.transport).write(b"banner")

        self.secure(ours=Writing())
        self.settle()
        self.assertEqual(self.theirs.received, b"banner")

    def test_half_close_with_a_producer(self) -> None:
        """Its end comes when the producer is done, as with TCP."""
        producer = connect(self.clock, Recorder(), Recorder())[0]
        self.dialer.registerProducer(producer, True)
        self.dialer.loseWriteConnection()
        self.dialer.write(b"last")
        self.settle()
        self.assertEqual((self.ours.received, self.ours.read_ended), (b"last", 0))
        self.dialer.unregisterProducer()
        self.settle()
        self.assertEqual((self.ours.read_ended, self.theirs.write_ended), (1, 1))

    def test_end_in_the_middle_of_a_write(self) -> None:
        """A producer that ends the stream when it is paused ends it behind what it wrote."""
        transport, producer = self.dialer, connect(self.clock, Recorder(), Recorder())[0]

        class Ending:
            def pauseProducing(self) -> None:
                transport.unregisterProducer()
                transport.loseWriteConnection()

            resumeProducing = stopProducing = producer.resumeProducing

        self.dialer.registerProducer(Ending(), True)
        self.dialer.write(LARGE)
        self.settle()
        self.assertTrue(self.ours.received == LARGE)
        self.assertEqual(self.ours.read_ended, 1)

    def test_paused_while_closing(self) -> None:
        """Who closes discards, and need not read for that; nor does who has been told the end."""
        self.settle()
        self.dialer.loseConnection()
        self.dialer.pauseProducing()
        self.settle()
        self.acceptor.pauseProducing()
        self.acceptor.loseWriteConnection()
        self.settle()
        self.assertTrue(self.ours.lost_cleanly and self.theirs.lost_cleanly)

    def test_closing_reads_while_a_producer_is_not_done(self) -> None:
        """Two that close, and whose producers wait for each other, do not wait for ever."""
        self.settle()
        producers = []
        for side in (self.dialer, self.acceptor):
            producer = connect(self.clock, Recorder(), Recorder())[0]
            side.pauseProducing()
            side.registerProducer(producer, True)
            side.write(LARGE)
            side.loseConnection()
            producers.append(producer)
        self.settle()
        self.assertFalse(any(each.paused for each in producers))

    def test_aborted_at_the_end(self) -> None:
        """Who aborts when it is told of the end gives no receipt for it."""

        class Aborting(HalfCloseRecorder):
            def readConnectionLost(self) -> None:
                super().readConnectionLost()
                cast(ITCPTransport, self.transport).abortConnection()

        self.secure(ours=Aborting())
        self.acceptor.loseWriteConnection()
        self.settle()
        self.dialer.loseConnection()
        self.settle()
        self.assertFalse(self.ours.lost_cleanly or self.theirs.lost_cleanly)

    def test_behind_the_last_receipt(self) -> None:
        """Whatever comes then does not make a broken stream of a whole one."""
        self.settle()
        self.dialer.loseConnection()
        path = self.acceptor.path
        self.dialer.first.dataReceived(
            b"".join(path.say(Signal.END) + path.say(Signal.DONE)) + bytes(30)
        )
        self.settle()
        self.assertTrue(self.theirs.lost_cleanly)

    def test_early_and_lost(self) -> None:
        """A connection that is lost in the turn in which it was handed over had its data."""
        acceptor, dialer = paths()
        early = b"".join([*acceptor.say(Signal.READY), *acceptor.seal(b"early")])
        secured = SecureTransport(self.clock, dialer, self.theirs, early)
        connect(self.clock, Recorder(), secured.first)[1].lose(ConnectionLost())
        self.assertEqual(self.theirs.received, b"early")
        self.settle()

    def test_empty_record(self) -> None:
        """It is allowed, and nothing to an application."""
        self.settle()
        self.acceptor.first.dataReceived(b"".join(self.dialer.path.seal(b"")))
        self.assertEqual(self.ours.pieces, [])
