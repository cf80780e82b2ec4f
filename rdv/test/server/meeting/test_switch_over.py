"""The moment at which the kernel takes over, turn by turn."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from rdv._flows.kernel.takeover import Splicer
from rdv._system.sockets import socket_of
from rdv.server import Outcome
from rdv.test.doubles import present
from rdv.test.server.hand_relay import Far, HandRelay, HandTestCase
from rdv.wire import confirm_line, hello_line

#: Roughly the bytes that the kernel holds for each connection; few, so that it is easily filled.
SMALL = 4096
CONFIRM, HELLO = len(confirm_line(b"token")), len(hello_line(b"token"))


class TakeOverTests(HandTestCase):
    """When it happens, and what has been read before."""

    def test_first_bytes_are_copied(self) -> None:
        """They, and nothing behind them."""
        relay = self.relay()
        relay.join()
        relay.dialer.send(100)
        relay.deliver()
        relay.dialer.send(1_000_000)
        relay.acceptor.send(1_000_000)
        relay.deliver()
        self.assertEqual(relay.dialer.leg.copied, CONFIRM + 100)
        self.assertEqual(relay.acceptor.leg.copied, HELLO)
        self.assertEqual((relay.pair.dialer_bytes, relay.pair.acceptor_bytes), (1_000_100, 10**6))

    def test_not_before_there_are_bytes(self) -> None:
        """A pair that only ends needs none of it."""
        relay = self.relay()
        relay.join()
        relay.turns()
        self.assertEqual(len(relay.splicer.watcher), 0)

    def test_both_in_one_turn(self) -> None:
        """Whoever's bytes are the first."""
        for first in (0, 1):
            relay = self.relay()
            relay.join()
            for far in (relay.fars[first], relay.fars[1 - first]):
                far.send_now(70_000)
            relay.turn()
            for far in relay.fars:
                far.send(70_000)
            relay.deliver()

    def filled(self) -> HandRelay:
        """The dialer does not read, and the server holds bytes for it."""
        relay = self.relay(buffer=SMALL)
        relay.dialer.reading = False
        relay.acceptor.say_line()
        relay.acceptor.send(40_000)  # a transport pauses the other one above 64 KiB
        relay.turns()
        relay.dialer.say_line()
        relay.until_relayed()
        return relay

    def test_read_in_the_same_turn(self) -> None:
        """
        From a connection to which it has something to write a reactor may read even if it has been
        paused, when both was found out in this turn.
        """
        for first in (0, 1):
            relay = self.filled()
            for far in (relay.fars[first], relay.fars[1 - first]):
                far.send_now(2000)
            relay.turn()
            if first:  # the acceptor's bytes let the kernel take over
                self.assertEqual(relay.dialer.leg.copied, CONFIRM + 2000)
            relay.dialer.send(3000)
            relay.deliver()
            self.assertEqual(relay.pair.dialer_bytes, relay.dialer.sent)
            self.assertEqual(relay.pair.acceptor_bytes, relay.acceptor.sent)

    def test_end_in_the_same_turn(self) -> None:
        """So it may read the end, too."""
        for first in (0, 1):
            relay = self.filled()
            for far in (relay.fars[first], relay.fars[1 - first]):
                if far is relay.dialer:
                    far.end()
                else:
                    far.send_now(2000)
            relay.turn()
            relay.until_they("ended", relay.acceptor)
            relay.acceptor.send(100_000)
            relay.deliver()
            self.assertFalse(relay.dialer.ended)

    def test_one_direction_has_ended(self) -> None:
        """The other one is the kernel's all the same, whichever it is."""
        for side in (0, 1):
            relay = self.relay()
            relay.join()
            ended, other = relay.fars[side], relay.fars[1 - side]
            ended.end()
            relay.until_they("ended", other)
            other.send(1)
            relay.deliver()
            copied = other.leg.copied
            other.send(1_000_000)
            other.end()
            relay.deliver()
            relay.until_they("ended", ended)
            self.assertEqual(other.leg.copied, copied)

    def test_loss_while_the_transports_are_asked(self) -> None:
        """The other one breaks, and nothing is begun with what is lost."""
        for side in (0, 1):
            relay = self.relay()
            relay.join()
            living, lost = relay.fars[side], relay.fars[1 - side]
            living.send_now(1)
            relay.turn()
            relay.reactor.runUntilCurrent()  # whether they have written everything
            transport: Any = lost.leg.transport
            self.patch(Splicer, "splice", self.fail)
            transport.connectionLost(Failure(ConnectionLost()))
            relay.until_they("broken", living)

    def test_end_of_one_that_was_taken_over(self) -> None:
        """Before the kernel has moved anything."""
        for side in (0, 1):
            relay = self.relay()
            relay.join()
            relay.fars[side].send(1)
            relay.fars[side].end()
            relay.until_they("ended", relay.fars[1 - side])
            relay.fars[1 - side].send(1000)
            relay.fars[1 - side].end()
            relay.deliver()


class LossTests(HandTestCase):
    """The loss of a connection that was taken over, or in the same turn as another event."""

    def test_line_comes_before(self) -> None:
        """Whoever is told the loss has to count on this way: its direct path was reset as well."""
        for side, line in enumerate((confirm_line(b"token"), hello_line(b"token"))):
            relay = self.relay()
            lost, other = relay.fars[side], relay.fars[1 - side]
            if side == 0:
                other.say_line()
                relay.until_they("greeted", lost)
            lost.leg.dataReceived(line)
            transport: Any = lost.leg.transport
            transport.connectionLost(Failure(ConnectionLost()))
            relay.until_they("broken", other)
            self.assertTrue(other.greeted)
            relay.until_over()

    def test_number(self) -> None:
        """
        It is not free in the turn in which that is found out: the reactor may have events for it.
        """
        relay = self.relay()
        relay.join()
        for far in relay.fars:
            far.send(100)
        relay.deliver()
        transport: Any = relay.dialer.leg.transport
        number = transport.fileno()
        relay.dialer.reset()
        relay.until(lambda: not transport.connected)
        os.fstat(number)
        relay.turn()
        self.assertRaises(OSError, os.fstat, number)


class StalledTests(HandTestCase):
    """The dialer does not read, and the server's transport holds bytes for it meanwhile."""

    def switching(self, late: bool = False) -> HandRelay:
        """What the dialer sends is the kernel's; what it is sent is not yet."""
        relay = self.relay(buffer=SMALL, late=late)
        relay.dialer.reading = False
        relay.acceptor.say_line()
        relay.acceptor.send(300_000)
        relay.turns()
        relay.dialer.say_line()
        relay.until_relayed()
        for size in (1, 100_000):
            relay.dialer.send(size)
            relay.deliver(relay.acceptor)
        self.assertEqual(relay.dialer.leg.copied, CONFIRM + 1)
        return relay

    def both(self) -> Iterator[HandRelay]:
        """In either order in which a reactor may learn what has happened."""
        yield self.switching()
        yield self.switching(late=True)

    def assert_broken(self, relay: HandRelay, *fars: Far) -> None:
        """These have been told that the stream is not complete, and the server is done with it."""
        for far in fars:
            far.reading = True
        relay.until_they("broken", *fars)
        relay.until_over()
        self.assertEqual(relay.rendezvous.outcomes, {Outcome.RELAYED: 1})

    def test_everything_comes(self) -> None:
        """In the end."""
        for relay in self.both():
            held = relay.acceptor.leg.copied
            self.assertLess(held, relay.acceptor.sent)
            relay.deliver()
            self.assertEqual(relay.acceptor.leg.copied, held)
            self.assertEqual(relay.pair.acceptor_bytes, relay.acceptor.sent)

    def test_end_of_the_sender(self) -> None:
        """It comes behind all that is held."""
        for relay in self.both():
            relay.acceptor.end()
            relay.turns()
            relay.dialer.send(1000)
            relay.deliver()
            relay.until_they("ended", relay.dialer)

    def test_reset(self) -> None:
        """Of the one that does not read. The reactor watches it, too, for being writable."""
        for relay in self.both():
            relay.dialer.reset()
            self.assert_broken(relay, relay.acceptor)

    def test_reset_of_the_sender(self) -> None:
        """What it has sent is not complete, though it is not even read."""
        for relay in self.both():
            relay.acceptor.reset()
            self.assert_broken(relay, relay.dialer)

    def test_reset_of_one_that_is_told_the_end(self) -> None:
        """
        The end of a direction goes through the transport, as soon as it can write. The other
        direction is the kernel's.
        """
        for late in (False, True):
            relay = self.relay(buffer=SMALL, late=late)
            relay.join()
            relay.dialer.reading = False
            relay.acceptor.send(1)
            relay.turns()
            # As much as there is room for, so that its end cannot be sent immediately.
            sock = present(socket_of(relay.dialer.leg.transport))
            while select.select([], [sock], [], 0)[1]:
                relay.acceptor.send(100)
                relay.turns(5)
            relay.acceptor.end()
            relay.turns()
            relay.dialer.reset()
            self.assert_broken(relay, relay.acceptor)

    def test_abort(self) -> None:
        for relay in self.both():
            relay.pair.abort()
            self.assert_broken(relay, *relay.fars)

    def test_abort_before_anything_is_the_kernels(self) -> None:
        """In the turn in which it is taken over, and in the one behind it."""
        for turns in (0, 1, 2):
            relay = self.relay()
            relay.join()
            relay.dialer.send(10)
            while relay.dialer.leg.copied == CONFIRM:
                relay.turn()
            relay.turns(turns)
            relay.pair.abort()
            self.assert_broken(relay, *relay.fars)
