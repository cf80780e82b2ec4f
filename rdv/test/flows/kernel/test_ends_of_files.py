"""Ends that are no sockets, or sockets of which only the number is known."""

from __future__ import annotations

import errno
import os
import socket
from select import EPOLLHUP, EPOLLIN, EPOLLOUT

from twisted.trial.unittest import SynchronousTestCase

from rdv._flows.kernel.descriptor import AlwaysWritable, Descriptor
from rdv._flows.kernel.epoll import Handler, Owner, Watcher
from rdv._system.sockets import linger
from rdv.test.flows.kernel.doubles import HandReactor
from rdv.test.sockets import Handle, tcp_pair


class Reactor(HandReactor):
    """The test looks for events itself."""

    def turn(self) -> None:
        """Do what is due, but not what comes from it: that is for the next turn."""
        calls, self.calls = self.calls, []
        for call in calls:
            call.called = 1
            call.func(*call.args, **call.kw)


class Writer:
    """
    What writes to an end.

    :ivar calls: how often there was room.
    """

    def __init__(self) -> None:
        self.calls = 0

    def writable(self) -> None:
        self.calls += 1


class ToldByHand(Watcher):
    """
    A watcher that finds nothing out by itself.

    :ivar handler: of the descriptor that is watched.
    """

    handler: Handler

    def __init__(self) -> None:
        super().__init__(Reactor())

    def watch(self, fd: int, events: int, handler: Handler, owner: Owner) -> None:
        self.handler = handler

    def forget(self, fd: int) -> None: ...


class EndTestCase(SynchronousTestCase):
    """
    A watcher that the test drives.

    :ivar lost: with what errors ends have failed.
    """

    def setUp(self) -> None:
        self.reactor = Reactor()
        self.watcher = Watcher(self.reactor)
        self.lost: list[int | None] = []

    def note(self, error: OSError) -> None:
        """An end has failed."""
        self.lost.append(error.errno)


class FileTests(EndTestCase):
    """A file has room at any time, but not at once."""

    def setUp(self) -> None:
        super().setUp()
        self.end = AlwaysWritable(self.watcher, 1, self.note)
        self.writer = Writer()
        self.end.writer = self.writer

    def test_room(self) -> None:
        """Again and again, until it is not wanted."""
        self.end.want(EPOLLOUT)
        self.assertEqual(self.writer.calls, 0)
        for calls in (1, 2, 3):
            self.reactor.turn()
            self.assertEqual(self.writer.calls, calls)
        self.end.want(EPOLLOUT, False)
        self.reactor.turn()
        self.assertEqual(self.writer.calls, 3)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_wanted_twice(self) -> None:
        self.end.want(EPOLLOUT)
        self.end.want(EPOLLOUT)
        self.reactor.turn()
        self.assertEqual(self.writer.calls, 1)

    def test_forgotten(self) -> None:
        self.end.want(EPOLLOUT)
        self.end.forget()
        self.end.want(EPOLLOUT)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_fails(self) -> None:
        self.end.want(EPOLLOUT)
        self.end.fail(OSError(errno.ENOSPC, "full"))
        self.assertEqual(self.lost, [errno.ENOSPC])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_no_epoll(self) -> None:
        self.end.want(0)
        self.assertEqual(self.watcher.fileno(), -1)


class ErrorTests(EndTestCase):
    """What has happened to a descriptor while it was neither read nor written."""

    def happen(self, fd: int) -> list[int | None]:
        """Look for events of it."""
        end = Descriptor(self.watcher, fd, self.note)
        self.addCleanup(end.forget)
        end.want(0)
        self.watcher.doRead()
        return self.lost

    def sockets(self) -> tuple[socket.socket, socket.socket]:
        """A connection."""
        one, other = tcp_pair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        return one, other

    def test_reset(self) -> None:
        one, other = self.sockets()
        linger(Handle(other), True)
        other.close()
        self.assertEqual(self.happen(one.fileno()), [errno.ECONNRESET])

    def test_hang_up(self) -> None:
        """It is no error: nobody asks for one, as that would take it from who reads."""
        one, other = self.sockets()
        told = ToldByHand()
        Descriptor(told, one, self.note).want(0)
        linger(Handle(other), True)
        other.close()
        told.handler(EPOLLHUP)
        self.assertEqual(self.lost, [])
        self.assertRaises(ConnectionResetError, one.recv, 1)

    def test_nothing(self) -> None:
        self.assertEqual(self.happen(self.sockets()[0].fileno()), [])

    def test_pipe_without_readers(self) -> None:
        reader, writer = os.pipe()
        self.addCleanup(os.close, writer)
        os.close(reader)
        self.assertEqual(self.happen(writer), [errno.EPIPE])

    def test_pipe_without_writers(self) -> None:
        """It may still have something to read."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        os.close(writer)
        self.assertEqual(self.happen(reader), [])

    def test_closed_before(self) -> None:
        """Its transport has closed a socket that is still watched."""
        one, _ = self.sockets()
        end = Descriptor(self.watcher, one.fileno(), self.note)
        end.want(EPOLLIN)
        one.close()
        end.want(EPOLLIN, False)
        end.forget()
        self.assertEqual(self.watcher.fileno(), -1)
