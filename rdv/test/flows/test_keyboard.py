"""A terminal as a source, which is not always ours."""

from __future__ import annotations

import errno
import os
import pty
import select
import signal
import termios
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from rdv._flows import sources
from rdv._flows.sources import open_source
from rdv.test.flows.test_socket_stdio import Collecting


class KeyboardTests(SynchronousTestCase):
    """What is typed."""

    def setUp(self) -> None:
        self.person, self.fd = pty.openpty()
        for fd in (self.person, self.fd):
            self.addCleanup(os.close, fd)
        attributes: list[Any] = termios.tcgetattr(self.fd)
        attributes[3] &= ~termios.ECHO
        termios.tcsetattr(self.fd, termios.TCSANOW, attributes)
        self.reactor: Any = MemoryReactorClock()
        self.source: Any = open_source(self.reactor, self.fd)
        self.consumer = Collecting()
        self.addCleanup(self.source.stop)
        # Whatever is wrong, these tests end: a handler that raises ends a call that blocks.
        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, _give_up))
        self.addCleanup(signal.alarm, 0)
        signal.alarm(20)

    def start(self) -> None:
        """Let it read."""
        self.source.start(self.consumer, self.consumer.ended.append)

    def type(self, text: bytes) -> None:
        """Wait until it can be read."""
        os.write(self.person, text)
        self.assertTrue(select.select((self.fd,), (), (), 10)[0])

    def in_background(self, value: bool) -> None:
        """Let the terminal belong to somebody else, or to us."""
        self.patch(os, "tcgetpgrp", lambda fd: os.getpgrp() + value)

    def is_watched(self) -> bool:
        """Whether the reactor tells it of what is typed."""
        return self.source in self.reactor.getReaders()

    def test_lines(self) -> None:
        """To the end: ^D."""
        self.start()
        for line in (b"one\n", b"two\n", b"\x04"):
            self.type(line)
            self.source.doRead()
        self.assertEqual((self.consumer.data, self.consumer.ended), (b"one\ntwo\n", [None]))
        self.assertFalse(self.is_watched())

    def test_somebody_else_has_read(self) -> None:
        """Between the reactor's notice and our look; also where it cannot be opened again."""
        for opened in (True, False):
            if not opened:
                self.patch(sources, "_open_again", lambda fd: None)
            self.start()
            self.type(b"theirs\n")
            os.read(self.fd, 100)
            self.source.doRead()
            self.assertEqual((self.consumer.data, self.consumer.ended), (b"", []))
            self.assertTrue(self.is_watched())
            self.source.stop()

    def test_cannot_be_opened_again(self) -> None:
        """After ``su`` it is another user's."""

        def refuse(*arguments: Any) -> int:
            raise PermissionError(errno.EACCES, "not yours")

        self.patch(os, "open", refuse)
        self.start()
        self.type(b"line\n")
        self.source.doRead()
        self.assertEqual(self.consumer.data, b"line\n")

    def test_background(self) -> None:
        """Nothing is read until it is ours."""
        self.in_background(True)
        self.start()
        self.type(b"for the shell\n")
        self.source.doRead()
        self.assertFalse(self.is_watched())
        self.reactor.advance(0.5)  # it looks again
        self.assertTrue(self.is_watched())
        self.source.doRead()
        self.assertFalse(self.is_watched())
        self.assertEqual(self.consumer.data, b"")
        self.in_background(False)
        self.reactor.advance(0.5)
        self.source.doRead()
        self.assertEqual(self.consumer.data, b"for the shell\n")
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_sent_to_the_background(self) -> None:
        """Between our look and the reading, which then fails instead of stopping us."""
        blocked = []

        def read(fd: int, size: int) -> bytes:
            blocked.append(signal.SIGTTIN in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
            self.in_background(True)
            raise OSError(errno.EIO, "not in the background")

        self.start()
        self.patch(os, "read", read)
        self.source.doRead()
        self.assertEqual(blocked, [True])
        self.assertNotIn(signal.SIGTTIN, signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        self.assertEqual(self.consumer.ended, [])
        self.assertFalse(self.is_watched())

    def test_hung_up(self) -> None:
        """The terminal has gone, and with it what is typed."""

        def read(fd: int, size: int) -> bytes:
            raise OSError(errno.EIO, "hung up")

        self.start()
        self.patch(os, "read", read)
        self.source.doRead()
        self.assertEqual(self.consumer.ended, [None])

    def test_no_room(self) -> None:
        """While the consumer has none, it does not look either."""
        self.in_background(True)
        self.start()
        self.source.doRead()
        self.source.pauseProducing()
        self.reactor.advance(10)
        self.assertFalse(self.is_watched())
        self.source.resumeProducing()
        self.assertTrue(self.is_watched())

    def test_nothing_is_left(self) -> None:
        """Of descriptors and calls, however it ends; and the terminal stays as it was."""
        self.in_background(True)
        for end in (self.source.stop, self.source.stopProducing):
            free = os.dup(0)
            os.close(free)
            self.start()
            self.assertTrue(os.get_blocking(self.fd))
            self.source.doRead()
            end()
            self.assertEqual(self.reactor.getDelayedCalls(), [])
            self.assertFalse(self.is_watched())
            again = os.dup(0)
            os.close(again)
            self.assertEqual(again, free)


def _give_up(*arguments: object) -> None:
    raise AssertionError("it waits for the terminal")
