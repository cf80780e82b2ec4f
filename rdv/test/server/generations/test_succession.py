"""The start of a new generation. Its process is a double."""

from __future__ import annotations

import os
import sys
from typing import Any, cast

from twisted.internet.error import ProcessDone, ProcessExitedAlready, ProcessTerminated
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv.server.generations.heritage import READY, Heritage, take_heritage
from rdv.server.generations.listeners import Listeners
from rdv.server.generations.succession import Succession


class FakeListeners:
    """Two ports, and one from systemd."""

    named = (("tcp 8080 ", 20), ("tcp 8081 ", 21))

    def __init__(self) -> None:
        self.passed: dict[int, int] = {}


class FakeReactor(Clock):
    """One with processes that do nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[dict[str, Any]] = []
        self.refusing = False
        self.signals: list[str] = []
        self.pid = 4711

    def spawnProcess(self, protocol: Any, executable: str, args: Any, **said: Any) -> None:
        if self.refusing:
            raise OSError(11, "Resource temporarily unavailable")
        self.started.append({"command": args, **said})
        self.protocol = protocol
        protocol.makeConnection(self)

    def signalProcess(self, name: str) -> None:
        if self.pid == 0:
            raise ProcessExitedAlready
        self.signals.append(name)


class SuccessionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor: Any = FakeReactor()
        self.listeners: Any = FakeListeners()
        self.told: list[object] = []
        self.succession = Succession(
            self.reactor,
            cast(Listeners, self.listeners),
            self.told.append,
            lambda: self.told.append("failed"),
            lambda: self.told.append("lost"),
        )
        for end in self.succession.inbox:
            self.addCleanup(end.close)

    def begin(self) -> dict[str, Any]:
        """Start one; how."""
        self.succession.begin()
        started: dict[str, Any] = self.reactor.started[-1]
        return started

    def end(self, status: int | None = None, signal: int | None = None) -> list[str]:
        """It does; what is logged."""
        reason = ProcessTerminated(status, signal) if status or signal else ProcessDone(0)
        with capturedLogs() as events:
            self.reactor.protocol.processExited(Failure(reason))
        return [formatEvent(event) for event in events]

    def test_what_it_gets(self) -> None:
        """The command line of this process, and descriptors that it can find."""
        started = self.begin()
        self.assertEqual(started["command"], [sys.executable, *sys.orig_argv[1:]])
        descriptors = started["childFDs"]
        self.assertEqual({number: descriptors[number] for number in (0, 1, 2)}, {0: 0, 1: 1, 2: 2})
        self.assertEqual((descriptors[5], descriptors[6]), (20, 21))
        self.assertEqual((descriptors[3], descriptors[4]), ("r", self.succession.inbox[0].fileno()))
        self.assertNotIn("_RDV_HERITAGE", os.environ)

    def test_sockets_of_systemd(self) -> None:
        """They keep their numbers, and a shell says for whom they are."""
        self.listeners.passed = {3: 30}
        self.patch(os, "environ", {"LISTEN_FDNAMES": "rdv", "WATCHDOG_PID": "1", "A": "b"})
        started = self.begin()
        environment = started["env"]
        self.assertEqual((environment["LISTEN_FDS"], environment["LISTEN_FDNAMES"]), ("1", "rdv"))
        self.assertEqual((environment["A"], environment.get("WATCHDOG_PID")), ("b", None))
        self.assertEqual(started["command"][0], "/bin/sh")
        self.assertEqual((started["childFDs"][3], started["childFDs"][4]), (30, "r"))

    def test_serves(self) -> None:
        self.begin()
        for piece in (READY[:3], READY[3:]):
            self.assertEqual(self.told, [])
            self.reactor.protocol.childDataReceived(3, piece)
        self.assertEqual(self.told, [4711])
        self.assertTrue(self.succession.is_over)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.succession.begin()
        self.succession.cancel()
        self.assertEqual((len(self.reactor.started), self.reactor.signals), (1, []))
        self.assertEqual(self.end(signal=9), ["the new generation has ended: signal 9"])
        self.assertEqual(self.told, [4711, "lost"])

    def test_its_end(self) -> None:
        """Is bad news only when nobody wanted it."""
        for signal, level in ((None, LogLevel.info), (9, LogLevel.critical)):
            self.setUp()
            self.begin()
            self.reactor.protocol.childDataReceived(3, READY)
            with capturedLogs() as events:
                self.end(signal=signal)
            self.assertEqual([event["log_level"] for event in events], [level])

    def test_does_not_start(self) -> None:
        """Be it that it ends in good order; then another one may."""
        for status in (None, 7):
            self.begin()
            said = f"the new generation did not start: exit status {status or 0}; this one goes on"
            self.assertEqual(self.end(status), [said])
            self.assertEqual(self.told.pop(), "failed")
            self.assertFalse(self.succession.is_over)
            self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_cannot_be_started(self) -> None:
        self.reactor.refusing = True
        self.succession.begin()
        self.assertEqual(self.told, ["failed"])
        self.reactor.refusing = False
        self.begin()

    def test_hangs(self) -> None:
        """It has a minute."""
        self.begin()
        self.succession.begin()
        self.assertEqual(len(self.reactor.started), 1)
        self.reactor.advance(59)
        self.assertEqual(self.reactor.signals, [])
        self.reactor.advance(1)
        self.assertEqual(self.reactor.signals, ["KILL"])
        self.end(signal=9)
        self.assertEqual(self.told, ["failed"])

    def test_cancelled(self) -> None:
        self.begin()
        self.succession.cancel()
        self.assertEqual(self.reactor.signals, ["KILL"])
        self.end(signal=9)
        self.succession.cancel()


class HeritageTests(SynchronousTestCase):
    def test_none(self) -> None:
        heritage = take_heritage({"A": "b"})
        self.assertEqual(heritage, Heritage())
        self.assertIsNone(heritage.open_inbox())
        heritage.say_ready()

    def test_there_and_back(self) -> None:
        """It is found once, and no other process gets it."""
        here, there = os.pipe()
        self.addCleanup(os.close, here)
        os.set_inheritable(there, True)
        environment = Heritage([("tcp 1 ", there)], there, there).to_environment({"A": "b"})
        heritage = take_heritage(environment)
        self.assertEqual(heritage, Heritage([("tcp 1 ", there)], there, there))
        self.assertEqual(environment, {"A": "b"})
        self.assertFalse(os.get_inheritable(there))
        heritage.say_ready()
        self.assertEqual(os.read(here, 100), READY)
        self.assertEqual(os.read(here, 100), b"")

    def test_nobody_listens(self) -> None:
        """The generation before has ended meanwhile."""
        here, there = os.pipe()
        os.close(here)
        Heritage(said=there).say_ready()
