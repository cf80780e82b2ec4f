"""A descriptor that is a source, a sink, or both."""

from __future__ import annotations

import errno
import os
import socket
from select import EPOLLHUP, EPOLLIN, EPOLLOUT

from rdv._flows.kernel.descriptor import AlwaysWritable, Descriptor
from rdv._flows.kernel.epoll import Handler, Owner, Watcher
from rdv.test.flows.kernel.doubles import HandReactor, Side, SpliceTestCase


class Recorder:
    """
    A reader and a writer that records its calls.

    :ivar calls: the calls, in order.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []

    def readable(self, events: int = EPOLLIN) -> None:
        self.calls.append("readable")

    def writable(self) -> None:
        self.calls.append("writable")


class Broken(Recorder):
    """A reader and a writer with a bug."""

    def readable(self, events: int = EPOLLIN) -> None:
        super().readable()
        raise RuntimeError("a mistake")


class ToldByHand(Watcher):
    """
    A watcher whose events come from the test.

    :ivar handler: the handler of the watched descriptor.
    """

    handler: Handler

    def __init__(self) -> None:
        super().__init__(HandReactor())

    def watch(self, fd: int, events: int, handler: Handler, owner: Owner) -> None:
        self.handler = handler

    def forget(self, fd: int) -> None: ...


class EndTestCase(SpliceTestCase):
    """The server's end of a connection."""

    def setUp(self) -> None:
        super().setUp()
        self.lost: list[OSError] = []
        self.recorder = Recorder()
        self.side = self.side_with(self.recorder)
        self.end = self.side.end

    def side_with(self, recorder: Recorder) -> Side:
        """A connection, and what reads from it and writes to it."""
        side = self.new_side()
        side.end.reader = side.end.writer = recorder
        return side

    def told(self) -> list[str]:
        """What the recorder was told in one turn."""
        self.recorder.calls.clear()
        if self.is_busy():
            self.watcher.doRead()
        return self.recorder.calls


class WantTests(EndTestCase):
    """Which events it gets."""

    def test_wanted(self) -> None:
        """Each by itself, for as long as it is wanted."""
        self.side.send(b"x")
        for events, calls in (
            (EPOLLIN, ["readable"]),
            (EPOLLOUT, ["writable"]),
            (EPOLLIN | EPOLLOUT, ["writable", "readable"]),
        ):
            self.end.want(events)
            self.assertEqual((self.told(), self.told()), (calls, calls))
            self.end.want(events, False)
            self.assertEqual(self.told(), [])

    def test_one_beside_the_other(self) -> None:
        """Neither direction takes from the other what it wants, and one may have ended."""
        self.side.send(b"x")
        self.end.want(EPOLLIN)
        self.end.want(EPOLLOUT)
        self.end.want(EPOLLIN, False)
        self.assertEqual(self.told(), ["writable"])
        self.end.want(EPOLLIN)
        self.end.want(EPOLLOUT, False)
        self.assertEqual(self.told(), ["readable"])
        self.end.want(EPOLLOUT)
        self.end.reader = self.end.writer = None
        self.assertEqual(self.told(), [])
        self.assertIsNone(self.side.error)

    def test_no_descriptor(self) -> None:
        """It is told to whoever wants it first."""
        end = Descriptor(self.watcher, os.open(__file__, os.O_RDONLY), lambda error: None)
        self.addCleanup(os.close, end.fd)
        self.assertRaises(OSError, end.want, 0)

    def test_leave(self) -> None:
        """It is forgotten for good when both directions are done with."""
        self.side.send(b"x")
        self.end.want(EPOLLIN)
        self.end.leave()
        self.assertEqual(self.told(), ["readable"])
        self.end.leave()
        self.end.want(EPOLLIN)
        self.end.forget()
        self.assertEqual(len(self.watcher), 0)


class BreakTests(EndTestCase):
    """Errors and hang-ups."""

    def assert_lost(self, number: int) -> None:
        """It is, once, and is watched no more."""
        self.until(lambda: self.side.error)
        self.assertEqual(getattr(self.side.error, "errno", None), number)
        self.assertEqual(len(self.watcher), 0)

    def test_reset(self) -> None:
        """Noticed whatever is wanted."""
        self.end.want(0)
        self.side.reset()
        self.assert_lost(errno.ECONNRESET)
        self.assertEqual(self.recorder.calls, [])

    def test_reset_while_reading(self) -> None:
        """It is left to whoever reads: there may be bytes before it."""
        self.end.want(EPOLLIN)
        self.side.reset()
        self.assertEqual(self.told(), ["readable"])
        self.assertIsNone(self.side.error)

    def test_reset_behind_the_end(self) -> None:
        """Of one that has been read to its end."""
        self.end.want(EPOLLIN)
        self.side.finish()
        self.assertEqual(self.told(), ["readable"])
        self.end.want(EPOLLIN, False)
        self.assertEqual(self.told(), [])
        self.side.reset()
        self.assert_lost(errno.EPIPE)

    def test_hang_up(self) -> None:
        """Both directions have ended, but nobody reads now: told once, if at all."""
        self.side.send(b"x")
        self.end.want(0)
        self.side.finish()
        self.side.near.shutdown(socket.SHUT_WR)
        self.settle()
        self.assertEqual((self.recorder.calls, self.side.error), ([], None))
        self.end.want(EPOLLIN)
        self.assertEqual((self.told(), self.told()), (["readable"], ["readable"]))
        self.end.want(EPOLLIN, False)
        self.settle()
        # Wanting fewer events does not start watching.
        self.end.want(EPOLLOUT, False)
        self.assertFalse(self.is_busy())

    def test_hang_up_without_a_reader(self) -> None:
        """It is no error: nobody asks for one, as that would take it from who reads."""
        told = ToldByHand()
        Descriptor(told, self.side.near, self.lost.append).want(0)
        self.side.reset()
        told.handler(EPOLLHUP)
        self.assertEqual(self.lost, [])
        self.assertRaises(ConnectionResetError, self.side.near.recv, 1)

    def test_number_of_a_socket(self) -> None:
        """What is known of it is the same."""
        Descriptor(self.watcher, self.side.near.fileno(), self.lost.append).want(0)
        self.side.reset()
        self.watcher.doRead()
        self.assertEqual([error.errno for error in self.lost], [errno.ECONNRESET])

    def test_fail(self) -> None:
        """As those do who read and write."""
        self.end.want(EPOLLIN)
        self.end.fail(OSError(errno.EPIPE, "broken"))
        self.assert_lost(errno.EPIPE)

    def test_closed_by_somebody_else(self) -> None:
        """A transport closes its socket first, and then tells."""
        self.end.want(EPOLLIN)
        self.side.near.close()
        self.end.want(EPOLLIN, False)
        self.end.want(EPOLLOUT)
        self.end.forget()
        self.assertEqual((len(self.watcher), self.side.error), (0, None))

    def test_mistake(self) -> None:
        """The connection is lost, so that somebody is told, and the others go on."""
        broken = self.side_with(Broken())
        for side in (broken, self.side):
            side.end.want(EPOLLIN)
            side.send(b"x")
        self.until(lambda: broken.error)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(getattr(broken.error, "errno", None), errno.EIO)
        self.assertEqual(self.told(), ["readable"])
        self.assertEqual(len(self.watcher), 1)


class PipeTests(EndTestCase):
    """A descriptor need not be a socket."""

    def setUp(self) -> None:
        super().setUp()
        self.fds = list(os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
        self.reader, self.writer = (
            Descriptor(self.watcher, fd, self.lost.append, directions=1) for fd in self.fds
        )
        self.reader.reader = self.writer.writer = self.recorder
        self.addCleanup(self.close_both)

    def close_both(self) -> None:
        """What is still open."""
        for end in (self.reader, self.writer):
            end.forget()
            self.close_one(end)

    def close_one(self, end: Descriptor) -> None:
        """Close one, if it is open."""
        if end.fd in self.fds:
            self.fds.remove(end.fd)
            os.close(end.fd)

    def test_bytes(self) -> None:
        self.reader.want(EPOLLIN)
        self.writer.want(EPOLLOUT)
        self.assertEqual(self.told(), ["writable"])
        os.write(self.writer.fd, b"x")
        self.writer.leave()
        self.assertEqual(self.told(), ["readable"])

    def test_writer_gone(self) -> None:
        """That is the end, for whoever reads, and nothing to anybody else."""
        self.close_one(self.writer)
        self.reader.want(0)
        self.settle()
        self.assertEqual((self.recorder.calls, self.lost), ([], []))
        self.reader.want(EPOLLIN)
        self.assertEqual(self.told(), ["readable"])

    def test_reader_gone(self) -> None:
        """That is an error, even if nothing is to be written."""
        self.close_one(self.reader)
        self.writer.want(0)
        self.settle()
        self.assertEqual([error.errno for error in self.lost], [errno.EPIPE])
        self.assertEqual(len(self.watcher), 0)


class AlwaysWritableTests(EndTestCase):
    """A file has room at any time, but not at once."""

    def setUp(self) -> None:
        super().setUp()
        self.file = AlwaysWritable(self.watcher, 1, self.lost.append, directions=1)
        self.file.writer = self.recorder

    def turn(self) -> list[str]:
        """Do what is due, but not what comes from it: that is for the next turn."""
        self.recorder.calls.clear()
        calls, self.reactor.calls = self.reactor.calls, []
        for call in calls:
            call.called = 1
            call.func(*call.args, **call.kw)
        return self.recorder.calls

    def test_room(self) -> None:
        """Again and again, however often it is wanted, until it is not."""
        self.file.want(EPOLLOUT)
        self.file.want(EPOLLOUT)
        self.assertEqual(self.recorder.calls, [])
        for _ in range(3):
            self.assertEqual(self.turn(), ["writable"])
        self.file.want(EPOLLOUT, False)
        self.assertEqual(self.turn(), [])
        self.assertEqual((self.reactor.getDelayedCalls(), self.watcher.fileno()), ([], -1))

    def test_forgotten(self) -> None:
        self.file.want(EPOLLOUT)
        self.file.fail(OSError(errno.ENOSPC, "full"))
        self.assertEqual([error.errno for error in self.lost], [errno.ENOSPC])
        self.file.want(EPOLLOUT)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
