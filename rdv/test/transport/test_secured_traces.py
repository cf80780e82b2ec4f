"""
Event sequences of the model of a move, repeated with the real transports: both are in the same
state after each step.
"""

from __future__ import annotations

from typing import cast

from twisted.internet.error import ConnectionAborted, ConnectionLost
from twisted.internet.interfaces import ITransport
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv._secure.path import SecurePath
from rdv._secure.stream import Stream
from rdv._transport.path_end import PathEnd
from rdv._transport.secured import Joining, SecureTransport
from rdv.test.doubles import HalfCloseRecorder
from rdv.test.secure.doubles import joining, paths
from rdv.test.secure.explorer import Explorer
from rdv.test.secure.move_model import (
    CLOSED,
    DIALER,
    JOIN,
    RESET,
    Bounds,
    Step,
    World,
)


class Wire:
    """
    One end of a connection on which each record is in flight until the test lets it arrive.

    :ivar way: what is in flight to the other end.
    :ivar ended: whether its owner has closed this end and has not been notified yet.
    """

    def __init__(self) -> None:
        self.way: list[bytes | str] = []
        self.other = self
        self.open = True
        self.ended = False
        self.cut = False
        self.paused = False

    def put(self, item: bytes | str) -> None:
        if self.open and self.other.open and not self.cut:
            self.way.append(item)

    def writeSequence(self, pieces: list[bytes]) -> None:
        data = b"".join(pieces)
        while data:
            size = 5 + int.from_bytes(data[3:5], "big")
            self.put(data[:size])
            data = data[size:]

    def _close(self, item: str) -> None:
        if self.open:
            self.put(item)
            self.open = False
            self.ended = True
            self.other.way.clear()

    def loseConnection(self) -> None:
        self._close(CLOSED)

    #: In the model a path that is left is closed; that it is read on says nothing.
    loseWriteConnection = loseConnection

    def abortConnection(self) -> None:
        if self.open:
            self._close(RESET)
            self.cut = self.other.cut = True

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Nobody is told that all has left."""

    def unregisterProducer(self) -> None:
        """See above."""


class Replay:
    """Does to two secured transports what happens to the two sides of the model."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.recorders = [HalfCloseRecorder(), HalfCloseRecorder()]
        self.first = paths(moves=True)[::-1]
        self.sides = [
            SecureTransport(self.clock, path, recorder)
            for path, recorder in zip(self.first, self.recorders, strict=True)
        ]
        self.written = [0, 0]
        self.wires: list[list[Wire]] = []
        self.ends: list[list[PathEnd | None]] = []
        self.joining: dict[int, SecurePath] = {}
        self._connect([side.first for side in self.sides])
        self._read(DIALER, 0)

    def _connect(self, ends: list[PathEnd]) -> None:
        near, far = Wire(), Wire()
        near.other, far.other = far, near
        self.wires.append([near, far])
        self.ends.append([*ends, *[None] * (2 - len(ends))])
        for end, wire in zip(ends, (near, far), strict=False):
            end.makeConnection(cast(ITransport, wire))

    def happen(self, step: Step) -> None:
        """The same as in the model."""
        what, number, path, kept = step
        side = self.sides[number]
        if what == "write":
            self.written[number] += 1
            side.write(bytes([self.written[number]]))
        elif what == "end":
            side.loseWriteConnection()
        elif what == "read":
            self._read(number, path)
        elif what == "notice":
            self.wires[path][1 - number].way[:] = [RESET]
            self._read(number, path)
        elif what == "join":
            acceptor, dialer = joining(*self.first[::-1])
            self.joining[path] = acceptor
            end = side.join(dialer)
            end.proven.addErrback(lambda _: None)
            self._connect([end])
            self.wires[path][number].put(JOIN)
        elif what == "give up":
            cast(Joining, self.ends[path][number]).proven.cancel()
        elif what == "lose":
            for to, wire in enumerate(reversed(self.wires[path])):
                wire.way[kept[to] :] = [RESET]
                wire.cut = True
        self._tell()

    def _read(self, number: int, path: int) -> None:
        item = self.wires[path][1 - number].way.pop(0)
        wire, end = self.wires[path][number], self.ends[path][number]
        if item == JOIN:
            side = self.sides[number]
            if side.can_move:
                new = side.join(self.joining[path])
                new.proven.addErrback(lambda _: None)
                self.ends[path][number] = new
                new.makeConnection(cast(ITransport, wire))
            else:
                wire.abortConnection()
        elif end is None:  # the acceptor has not looked at it
            wire.open = False
        elif item == CLOSED:
            wire.other.cut = True  # nothing that is said now arrives
            end.readConnectionLost()
        elif item == RESET:
            wire.open = False
            end.connectionLost(Failure(ConnectionLost()))
        else:
            end.dataReceived(cast(bytes, item))

    def _tell(self) -> None:
        """
        Twisted tells of the end of a connection that was closed, in a later turn. A candidate that
        has joined nothing goes with the stream.
        """
        for wires, ends in zip(self.wires, self.ends, strict=True):
            for wire, end in zip(wires, ends, strict=True):
                if wire.ended and end is not None:
                    wire.ended = False
                    end.connectionLost(Failure(ConnectionAborted()))
        for number, recorder in enumerate(self.recorders):
            for wires, ends in zip(self.wires, self.ends, strict=True):
                if recorder.lost is not None and ends[number] is None:
                    wires[number].abortConnection()

    def state(self, number: int, path: int) -> tuple[object, ...]:
        """What it has of a path: whether it is there, what comes on it, and whether it looks."""
        if path >= len(self.wires):
            return (False,)
        wire = self.wires[path][number]
        if not wire.open:
            return (False,)
        return True, len(wire.other.way), not wire.paused


def expected(world: World, number: int, path: int) -> tuple[object, ...]:
    """The same of the model."""
    side = world.sides[number]
    if not side.open[path]:
        return (False,)
    order = side.orders[path]
    reads = order is None or side.stream.reads(order)
    return True, len(world.way[path][number]), reads


class TraceTests(SynchronousTestCase):
    """Sequences of events."""

    def replay(self, bounds: Bounds, course: list[Step]) -> None:
        """Go through one."""
        world, real = World(bounds, Stream), Replay()
        for count, step in enumerate(course):
            world.happen(step)
            real.happen(step)
            for number, side in enumerate(world.sides):
                done = course[: count + 1]
                lost = real.recorders[number].lost
                outcome = None if lost is None else real.recorders[number].lost_cleanly
                self.assertEqual((outcome, done), (side.outcome, done))
                received = real.recorders[number].received
                self.assertEqual(received, bytes(range(1, side.read + 1)))
                for path in range(len(world.way)):
                    state = real.state(number, path)
                    self.assertEqual((state, done), (expected(world, number, path), done))
        self.assertEqual(real.clock.getDelayedCalls(), [])

    def test_courses(self) -> None:
        """With losses and without, and with a path that is given up for another one."""
        for bounds in (
            Bounds((1, 1), 1, 0, prompt=True),
            Bounds((1, 0), 1, 1, prompt=True),
            Bounds((0, 1), 1, 1, prompt=True),
            Bounds((0, 0), 2, 1, prompt=True),
        ):
            courses = self.courses(bounds)
            self.assertGreater(len(courses), 20)
            for course in courses:
                self.replay(bounds, course)

    def courses(self, bounds: Bounds) -> list[list[Step]]:
        """What the model finds: how one comes to each end."""
        courses: list[list[Step]] = []
        found = Explorer(bounds).run(lambda _, course: courses.append(course))
        self.assertEqual(found.faults, {})
        return courses
