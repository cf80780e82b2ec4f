"""
What a command reports, in each form.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import time

from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.console import Console, Form


class ConsoleTests(SynchronousTestCase):
    """Lines, failures only, and JSON."""

    def told(self, form: Form) -> list[str]:
        """What stands on stderr after an event without a text, one with a text, and a failure."""
        stderr = io.StringIO()
        self.patch(sys, "stderr", stderr)
        console = Console(form)
        console.tell("silent", size=1)
        console.tell("connected", "CONNECTED", peer="a", path=OSError("no form"))
        console.fail("it broke", 3)
        return stderr.getvalue().splitlines()

    def test_forms(self) -> None:
        """JSON is one object a line, with the time."""
        self.assertEqual(self.told(Form.TEXT), ["CONNECTED", "rdv: it broke"])
        self.assertEqual(self.told(Form.QUIET), ["rdv: it broke"])
        self.patch(time, "time", lambda: 1.5)
        self.assertEqual(
            [json.loads(line) for line in self.told(Form.JSON)],
            [
                {"event": "silent", "time": 1.5, "size": 1},
                {"event": "connected", "time": 1.5, "peer": "a", "path": "no form"},
                {"event": "failed", "time": 1.5, "message": "it broke", "status": 3},
            ],
        )

    def test_warning(self) -> None:
        """It is told to everybody, and is no end."""
        for form, told in (
            (Form.TEXT, "TROUBLE: gone"),
            (Form.QUIET, "TROUBLE: gone"),
            (Form.JSON, {"event": "trouble", "time": 1.0, "message": "gone"}),
        ):
            stderr = io.StringIO()
            self.patch(sys, "stderr", stderr)
            self.patch(time, "time", lambda: 1.0)
            Console(form).warn("trouble", "TROUBLE: gone", message="gone")
            line = stderr.getvalue().removesuffix("\n")
            self.assertEqual(json.loads(line) if form is Form.JSON else line, told)

    def test_shown(self) -> None:
        """It is gone before something else is told, and once it is gone nothing is cleared."""
        stderr = io.StringIO()
        self.patch(sys, "stderr", stderr)
        console = Console()
        console.clear()
        console.show("1 %")
        console.show("2 %")
        console.tell("connected", "CONNECTED")
        console.fail("it broke", 3)
        expected = "\r1 %\x1b[K\r2 %\x1b[K\r\x1b[KCONNECTED\nrdv: it broke\n"
        self.assertEqual(stderr.getvalue(), expected)

    def test_nobody_reads(self) -> None:
        """A closed stderr is no reason to fail."""

        class Closed(io.StringIO):
            def write(self, text: str) -> int:
                raise BrokenPipeError

        self.patch(sys, "stderr", Closed())
        Console().tell("connected", "CONNECTED")


class FullTests(SynchronousTestCase):
    """A pipe that nobody reads, and that is full."""

    def setUp(self) -> None:
        self.read_end, write_end = os.pipe()
        self.addCleanup(os.close, self.read_end)
        stderr = os.fdopen(write_end, "w")
        self.addCleanup(stderr.close)
        self.patch(sys, "stderr", stderr)
        self.fill()

    def fill(self) -> None:
        """Until there is no room."""
        # A write that blocks would block forever.
        os.set_blocking(sys.stderr.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(sys.stderr.fileno(), b"x" * 4096)

    def read(self) -> str:
        """What is in it, but what it was filled with."""
        os.set_blocking(self.read_end, False)
        return os.read(self.read_end, 1 << 20).decode().lstrip("x")

    def test_skipped(self) -> None:
        """Nobody waits for it to be read; when it is, it says how much is missing, once."""
        for form, told in (
            (Form.TEXT, ["SKIPPED: 2 lines, because nobody was reading", "ENDED 3", "ENDED 4"]),
            (Form.JSON, ["skipped", "ended", "ended"]),
        ):
            console = Console(form)
            console.never_wait()
            console.tell("ended", "ENDED 1")
            console.warn("refused", "REFUSED 2")
            self.assertEqual(self.read(), "")
            console.tell("ended", "ENDED 3")
            console.tell("ended", "ENDED 4")
            lines = self.read().splitlines()
            if form is Form.JSON:
                self.assertEqual(json.loads(lines[0])["count"], 2)
                lines = [json.loads(line)["event"] for line in lines]
            self.assertEqual(lines, told)
            self.fill()
