"""``--explain`` and ``--explain-to``, without a process."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.console import Console, Form
from rdv.client.trace import Event, What
from rdv.commands import explaining as explaining_module
from rdv.commands.explaining import Explaining
from rdv.commands.running import BadUsage
from rdv.test.explain.doubles import DIRECT, MOVED, STAYED, moving


class Stderr(io.TextIOWrapper):
    """One that may be a terminal."""

    def __init__(self, encoding: str, terminal: bool) -> None:
        self.raw_bytes = io.BytesIO()
        super().__init__(self.raw_bytes, encoding=encoding)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class ExplainingTestCase(SynchronousTestCase):
    """A trace that has seen :data:`DIRECT`."""

    def explained(
        self,
        *,
        form: Form = Form.TEXT,
        encoding: str = "utf-8",
        terminal: bool = False,
        path: str | None = None,
        to_stderr: bool = True,
        more: tuple[Event, ...] = (),
    ) -> str:
        """What is written to stderr."""
        stderr = Stderr(encoding, terminal)
        self.patch(sys, "stderr", stderr)
        explaining = Explaining(Console(form), to_stderr, path)
        for event in DIRECT:
            explaining(event)
        result = Failure(ValueError())
        self.assertIs(explaining.ended(result), result)
        for event in more:
            explaining(event)
        stderr.flush()
        return stderr.raw_bytes.getvalue().decode(encoding)


class StderrTests(ExplainingTestCase):
    """The waterfall."""

    def setUp(self) -> None:
        self.patch(os, "environ", {"COLUMNS": "90", "TERM": "xterm"})

    def test_pipe(self) -> None:
        text = self.explained()
        self.assertIn("★ chosen", text)
        self.assertNotIn("\x1b", text)
        self.assertLessEqual(max(map(len, text.splitlines())), 90)

    def test_ascii(self) -> None:
        """What the encoding has no room for is not used."""
        for encoding in ("ascii", "latin-1"):
            self.assertTrue(self.explained(encoding=encoding).isascii())

    def test_terminal(self) -> None:
        """In colour, unless nobody wants it, or it has none."""
        self.assertIn("\x1b[32m", self.explained(terminal=True))
        usual = dict(os.environ)
        for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
            self.patch(os, "environ", {**usual, name: value})
            self.assertNotIn("\x1b", self.explained(terminal=True))

    def test_quiet(self) -> None:
        """Whoever asks for it gets it."""
        self.assertIn("★ chosen", self.explained(form=Form.QUIET))

    def test_json(self) -> None:
        """One object a line, this one too."""
        (line,) = self.explained(form=Form.JSON, terminal=True).splitlines()
        told = json.loads(line)
        self.assertEqual(told["event"], "explained")
        self.assertIn("★ chosen", told["message"])
        self.assertNotIn("\x1b", told["message"])

    def test_switched(self) -> None:
        """What comes behind the picture is told in a line."""
        event = Event(DIRECT[-1].time + 1, 1, What.SWITCHED, {"way": 1, "peer": "x"})
        text = self.explained(more=(event,))
        self.assertIn("the relay replaced it.", text.splitlines()[-1])

    def test_failing(self) -> None:
        """Something that cannot be explained is logged; what came of the attempt stays."""

        def fail(*args: object, **options: object) -> str:
            raise RuntimeError("not my day")

        self.patch(explaining_module, "waterfall", fail)
        self.assertEqual(self.explained(), "")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_nothing(self) -> None:
        """No attempt, no picture."""
        stderr = Stderr("utf-8", False)
        self.patch(sys, "stderr", stderr)
        explaining = Explaining(Console(), True, None)
        self.assertEqual(explaining.ended(7), 7)
        stderr.flush()
        self.assertEqual(stderr.raw_bytes.getvalue(), b"")


class MovingTests(SynchronousTestCase):
    """A connection that may move."""

    def setUp(self) -> None:
        self.patch(os, "environ", {"COLUMNS": "90"})
        self.stderr = Stderr("utf-8", False)
        self.patch(sys, "stderr", self.stderr)
        self.explaining = Explaining(Console(), True, None)

    def tell(self, *events: Event) -> None:
        for event in events:
            self.explaining(event)

    @property
    def written(self) -> str:
        self.stderr.flush()
        return self.stderr.raw_bytes.getvalue().decode()

    def test_decided(self) -> None:
        """It is explained when that is decided, and once."""
        known = moving().events
        for whole, text in ((MOVED, "the stream moved here"), (STAYED, "stayed there")):
            self.setUp()
            self.tell(*known)
            self.explaining.ended("connection")
            self.assertEqual(self.written, "")
            self.tell(*whole[len(known) :])
            self.assertIn(text, self.written)
            self.explaining.finish()
            self.assertEqual(self.written.count("Dialling"), 1)

    def test_decided_before(self) -> None:
        """A connection is handed over only when all that is left over is closed."""
        self.tell(*MOVED)
        self.assertEqual(self.written, "")
        self.explaining.ended("connection")
        self.assertIn("the stream moved here", self.written)

    def test_stream_ends(self) -> None:
        """Whatever is known then is explained."""
        self.tell(*moving().events)
        self.explaining.ended("connection")
        self.explaining.finish()
        self.assertIn("It may still move", self.written)

    def test_nobody_has_it(self) -> None:
        """The attempt was cancelled when the connection was there: that is the end."""
        self.tell(*moving().events)
        self.explaining.ended(Failure(ValueError()))
        self.assertIn("It may still move", self.written)

    def test_cannot_move(self) -> None:
        """Nothing more is awaited, whatever an earlier attempt was like."""
        self.tell(*moving().events, *(Event(e.time, 2, e.what, e.fields) for e in DIRECT))
        self.explaining.ended("connection")
        self.assertIn("(the last of 2", self.written.replace("\n", " "))


class FileTests(ExplainingTestCase):
    """A file."""

    def test_forms(self) -> None:
        """By its suffix, whatever its case; nothing is on stderr."""
        for suffix, start in (
            (".ndjson", '{"event": "begun"'),
            (".svg", "<?xml"),
            (".HTML", "<!DOCTYPE html>"),
        ):
            path = Path(self.mktemp() + suffix)
            path.write_text("what was there before " * 100_000)
            self.assertEqual(self.explained(path=str(path), to_stderr=False), "")
            text = path.read_text(encoding="utf-8")
            self.assertTrue(text.startswith(start), text[:80])
            self.assertNotIn("before", text)

    def test_suffix(self) -> None:
        for name in ("x", "x.txt", ".svg", "x.svg.gz"):
            path = self.mktemp()
            os.mkdir(path)
            self.assertRaises(BadUsage, Explaining, Console(), True, os.path.join(path, name))
            self.assertEqual(os.listdir(path), [])

    def test_unwritable(self) -> None:
        path = self.mktemp() + ".svg"
        os.mkdir(path)
        error = self.assertRaises(BadUsage, Explaining, Console(), True, path)
        self.assertRegex(str(error), r"^cannot write .*\.svg: Is a directory$")

    def test_no_room(self) -> None:
        """It is said, and changes nothing."""
        path = Path(self.mktemp() + ".svg")
        path.symlink_to("/dev/full")
        text = self.explained(path=str(path), to_stderr=False)
        self.assertRegex(text, r"^rdv: cannot write .*\.svg: No space left on device\n$")

    if not os.path.exists("/dev/full"):
        test_no_room.skip = "this system has no full device"  # type: ignore[attr-defined]
