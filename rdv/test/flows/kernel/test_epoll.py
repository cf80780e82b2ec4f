"""Many descriptors behind one that the reactor watches."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable
from select import EPOLLIN, EPOLLOUT
from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from rdv._flows.kernel import epoll as watcher
from rdv._flows.kernel.epoll import IReactor, Watcher
from rdv.test.flows.kernel.doubles import HandReactor
from rdv.test.sockets import descriptors


class Owner:
    """
    The owner of the descriptors.

    :ivar failures: the errors that it was notified of.
    """

    def __init__(self) -> None:
        self.failures: list[OSError] = []

    def fail(self, error: OSError) -> None:
        self.failures.append(error)


class WatcherTestCase(SynchronousTestCase):
    """A watcher, and pipes to watch."""

    def setUp(self) -> None:
        before = descriptors()
        self.addCleanup(lambda: self.assertEqual(descriptors(), before))
        self.reactor = HandReactor()
        self.watcher = Watcher(self.reactor)
        self.told: list[tuple[int, int]] = []
        self.owner = Owner()

    def pipe(self) -> tuple[int, int]:
        """The two ends of one: what is read, and what is written."""
        ends = os.pipe()
        for fd in ends:
            self.addCleanup(os.close, fd)
        return ends

    def readable(self, handler: Callable[[int], object] | None = None) -> int:
        """A descriptor with something to read, which is watched."""
        reader, writer = self.pipe()
        os.write(writer, b"x")
        self.watcher.watch(reader, EPOLLIN, handler or self.handler(reader), self.owner)
        return reader

    def handler(self, fd: int) -> Callable[[int], object]:
        """Takes note of what it is told."""
        return lambda events: self.told.append((fd, events))

    def forget(self, *fds: int) -> None:
        """Watch them no longer: nothing is left then."""
        for fd in fds:
            self.watcher.forget(fd)
        self.assertEqual((len(self.watcher), self.watcher.fileno()), (0, -1))
        self.assertEqual(self.reactor.readers, [])


class WatchingTests(WatcherTestCase):
    """What is watched, and which handler is called."""

    def test_double(self) -> None:
        """The reactor of these tests is one."""
        verifyObject(IReactor, self.reactor)

    def test_is_with_the_reactor_while_it_watches(self) -> None:
        self.assertEqual((self.reactor.readers, self.watcher.fileno()), ([], -1))
        first, second = self.readable(), self.readable()
        self.assertEqual((self.reactor.readers, len(self.watcher)), ([self.watcher], 2))
        self.assertEqual(os.readlink(f"/proc/self/fd/{self.watcher.fileno()}")[:10], "anon_inode")
        self.watcher.forget(first)
        self.assertEqual(self.reactor.readers, [self.watcher])
        self.forget(second)
        self.forget(first)

    def test_tells(self) -> None:
        """As long as it is so; only what was asked for; and a hang-up in any case."""
        reader, writer = self.pipe()
        self.watcher.watch(reader, EPOLLIN, self.handler(reader), self.owner)
        self.watcher.watch(writer, EPOLLOUT, self.handler(writer), self.owner)
        self.watcher.doRead()
        self.assertEqual(self.told, [(writer, EPOLLOUT)])
        os.write(writer, b"x")
        self.watcher.change(writer, 0, self.handler(writer))
        self.watcher.doRead()
        self.watcher.doRead()
        self.assertEqual(self.told[1:], [(reader, EPOLLIN)] * 2)
        self.watcher.change(reader, 0, self.handler(reader))
        self.watcher.doRead()
        self.assertEqual(len(self.told), 3)
        self.forget(reader, writer)

    def test_closed_before(self) -> None:
        """A hang-up is told in any case; and somebody may be faster than we to close it."""
        reader, writer = os.pipe()
        self.watcher.watch(reader, 0, self.handler(reader), self.owner)
        os.close(writer)
        self.watcher.doRead()
        self.assertEqual(self.told, [(reader, select.EPOLLHUP)])
        os.close(reader)
        self.watcher.change(reader, EPOLLIN | EPOLLOUT, int)
        self.forget(reader)

    def test_same_number_again(self) -> None:
        """Another descriptor may get it."""
        numbers = []
        for _ in range(2):
            reader, writer = os.pipe()
            numbers.append(reader)
            os.write(writer, b"x")
            self.watcher.watch(reader, EPOLLIN, self.handler(reader), self.owner)
            self.watcher.doRead()
            os.close(reader)
            os.close(writer)
            self.forget(reader)
        self.assertEqual(self.told, [(number, EPOLLIN) for number in numbers])
        self.assertEqual(*numbers)

    def test_forgotten_meanwhile(self) -> None:
        """What happened to one in the same moment is not told when an earlier one forgets it."""

        def forget_other(events: int) -> None:
            self.told.append((0, events))
            for fd in fds:
                self.watcher.forget(fd)

        fds = [self.readable(forget_other) for _ in range(3)]
        self.watcher.doRead()
        self.assertEqual(self.told, [(0, EPOLLIN)])
        self.forget()

    def test_mistake(self) -> None:
        """It costs the one, whose owner is told, and not the others."""
        self.readable(self.make_mistake)
        good = self.readable()
        self.watcher.doRead()
        self.watcher.doRead()
        self.assertEqual(self.told, [(good, EPOLLIN)] * 2)
        self.assertEqual([error.errno for error in self.owner.failures], [errno.EIO])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(len(self.watcher), 1)
        self.forget(good)

    def make_mistake(self, events: int) -> None:
        """A handler."""
        raise RuntimeError("a mistake")

    def test_mistake_of_the_owner(self) -> None:
        """Nor does that one do any harm to others."""
        self.patch(self.owner, "fail", self.make_mistake)
        self.readable(self.make_mistake)
        good = self.readable()
        self.watcher.doRead()
        self.assertEqual(self.told, [(good, EPOLLIN)])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 2)
        self.forget(good)

    def test_mistake_of_one_that_has_left(self) -> None:
        """Nobody is to be told any more."""

        def leave(events: int) -> None:
            self.watcher.forget(fd)
            self.make_mistake(events)

        fd = self.readable(leave)
        self.watcher.doRead()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(self.owner.failures, [])
        self.forget()

    def test_lost(self) -> None:
        """A reactor that stops, or cannot watch it, would never tell of anything any more."""
        self.readable()
        self.watcher.connectionLost(Failure(RuntimeError()))
        self.watcher.doRead()
        self.assertEqual((self.told, len(self.owner.failures), len(self.watcher)), ([], 1, 0))
        self.assertEqual(self.reactor.getReaders(), [])
        self.forget()


class NoDescriptorTests(WatcherTestCase):
    """It cannot watch, and nothing has changed then."""

    def assert_nothing(self) -> None:
        """Nothing is left of the attempt, and the next one succeeds."""
        self.assertEqual((len(self.watcher), self.watcher.fileno()), (0, -1))
        self.assertEqual(self.reactor.readers, [])
        good = self.readable()
        self.watcher.doRead()
        self.assertEqual(self.told, [(good, EPOLLIN)])
        self.forget(good)

    def test_no_room(self) -> None:
        """For an epoll; and the reactor may need memory for it, too."""

        def refuse(*arguments: object) -> None:
            raise OSError(errno.EMFILE, "too many")

        for owner, name in ((select, "epoll"), (self.reactor, "addReader")):
            patch = self.patch(owner, name, refuse)
            self.assertRaises(OSError, self.readable)
            patch.restore()
            self.assert_nothing()
            self.told.clear()

    def test_not_to_be_watched(self) -> None:
        """A file: the others are watched, still."""
        with open(__file__, "rb") as file:
            self.assertRaises(OSError, self.watcher.watch, file.fileno(), EPOLLIN, int, self.owner)
            self.assert_nothing()
            self.told.clear()
            good = self.readable()
            self.assertRaises(OSError, self.watcher.watch, file.fileno(), EPOLLIN, int, self.owner)
        self.watcher.doRead()
        self.assertEqual((self.told, len(self.watcher)), ([(good, EPOLLIN)], 1))
        self.forget(good)


class TurnTests(WatcherTestCase):
    """How long it works before the reactor has its turn again."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(watcher, "_OTHERS", 1e9)

    def looks(self, step: float, readable: bool, streak: int = watcher._STREAK) -> list[float]:
        """
        For how long it would have waited, each time it looked for events.

        :param step: see :class:`HandReactor`.
        :param streak: how many times it has been called before.
        """
        waits: list[float] = []

        class Epoll:
            def __init__(self) -> None:
                self.epoll: Any = real()
                for name in ("register", "unregister", "modify", "fileno", "close"):
                    setattr(self, name, getattr(self.epoll, name))

            def poll(self, wait: float, count: int) -> object:
                waits.append(wait)
                return self.epoll.poll(0, count)

        real = select.epoll
        patch = self.patch(select, "epoll", Epoll)
        fd = self.readable() if readable else self.pipe()[0]
        if not readable:
            self.watcher.watch(fd, EPOLLIN, self.handler(fd), self.owner)
        self.reactor.step = step
        for _ in range(streak):
            waits.clear()
            self.watcher.doRead()
        self.reactor.step = 0.01
        patch.restore()
        self.forget(fd)
        return waits

    def test_ends(self) -> None:
        """So that others have their turn, too, whatever happens here."""
        self.assertEqual(len(self.looks(watcher._TURN * 0.4, True)), 3)
        self.assertEqual(len(self.looks(watcher._TURN * 1.1, True)), 1)

    def test_waits_while_it_is_busy(self) -> None:
        """
        When the last event was not long ago. A question and its answer are not yet a stream of
        events.
        """
        busy, idle = watcher._BUSY * 0.9, watcher._BUSY * 1.1
        self.assertEqual(set(self.looks(busy, True)), {watcher._LINGER})
        self.assertEqual(set(self.looks(idle, True)), {0})
        self.assertEqual(set(self.looks(busy, True, watcher._STREAK - 1)), {0})

    def test_others_have_work(self) -> None:
        """When the reactor computes between two turns, each is as short as can be."""
        self.patch(watcher, "_OTHERS", -1.0)
        self.assertEqual(self.looks(watcher._TURN * 0.1, True), [0])

    def test_others_have_no_work_any_more(self) -> None:
        self.patch(self.watcher, "_polite", watcher._POLITE)
        turns = watcher._POLITE + watcher._STREAK
        self.assertEqual(set(self.looks(watcher._TURN * 0.1, True, turns)), {watcher._LINGER})

    def test_ends_when_nothing_happens(self) -> None:
        self.assertEqual(self.looks(0, False), [watcher._LINGER])
        self.assertEqual(self.looks(1, False), [0])

    def test_tells_the_time_of_the_events(self) -> None:
        good = self.readable()
        before = self.reactor.seconds()
        self.watcher.doRead()
        self.assertTrue(before < self.watcher.now < self.reactor.seconds())
        self.forget(good)

    def test_many(self) -> None:
        """More than are taken from the kernel at once: nobody waits for ever."""
        fds = [self.readable() for _ in range(150)]
        for _ in range(3):
            self.watcher.doRead()
        self.assertEqual({fd for fd, _ in self.told}, set(fds))
        self.forget(*fds)
