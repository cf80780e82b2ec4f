"""The limit of descriptors: read, divided, and raised."""

from __future__ import annotations

import os
import resource
import sys

from twisted.internet.selectreactor import SelectReactor
from twisted.logger import LogEvent, LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rdv._system import descriptors
from rdv._system.descriptors import (
    first_reserved,
    in_use,
    limit,
    lowest_free,
    raise_limit,
    reserve,
)
from rdv.server import Rendezvous, RendezvousResource
from rdv.test.server.doubles import WebTestCase, request

INFINITY = resource.RLIM_INFINITY


class ReserveTests(SynchronousTestCase):
    """How much is kept free."""

    def test_parts(self) -> None:
        for number, kept in ((40, 20), (100, 50), (200, 64), (1024, 128), (4096, 512), (1e6, 512)):
            self.patch(descriptors, "limit", lambda number=int(number): number)
            self.assertEqual((reserve(), first_reserved()), (kept, number - kept))

    def test_no_limit(self) -> None:
        """All numbers are below it."""
        self.patch(resource, "getrlimit", lambda what: (INFINITY, INFINITY))
        self.assertEqual(limit(), sys.maxsize)
        self.assertGreater(first_reserved(), 1 << 30)


class LimitTestCase(SynchronousTestCase):
    """The limit of this process, which is put back in the end."""

    def setUp(self) -> None:
        self.soft, self.hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(self.set_limit, self.soft)

    def set_limit(self, soft: int) -> None:
        """Nothing forbids to have more of them already."""
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, self.hard))


class LowestFreeTests(LimitTestCase):
    """The number that comes next."""

    def test_next(self) -> None:
        """It is what the system takes indeed, and is not used up."""
        for _ in range(2):
            free = lowest_free(0)
            fd = os.open(os.devnull, os.O_RDONLY)
            self.assertEqual(fd, free)
            self.assertGreater(lowest_free(0), free)
            os.close(fd)

    def test_none(self) -> None:
        free = lowest_free(0)
        self.set_limit(free)
        self.assertEqual((lowest_free(0), limit()), (free, free))


class InUseTests(SynchronousTestCase):
    """How many there are."""

    def count(self) -> int:
        """As many more as were opened."""
        before = in_use()
        opened = [os.dup(0) for _ in range(10)]
        after = in_use()
        for each in opened:
            os.close(each)
        assert before is not None
        assert after is not None
        self.assertGreater(before, 2)
        return after - before

    def test_more(self) -> None:
        self.assertEqual(self.count(), 10)

    def test_where_the_directory_has_no_size(self) -> None:
        """As before Linux 6.2, or where there is no such directory."""

        def stat(path: str) -> object:
            raise FileNotFoundError(path)

        self.patch(os, "stat", stat)
        self.assertEqual(self.count(), 10)

    def test_unknown(self) -> None:
        def nothing(path: str) -> object:
            raise FileNotFoundError(path)

        self.patch(os, "stat", nothing)
        self.patch(os, "listdir", nothing)
        self.assertIsNone(in_use())


class RaiseTests(LimitTestCase):
    """What the programs do when they start."""

    def raised(self, reactor: object = None) -> LogEvent:
        """Raise it; what is logged."""
        with capturedLogs() as events:
            self.assertEqual(raise_limit(reactor), descriptors.limit())
        (event,) = events
        self.assertEqual((event["limit"], event["room"]), (descriptors.limit(), first_reserved()))
        return event

    def test_to_the_hard_one(self) -> None:
        self.set_limit(100)
        self.raised()
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), (self.hard, self.hard))

    def test_what_select_can_watch(self) -> None:
        """Not one more, even where there were more."""
        for soft in (100, 2000):
            self.set_limit(soft)
            self.raised(SelectReactor.__new__(SelectReactor))  # that is all it needs to be here
            self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), (1024, self.hard))

    def test_hard_limit_that_cannot_be_had(self) -> None:
        """As on macOS, where it is none, and yet there is one."""
        limits = {"soft": 256}

        def set_limits(what: int, wanted: tuple[int, int]) -> None:
            if not 0 <= wanted[0] <= 30_000:
                raise ValueError("current limit exceeds maximum limit")
            limits["soft"] = wanted[0]

        self.patch(resource, "getrlimit", lambda what: (limits["soft"], INFINITY))
        self.patch(resource, "setrlimit", set_limits)
        for soft, raised in ((256, 10_240), (20_000, 20_000)):
            limits["soft"] = soft
            self.assertEqual(self.raised()["limit"], raised)

    def test_nothing_can_be_had(self) -> None:
        """It stays as it is."""

        def refuse(what: int, wanted: tuple[int, int]) -> None:
            raise OSError("not permitted")

        self.set_limit(100)
        self.patch(resource, "setrlimit", refuse)
        self.assertEqual(self.raised()["limit"], 100)

    def test_level(self) -> None:
        """Few are worth a warning."""
        for number, level in ((1024, LogLevel.warn), (4096, LogLevel.info)):
            self.patch(descriptors, "limit", lambda number=number: number)
            self.assertEqual(self.raised()["log_level"], level)


class LibraryTests(LimitTestCase, WebTestCase):
    """A rendezvous in another program's process."""

    def setUp(self) -> None:
        LimitTestCase.setUp(self)
        WebTestCase.setUp(self)

    def test_leaves_the_limit_alone(self) -> None:
        self.set_limit(self.soft - 1)
        self.rendezvous = Rendezvous(self.clock)
        self.mount(RendezvousResource(self.rendezvous))
        self.assert_waiting(self.browse(request()))
        self.assertEqual(resource.getrlimit(resource.RLIMIT_NOFILE), (self.soft - 1, self.hard))
