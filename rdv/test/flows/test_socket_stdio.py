"""Sockets as stdin and stdout, perhaps one for both, as a server gives them to a command."""

from __future__ import annotations

import errno
import os
import select
import socket
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.testing import MemoryReactor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv._flows.sinks import ReaderLeft, open_sink
from rdv._flows.sources import open_source
from rdv._system.sockets import linger
from rdv.test.sockets import Handle, tcp_pair


class Collecting:
    """
    A consumer.

    :ivar data: what it has got.
    :ivar ended: how the source has ended; empty as long as it has not.
    """

    def __init__(self) -> None:
        self.data = b""
        self.ended: list[OSError | None] = []

    def write(self, data: bytes) -> None:
        self.data += data

    def registerProducer(self, producer: object, streaming: bool) -> None: ...
    def unregisterProducer(self) -> None: ...


class SourceTests(SynchronousTestCase):
    """A TCP socket as stdin."""

    def setUp(self) -> None:
        self.near, self.far = tcp_pair()
        self.addCleanup(self.far.close)
        self.addCleanup(self.near.close)
        self.reactor: Any = MemoryReactor()
        self.source: Any = open_source(self.reactor, self.near.fileno())
        self.consumer = Collecting()
        self.source.start(self.consumer, self.consumer.ended.append)

    def read(self) -> None:
        """Let it read once, when there is something."""
        self.assertTrue(select.select([self.near], [], [], 10)[0])
        self.source.doRead()

    def test_end(self) -> None:
        self.far.sendall(b"all of it")
        self.far.close()
        self.read()
        self.read()
        self.assertEqual((self.consumer.data, self.consumer.ended), (b"all of it", [None]))
        self.assertEqual(self.reactor.getReaders(), [])

    def test_reset(self) -> None:
        """It is not the end: something is missing."""
        self.far.sendall(b"part")
        self.read()
        linger(Handle(self.far), True)
        self.far.close()
        self.read()
        self.assertEqual(self.consumer.data, b"part")
        self.assertEqual([getattr(e, "errno", 0) for e in self.consumer.ended], [errno.ECONNRESET])
        self.assertEqual(self.reactor.getReaders(), [])

    def test_loss_that_the_reactor_has_noticed(self) -> None:
        self.source.connectionLost(Failure(CONNECTION_LOST))
        self.source.start(self.consumer, self.consumer.ended.append)
        self.source.connectionLost(Failure(ConnectionDone()))
        lost, ended = self.consumer.ended
        self.assertIsInstance(lost, OSError)
        self.assertIsNone(ended)


class StoppedTests(SynchronousTestCase):
    """A source that has been stopped."""

    def test_reads_nothing(self) -> None:
        """Even if its reactor has more to tell: the bytes are somebody else's."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        source: Any = open_source(MemoryReactor(), reader)
        source.start(Collecting(), lambda error: None)
        os.write(writer, b"x")
        source.stop()
        source.doRead()
        self.assertEqual(os.read(reader, 1), b"x")


class FileTests(SynchronousTestCase):
    """A directory, or a truncated file, as stdin."""

    def test_directory(self) -> None:
        """A mistake, not an empty input."""
        directory = os.open(os.curdir, os.O_RDONLY)
        self.addCleanup(os.close, directory)
        source: Any = open_source(MemoryReactor(), directory)
        consumer = Collecting()
        source.start(consumer, consumer.ended.append)
        source.resumeProducing()
        self.assertEqual([getattr(e, "errno", 0) for e in consumer.ended], [errno.EISDIR])

    def ended(self, position: int, size: int) -> list[str | None]:
        """Read a piece of one of 1,000,000 bytes, from there on, cut it, and read on."""
        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(bytes(1_000_000))
        fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        os.lseek(fd, position, os.SEEK_SET)
        source: Any = open_source(MemoryReactor(), fd)
        consumer = Collecting()
        source.start(consumer, consumer.ended.append)
        source.resumeProducing()
        os.truncate(path, size)
        while not consumer.ended:
            source.resumeProducing()
        return [getattr(error, "strerror", None) for error in consumer.ended]

    def test_shorter(self) -> None:
        """What was sent is not a file, if it is cut behind us; before us it is what it is."""
        self.assertEqual(self.ended(0, 1000), ["the file was truncated"])
        self.assertEqual(self.ended(0, 900_000), [None])
        # Another process has moved the position beyond the end.
        self.assertEqual(self.ended(1_000_001, 1000), [None])

    def test_has_more_than_its_size(self) -> None:
        """As the files of Linux's /proc have."""
        with open(__file__, "rb") as file:
            really = os.fstat(file.fileno())
            empty = os.stat_result((*really[:6], 0, *really[7:]))
            self.patch(os, "fstat", lambda fd: empty)
            source: Any = open_source(MemoryReactor(), file.fileno())
            consumer = Collecting()
            source.start(consumer, consumer.ended.append)
            while not consumer.ended:
                source.resumeProducing()
        self.assertEqual(consumer.ended, [None])


class ReaderTests(SynchronousTestCase):
    """The reader of a pipe leaves, which more than one may notice."""

    def failure(self, error: OSError, data: bytes) -> Failure:
        """What the sink says when it has that to write, and is told of an error."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        sink: Any = open_sink(MemoryReactor(), writer)
        sink.start(_Producer())
        sink.write(data)
        sink.fail(error)
        failure: Failure = self.failureResultOf(sink.done, BrokenPipeError)
        return failure

    def test_left(self) -> None:
        """Whoever says that there is nothing to write does not know of it."""
        self.assertIsInstance(self.failure(ReaderLeft(), b"").value, ReaderLeft)
        for error in (ReaderLeft(), BrokenPipeError()):
            self.assertNotIsInstance(self.failure(error, b"x").value, ReaderLeft)

    def test_who_could_read_the_pipe_himself(self) -> None:
        """What he would find there is what he has written, and tells of no reader."""
        path = self.mktemp()
        os.mkfifo(path)
        for mode, looks in ((os.O_RDWR, False), (os.O_WRONLY, True)):
            fd = os.open(path, mode)
            self.addCleanup(os.close, fd)
            reactor = MemoryReactor()
            sink: Any = open_sink(reactor, fd)
            sink.start(_Producer())
            self.assertEqual(sink in reactor.getReaders(), looks)


class OneSocketTests(SynchronousTestCase):
    """The same socket for both: what ends is one direction."""

    def setUp(self) -> None:
        self.near, self.far = socket.socketpair()
        self.far.settimeout(10)
        self.addCleanup(self.far.close)
        self.addCleanup(self.near.close)
        self.stdout = os.dup(self.near.fileno())
        self.addCleanup(os.close, self.stdout)
        self.sink: Any = open_sink(MemoryReactor(), self.stdout)
        self.sink.start(_Producer())

    def end(self) -> Deferred[None]:
        """Let the sink end."""
        self.sink.finish()
        self.sink.doWrite()
        if self.sink.connected:
            self.sink.connectionLost(Failure(ConnectionDone()))
        done: Deferred[None] = self.sink.done
        return done

    def test_other_direction_goes_on(self) -> None:
        self.sink.write(b"bye")
        self.successResultOf(self.end())
        self.assertEqual(self.far.recv(100), b"bye")
        self.assertEqual(self.far.recv(100), b"")
        self.far.sendall(b"still here")
        self.assertEqual(self.near.recv(100), b"still here")

    def test_reader_has_gone(self) -> None:
        """Too late for an end, and no error."""
        self.far.close()
        self.successResultOf(self.end())


class _Producer:
    """Produces nothing."""

    def pauseProducing(self) -> None: ...
    def resumeProducing(self) -> None: ...
    def stopProducing(self) -> None: ...
