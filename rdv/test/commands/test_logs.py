"""What a command logs, beside what it tells."""

from __future__ import annotations

import io
import json
import sys

from twisted.logger import Logger, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.console import Console, Form
from rdv.commands.running import observer_for


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
