"""
What the application sees and does while its connection may still be replaced.
"""

from __future__ import annotations

import socket
import struct
from typing import Any, cast

from rdv._system.sockets import bottom
from rdv.test.client.stream.probation_case import HELLO, LONG, ProbationTestCase


class ApplicationTests(ProbationTestCase):
    """What the application sees and does meanwhile."""

    def test_attributes(self) -> None:
        self.assertEqual(self.connection.getPeer(), self.direct.near.getPeer())
        self.assertIs(bottom(self.connection), self.direct.near)
        self.direct.lose()
        self.assertTrue(self.connection.is_relay)
        self.assertEqual(self.connection.peer_address, self.relay.candidate.peer_address)
        self.assertIs(bottom(self.connection), self.relay.near)

    def test_paused(self) -> None:
        """Nothing is read on the relay either, until the protocol is there, or reads on."""
        for attached in (True, False):
            self.begin(attach=attached)
            self.connection.write(b"data")
            if attached:
                self.connection.pauseProducing()
            self.direct.lose()
            self.assertTrue(self.relay.near.paused)
            self.relay.deliver(b"answer")
            self.assertEqual(self.wire.received, b"")
            if attached:
                self.connection.resumeProducing()
            else:
                self.connection.attach(self.wire)
            self.assert_relayed()
            self.assertEqual((self.wire.received, self.relay.received), (b"answer", b"data"))

    def test_abort(self) -> None:
        """
        It breaks the relay too: a peer that falls back to it must not take its end for that of the
        stream. Whoever aborts is told of the end, though nobody has heard of a loss yet.
        """
        for lost, ready in ((False, False), (False, True), (True, False)):
            self.begin(relay_ready=ready)
            if lost:
                self.direct.lose()
                self.assertIsNone(self.wire.lost)
            self.connection.abortConnection()
            self.assertEqual(self.wire.lost is not None, lost)
            self.assert_nothing_left()
            self.assertIsNotNone(self.wire.lost)
            self.assertEqual(self.relay.received, b"")
            self.assertFalse(self.relay.ended)

    def test_abort_when_it_is_decided(self) -> None:
        for decide in (self.acknowledge, lambda: self.direct.lose()):
            self.begin()
            decide()
            self.connection.abortConnection()
            self.assert_nothing_left()

    def test_failing_protocol(self) -> None:
        """Its error in what the relay brings is logged, and ends the connection."""
        self.begin(relay_ready=False)

        def fail(data: bytes) -> None:
            raise ZeroDivisionError("the application's")

        self.patch(self.wire, "dataReceived", fail)
        self.direct.lose()
        self.relay.deliver(HELLO + b"data")
        self.clock.advance(0)
        (failure,) = self.flushLoggedErrors(ZeroDivisionError)
        self.assertIsNotNone(failure.value.__traceback__)  # an observer may show it later
        self.assertFalse(self.relay.open)

    def test_end_is_told_once(self) -> None:
        """By the connection that was the last."""
        self.direct.lose()
        self.relay.lose()
        self.assertIsNotNone(self.wire.lost)  # a Recorder fails when it is told twice
        self.assert_nothing_left()

    def test_close(self) -> None:
        """It waits for the choice, for what was written must arrive."""
        for decide in (self.acknowledge, lambda: self.direct.lose()):
            self.begin()
            self.connection.write(b"data")
            self.connection.loseConnection()
            self.clock.advance(0)
            self.assertTrue(self.direct.open)
            decide()
            self.assert_nothing_left()
            path = self.relay if self.connection.is_relay else self.direct
            self.assertEqual(path.received, b"data")
            self.assertTrue(path.ended)
            self.assertIsNotNone(self.wire.lost)

    def test_close_and_nothing_is_known(self) -> None:
        """Neither an acknowledgement comes nor HELLO on the relay: it ends all the same."""
        self.begin(relay_ready=False)
        self.connection.write(b"data")
        self.connection.loseConnection()
        self.clock.pump([LONG] * 3)
        self.assert_nothing_left()
        self.assertIsNotNone(self.wire.lost)
        self.assertEqual(self.direct.received, b"data")

    def test_break_on_exit(self) -> None:
        """The new socket has to do as the old one."""
        for enabled in (True, False):
            self.begin()
            with socket.socket() as old, socket.socket() as new:
                for path, sock in ((self.direct, old), (self.relay, new)):
                    cast(Any, path.near).getHandle = lambda sock=sock: sock
                self.connection.break_on_exit(True)
                self.connection.break_on_exit(enabled)
                self.assertEqual(lingers(old), enabled)
                self.direct.lose()
                self.assertEqual(lingers(new), enabled)
                self.relay.lose()


def lingers(sock: socket.socket) -> bool:
    """Whether closing it resets the connection."""
    option = sock.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
    return struct.unpack("ii", option) == (1, 0)
