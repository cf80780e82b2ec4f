"""
What a server reports to its service manager, and when.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.lifecycle.reloading import Reload, reload_all
from rdv.server.lifecycle.supervision import Condition, supervise


class Manager:
    """A double of :class:`rdv._system.service_manager.ServiceManager` that records."""

    def __init__(self, *, is_there: bool = True, watchdog: float | None = None) -> None:
        self.is_there = is_there
        self.watchdog = watchdog
        self.said: list[dict[str, object]] = []

    def tell(self, **fields: object) -> None:
        self.said.append(fields)

    def take(self) -> list[dict[str, object]]:
        """What it was told since the last time."""
        said, self.said = self.said, []
        return said


class Server:
    """The part of a server that is supervised."""

    def __init__(self) -> None:
        self.ready: Deferred[None] = Deferred()
        self.reloads: list[Reload] = [lambda: None]
        self.replaced: list[Callable[[int], object]] = []
        self.now = Condition("0 pairs", True, False)

    def condition(self) -> Condition:
        return self.now


class SupervisionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock: Any = Clock()
        self.server = Server()

    def start(self, **options: Any) -> list[dict[str, object]]:
        """Supervise it; what is said when it is ready."""
        manager: Any = Manager(**options)
        self.manager = manager
        supervise(self.clock, self.server, manager)
        self.assertEqual(self.manager.take(), [])
        self.server.ready.callback(None)
        said: list[dict[str, object]] = self.manager.take()
        return said

    def test_replaced(self) -> None:
        """Whoever has taken its place is named, and speaks from then on."""
        self.start(watchdog=6.0)
        for replaced in self.server.replaced:
            replaced(4711)
        self.server.now = Condition("1 pairs", True, True)
        self.clock.advance(60)
        self.assertEqual(self.manager.take(), [{"MAINPID": 4711}])

    def test_status(self) -> None:
        """When it has changed."""
        self.assertEqual(self.start(), [{"READY": 1}, {"STATUS": "0 pairs"}])
        self.clock.pump([5.0] * 5)
        self.assertEqual(self.manager.take(), [])
        self.server.now = self.server.now._replace(text="1 pair")
        self.clock.advance(5.0)
        self.assertEqual(self.manager.take(), [{"STATUS": "1 pair"}])

    def test_watchdog(self) -> None:
        """In time, as long as it is well."""
        self.start(watchdog=6.0)
        self.clock.pump([2.0] * 3)
        self.assertEqual(self.manager.take(), [{"WATCHDOG": 1}] * 3)
        self.server.now = self.server.now._replace(is_well=False)
        self.clock.pump([2.0] * 10)
        self.assertEqual(self.manager.take(), [])
        self.server.now = self.server.now._replace(is_well=True)
        self.clock.advance(2.0)
        self.assertEqual(self.manager.take(), [{"WATCHDOG": 1}])

    def test_reload(self) -> None:
        """From the first to the last thing that is read."""
        said: list[int] = []
        self.server.reloads.append(lambda: said.append(len(self.manager.said)))
        self.start()
        reload_all(self.server.reloads)
        first, second = self.manager.take()
        self.assertEqual((first.pop("RELOADING"), second), (1, {"READY": 1}))
        self.assertGreater(first.pop("MONOTONIC_USEC"), 0)
        self.assertEqual((first, said), ({}, [1]))

    def test_stop(self) -> None:
        """It gets more time for as long as it goes on."""
        self.start(watchdog=30.0)
        self.server.now = Condition("0 pairs", False, True)
        self.clock.pump([5.0] * 3)
        more = {"EXTEND_TIMEOUT_USEC": 30_000_000, "WATCHDOG": 1}
        self.assertEqual(self.manager.take(), [{"STOPPING": 1, **more}, more, more])

    def test_nobody(self) -> None:
        self.assertEqual(self.start(is_there=False), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.server.reloads), 1)
