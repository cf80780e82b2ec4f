"""
What a command logs, in addition to what it reports, and how a signal ends it.
"""

from __future__ import annotations

import io
import json
import signal
import sys
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.console import Console, Form
from rdv.commands.running import Interrupted, observer_for, until_signal
from rdv.errors import RdvError


class ObserverTests(SynchronousTestCase):
    """Lines, and events."""

    def setUp(self) -> None:
        self.stderr = io.StringIO()
        self.patch(sys, "stderr", self.stderr)

    def begin(self, form: Form) -> Console:
        """Log in that form."""
        console = Console(form)
        self.log = Logger("a.module", observer=LogPublisher(observer_for(console)))
        return console

    def test_text(self) -> None:
        """A line takes the place of what is just shown."""
        console = self.begin(Form.TEXT)
        console.show("50 %")
        self.log.info("it {what}", what="works")
        shown, line = self.stderr.getvalue().split("\x1b[K", 1)
        self.assertEqual(shown, "\r50 %")
        self.assertRegex(line, r"^\r\x1b\[K\d{4}-\S+ \[a\.module#info\] it works\n$")

    def test_json(self) -> None:
        """With a traceback it is still one line."""
        self.begin(Form.JSON)
        self.log.info("it {what}", what="works")
        try:
            raise RuntimeError("not today")
        except RuntimeError:
            self.log.failure("it does not")
        works, fails = map(json.loads, self.stderr.getvalue().splitlines())
        self.assertIsInstance(works.pop("time"), float)
        self.assertEqual(
            works, {"event": "log", "level": "info", "source": "a.module", "message": "it works"}
        )
        self.assertEqual((fails["event"], fails["level"]), ("log", "critical"))
        self.assertRegex(
            fails["message"], r"^it does not\nTraceback (.|\n)*RuntimeError: not today"
        )


class SignalTests(SynchronousTestCase):
    """``until_signal``, with a reactor that runs at once."""

    def setUp(self) -> None:
        self.handlers: dict[int, Any] = {}
        self.patch(signal, "signal", self.handlers.__setitem__)
        self.later: list[Any] = []
        self.waiting: Deferred[str] = Deferred()

    def callWhenRunning(self, function: Any, *arguments: Any) -> None:
        function(*arguments)

    def callFromThread(self, function: Any) -> None:
        self.later.append(function)

    def begin(self) -> Deferred[str]:
        """Wait for something."""

        async def wait() -> str:
            try:
                return await self.waiting
            except CancelledError as error:
                raise RdvError("cut") from error

        return Deferred.fromCoroutine(until_signal(self, wait()))

    def test_interrupted(self) -> None:
        """In the reactor's own time; whatever fails before that is already its doing."""
        for number in (signal.SIGINT, signal.SIGTERM):
            self.setUp()
            result = self.begin()
            self.handlers[number](number, None)
            self.assertNoResult(result)
            for call in self.later:
                call()
            interrupted = self.failureResultOf(result, Interrupted).value
            self.assertEqual(interrupted.status, 128 + number)

    def test_without_a_signal(self) -> None:
        result = self.begin()
        self.waiting.callback("done")
        self.assertEqual(self.successResultOf(result), "done")
        self.waiting = Deferred()
        result = self.begin()
        self.waiting.errback(RdvError("broken"))
        self.failureResultOf(result, RdvError)
