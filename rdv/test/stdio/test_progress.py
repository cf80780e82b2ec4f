"""A progress bar: when there is one, and what it says."""

from __future__ import annotations

import io
import os
import pty
import socket
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.console import Console
from rdv._stdio.meter import Meter
from rdv._stdio.progress import Progress, Speed, is_wanted, load, size_text
from rdv._system import terminal
from rdv.test.stdio.test_meter import Counts


class DescriptorTestCase(SynchronousTestCase):
    """Descriptors of each kind."""

    def keep(self, *fds: int) -> int:
        """Close them when the test is over; the first one."""
        for fd in fds:
            self.addCleanup(os.close, fd)
        return fds[0]

    def file(self, size: int = 0) -> int:
        """A file, at its beginning."""
        path = Path(self.mktemp())
        path.touch()
        os.truncate(path, size)
        return self.keep(os.open(path, os.O_RDWR))

    def pipe(self) -> int:
        """One end of a pipe."""
        return self.keep(*os.pipe())

    def person(self) -> int:
        """A terminal."""
        return self.keep(*pty.openpty()[::-1])

    def null(self) -> int:
        """Nothing."""
        return self.keep(os.open(os.devnull, os.O_RDWR))

    def socket(self) -> int:
        """One end of a connection."""
        one, other = socket.socketpair()
        return self.keep(one.detach(), other.detach())


class WantedTests(DescriptorTestCase):
    """With which stdin and stdout there is a bar."""

    def setUp(self) -> None:
        self.patch(os, "environ", {"TERM": "xterm"})

    def test_wanted(self) -> None:
        """Files, and a pipe on one side."""
        kinds = (self.file, self.pipe, self.socket, self.person, self.null)
        wanted = {
            (one.__name__, other.__name__)
            for one in kinds
            for other in kinds
            if is_wanted(one(), other())
        }
        programs, others = {"pipe", "socket"}, {"file", "person", "null"}
        expected = {(one, other) for one in programs for other in others}
        expected |= {(other, one) for one, other in expected} | {("file", "file")}
        expected |= {pair for other in others for pair in (("file", other), (other, "file"))}
        self.assertEqual(wanted, expected)
        for environment in ({"TERM": "dumb"}, {}):  # a terminal that has only lines
            self.patch(os, "environ", environment)
            self.assertFalse(is_wanted(self.file(), self.null()))


class Stderr(io.StringIO):
    """A terminal, of which the descriptor is never used."""

    encoding = "utf-8"

    def fileno(self) -> int:
        return -1


class ProgressTests(DescriptorTestCase):
    """What it shows, with a bar that says what it was given."""

    def setUp(self) -> None:
        self.stderr = Stderr()
        self.patch(sys, "stderr", self.stderr)
        self.may_draw = True
        self.columns = 80
        self.patch(terminal, "may_draw", lambda fd: self.may_draw)
        self.patch(terminal, "columns", lambda fd: self.columns)
        self.drawn: list[dict[str, Any]] = []
        self.loaded = 0
        self.counts = Counts()
        self.clock = Clock()

    def begin(self, stdin: int, stdout: int) -> None:
        """A stream begins."""
        self.progress = Progress(Console(), self.load, stdin, stdout)
        self.meter = Meter(self.clock, self.progress)
        self.meter.start(self.counts)

    def load(self) -> Any:
        self.loaded += 1
        return self.draw

    def draw(self, n: int, total: int | None, elapsed: float, **named: Any) -> str:
        if "ncols" in named:  # it fits
            self.drawn.append({"n": n, "total": total, "elapsed": elapsed, **named})
        return f"<{n}>"

    def move(self, sent: int = 0, received: int = 0, seconds: float = 0.25) -> None:
        """So much has moved in the end, after so long."""
        self.counts.sent = self.counts.delivered = sent
        self.counts.received = received
        self.clock.advance(seconds)

    def last(self, *names: str) -> list[Any]:
        """What the bar was last given."""
        return [self.drawn[-1][name] for name in names]

    def test_short(self) -> None:
        """
        What is over at once shows nothing, and loads nothing; nor when the clock was set back to
        the beginning, or behind it: nobody knows how long it took.
        """
        self.begin(self.file(100), self.null())
        self.move(50)
        self.move(100, seconds=0.2)
        self.meter.stop()
        self.assertEqual((self.loaded, self.stderr.getvalue()), (0, ""))
        self.assertEqual(self.progress.summary(self.meter), "")
        for seconds in (0.5, 3600):
            self.begin(self.file(100), self.null())
            self.move(50, seconds=0.5)
            self.clock.rightNow -= seconds
            self.meter.stop()
            self.assertEqual((self.meter.seconds, self.progress.summary(self.meter)), (0.0, ""))

    def test_file(self) -> None:
        """What is left of it counts, from where it is read; then the bar goes."""
        stdin = self.file(1000)
        os.lseek(stdin, 200, os.SEEK_SET)
        self.begin(stdin, self.null())
        self.move(100)
        self.move(200)
        self.assertEqual(self.last("n", "total", "elapsed", "rate"), [200, 800, 0.5, 400.0])
        self.assertEqual(self.last("prefix", "postfix", "ncols"), ["sent", None, 79])
        self.move(800)
        self.meter.stop()
        self.assertEqual(self.stderr.getvalue(), "\r<200>\x1b[K\r<800>\x1b[K\r\x1b[K")
        self.assertEqual(self.progress.summary(self.meter), "SENT: 800B in 0.8s, 1.07kB/s")
        self.assertEqual(self.loaded, 1)

    def test_grows_and_shrinks(self) -> None:
        """The size is what it is now, and never less than what was sent."""
        stdin = self.file(1000)
        self.begin(stdin, self.null())
        self.move(500, seconds=0.5)
        for size, sent in ((2000, 600), (2000, 1900), (100, 1950)):
            os.truncate(stdin, size)
            self.move(sent)
            self.assertEqual(self.last("n", "total"), [sent, max(size, sent)])
        os.truncate(stdin, 0)
        self.move(1950)
        self.assertEqual(self.last("n", "total"), [1950, None])

    def test_pipe(self) -> None:
        """Nobody knows how much is to come; and what is no terminal is no business of the bar."""
        self.begin(self.pipe(), self.pipe())
        self.move(500, seconds=0.5)
        self.assertEqual(self.last("n", "total", "prefix"), [500, None, "sent"])
        self.assertIsNone(self.progress.sink())

    def test_received(self) -> None:
        """What comes has no size. Behind the end of what is sent it is what counts."""
        self.begin(self.file(100), self.file())
        self.move(50, 400, seconds=0.5)
        self.assertEqual(self.last("n", "total", "postfix"), [50, 100, "received 400B"])
        self.move(100, 2500)
        self.assertEqual(self.last("n", "total", "prefix"), [2500, None, "received"])
        self.assertEqual(self.last("postfix"), ["sent 100B"])
        self.meter.stop()
        self.assertEqual(
            self.progress.summary(self.meter),
            "SENT: 100B in 0.8s, 133B/s, RECEIVED: 2.50kB in 0.8s, 3.33kB/s",
        )

    def test_conversation(self) -> None:
        """Somebody types, although a file is written: no bar from then on."""
        self.begin(self.person(), self.file())
        self.move(0, 100, seconds=0.5)
        self.assertEqual(len(self.drawn), 1)
        self.move(6, 100)
        self.move(6, 1000)
        self.meter.stop()
        self.assertEqual(self.stderr.getvalue(), "\r<100>\x1b[K\r\x1b[K")
        self.assertEqual(self.progress.summary(self.meter), "")

    def test_answer_on_the_terminal(self) -> None:
        """What the peer says to a person stands where the bar was."""
        person, stdout = pty.openpty()
        self.keep(person, stdout)
        self.begin(self.file(1000), stdout)
        sink = self.progress.sink()
        assert sink is not None
        self.move(10, seconds=0.5)
        self.stderr.write("(")
        sink.write(b"hello")
        self.stderr.write(")")
        self.assertEqual(os.read(person, 100), b"hello")
        self.move(20, 5)
        self.assertEqual(self.stderr.getvalue(), "\r<10>\x1b[K(\r\x1b[K)")

    def test_not_now(self) -> None:
        """Nothing is drawn on a terminal that takes nothing, or that others use."""
        self.begin(self.file(1000), self.null())
        self.may_draw = False
        self.move(10, seconds=0.5)
        self.assertEqual(self.stderr.getvalue(), "")
        self.may_draw = True
        self.columns = 40
        self.move(20)
        # What has moved meanwhile counts for the rate, and the width is what it is now.
        self.assertEqual(self.last("rate", "ncols"), [20 / 0.75, 39])

    def test_nothing_to_draw_with(self) -> None:
        """It is asked for once; the summary needs none."""
        self.draw = None  # type: ignore[assignment]
        self.begin(self.file(1000), self.null())
        self.move(500, seconds=0.5)
        self.move(1000, seconds=0.5)
        self.meter.stop()
        self.assertEqual((self.loaded, self.stderr.getvalue()), (1, ""))
        self.assertEqual(self.progress.summary(self.meter), "SENT: 1.00kB in 1.0s, 1.00kB/s")

    def test_ascii(self) -> None:
        """Where the terminal has nothing else."""
        self.begin(self.file(1000), self.null())
        for encoding, expected in (("UTF-8", False), ("ascii", True), (None, True)):
            self.patch(Stderr, "encoding", encoding)
            self.move(1, seconds=0.5)
            self.assertEqual(self.last("ascii"), [expected])


class LoadTests(DescriptorTestCase):
    """The real bar."""

    def setUp(self) -> None:
        self.stderr = Stderr()
        self.patch(sys, "stderr", self.stderr)
        self.patch(terminal, "may_draw", lambda fd: True)
        self.patch(terminal, "columns", lambda fd: 70)

    def line(self, stdin: int, sent: int) -> str:
        """What it shows."""
        clock, counts = Clock(), Counts(sent, sent)
        meter = Meter(clock, Progress(Console(), load, stdin, self.null()))
        meter.start(counts)
        clock.advance(2)
        meter.stop()
        return self.stderr.getvalue().split("\x1b[K")[0]

    def test_line(self) -> None:
        """What is known of it; without a rate, no time."""
        for stdin, sent, line in (
            (
                self.file(80_000_000),
                20_000_000,
                r"^\rsent  25%\|\W+ +\| 20\.0MB of 80\.0MB, 10\.0MB/s, 00:06 left$",
            ),
            (self.pipe(), 20_000_000, r"^\rsent 20\.0MB, 10\.0MB/s, 00:02$"),
            (self.file(80_000_000), 0, r"^\rsent   0%\| +\| 0B of 80\.0MB, 0B/s, \? left$"),
        ):
            self.stderr.truncate(self.stderr.seek(0))
            shown = self.line(stdin, sent)
            self.assertRegex(shown, line)
            self.assertLessEqual(len(shown), 70)

    def test_narrow(self) -> None:
        """What matters most stays, in one line, or the next one would not cover it."""
        draw = load()
        assert draw is not None
        known = Progress(Console(), load, self.file(1_000_000_000), self.null())
        unknown = Progress(Console(), load, self.pipe(), self.null())
        for shown, moved, speeds, lines in (
            (
                known,
                (450_000_000, 12),
                (85_300_000, 5),
                {
                    48: "sent  45%|████     | 450MB, 85.3MB/s, 00:06 left",
                    35: "sent  45%, 85.3MB/s, 00:06 left",
                    19: " 45%, 00:06 left",
                    4: " 45%",
                    2: " 4",
                },
            ),
            (
                unknown,
                (0, 450_000_000),
                (0, 85_300_000),
                {48: "received 450MB, 85.3MB/s, 00:05", 19: "received 450MB", 5: "450MB"},
            ),
        ):
            for width, line in lines.items():
                self.assertEqual(shown.line(draw, moved, speeds, 5.3, width), line)
            for width in range(1, 120):
                self.assertLessEqual(len(shown.line(draw, moved, speeds, 5.3, width)), width)

    def test_not_installed(self) -> None:
        """No error; who wants to know is told."""
        with patch.dict(sys.modules, tqdm=None), capturedLogs() as events:
            self.assertIsNone(load())
        (event,) = events
        self.assertEqual(event["log_level"], LogLevel.info)
        self.assertRegex(event["log_format"], "pip install tqdm$")


class SizeTests(SynchronousTestCase):
    """Numbers of bytes as text for humans."""

    def test_sizes(self) -> None:
        for count, text in (
            (0, "0B"),
            (999, "999B"),
            (999.7, "1.00kB"),
            (1000, "1.00kB"),
            (9994, "9.99kB"),
            (9996, "10.0kB"),
            (99_960, "100kB"),
            (999_499, "999kB"),
            (999_500, "1.00MB"),
            (12_345_678_901, "12.3GB"),
            (10**21, "1000EB"),
        ):
            self.assertEqual(size_text(count), text)


class SpeedTests(SynchronousTestCase):
    """Bytes a second."""

    def test_speed(self) -> None:
        """It falls, to nothing once the last seconds have seen nothing, and soon rises again."""
        speed = Speed()
        self.assertEqual(speed(0.0, 1000), 0.0)
        speed = Speed()
        self.assertEqual([speed(n / 4, n * 100) for n in range(1, 50)], [400.0] * 49)
        speed = Speed(window=2.0)
        counts = ((1.0, 1000), (2.0, 1000), (3.0, 1000), (4.0, 1000), (5.0, 1000), (6.0, 3000))
        self.assertEqual([speed(*count) for count in counts], [1000.0, 500.0, 0, 0, 0, 1000.0])
