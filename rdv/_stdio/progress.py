"""
A progress bar on a terminal, for a stream that moves a file or the output of a program.

There is no bar for a person who only talks to the peer, nor for a program that runs the command as
its connection to a peer, as ssh does with its ``ProxyCommand``: the terminal is then that
program's.
"""

from __future__ import annotations

import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from twisted.logger import Logger

from rdv._flows.sinks import FileSink
from rdv._stdio.console import Console
from rdv._stdio.meter import Meter
from rdv._system import terminal

if TYPE_CHECKING:
    from rdv._flows.sinks import Sink

__all__ = ["Draw", "Progress", "Speed", "is_wanted", "load", "size_text"]

log = Logger()

#: Formats a bar: ``tqdm.format_meter``.
Draw = Callable[..., str]

#: Seconds of a stream before anything is shown.
_PATIENCE = 0.5

# The first of these that fits the terminal is shown. Some of the fields are tqdm's; it gets the
# others from us, formatted in our way.
_KNOWN = (
    "{desc} {done:3d}%|{bar}| {moved} of {size}, {speed}, {remaining} left{postfix}",
    "{desc} {done:3d}%|{bar}| {moved} of {size}, {speed}, {remaining} left",
    "{desc} {done:3d}%|{bar}| {moved}, {speed}, {remaining} left",
    "{desc} {done:3d}%, {speed}, {remaining} left",
    "{done:3d}%, {remaining} left",
    "{done:3d}%",
)
_UNKNOWN = (
    "{desc} {moved}, {speed}, {elapsed}{postfix}",
    "{desc} {moved}, {speed}, {elapsed}",
    "{desc} {moved}, {speed}",
    "{desc} {moved}",
    "{moved}",
)
#: The shortest useful bar.
_BAR = "....."


class Progress:
    """
    Shows the progress of a stream, as a :class:`rdv._stdio.meter.Display`. If a person turns out to
    be talking at a terminal, it disappears for good.

    :param load: called when a bar is needed for the first time; returns the function that formats
        it, or None if there is none.
    :param stdin: the descriptor that is read.
    :param stdout: the descriptor that is written.
    """

    interval = 0.25
    trace = None

    def __init__(
        self, console: Console, load: Callable[[], Draw | None], stdin: int = 0, stdout: int = 1
    ) -> None:
        self._console = console
        self._load = load
        self._draw: Draw | None = None
        self._is_due = False
        self._gives_way = False
        self._stdin = stdin
        self._stdout = stdout
        self._people = os.isatty(stdin), os.isatty(stdout)
        self._begin = _position(stdin)
        self._speeds = Speed(), Speed()

    def sink(self) -> Sink | None:
        """
        See :class:`rdv._stdio.meter.Display`: a terminal, from which the bar disappears before
        anything else is written.
        """
        return _BesideBar(self._stdout, self._give_way) if self._people[1] else None

    def show(self, meter: Meter) -> None:
        moved = meter.sent, meter.received
        if any(person and count for person, count in zip(self._people, moved, strict=True)):
            self._give_way()
        if self._gives_way or meter.seconds < _PATIENCE:
            return
        if not self._is_due:
            self._is_due = True
            self._draw = self._load()
        speeds = [speed(meter.seconds, n) for speed, n in zip(self._speeds, moved, strict=True)]
        fd = sys.stderr.fileno()
        if self._draw is not None and terminal.may_draw(fd):
            # Some terminals begin a new line after one that fills them.
            width = terminal.columns(fd) - 1
            self._console.show(self.line(self._draw, moved, speeds, meter.seconds, width))

    def finish(self, meter: Meter) -> None:
        self._console.clear()

    def summary(self, meter: Meter) -> str:
        """See :class:`rdv._stdio.meter.Display`: empty if the stream was too short for a bar."""
        seconds = meter.seconds
        if self._gives_way or not self._is_due or seconds < _PATIENCE:  # the clock was set back
            return ""
        return ", ".join(
            f"{name}: {size_text(count)} in {seconds:.1f}s, {size_text(count / seconds)}/s"
            for name, count in (("SENT", meter.sent), ("RECEIVED", meter.received))
            if count
        )

    def line(
        self,
        draw: Draw,
        moved: tuple[int, int],
        speeds: Sequence[float],
        elapsed: float,
        width: int,
    ) -> str:
        """
        The text of the bar.

        :param moved: bytes sent, and bytes received.
        :param speeds: the same per second.
        :param elapsed: seconds since the beginning.
        :param width: available columns.
        """
        sent, received = moved
        size = _size(self._stdin, self._begin)
        sends = sent < size or sent >= received
        which = 0 if sends else 1
        count, other = moved[which], moved[1 - which]
        # A file may grow or shrink meanwhile. Its total is never less than what was sent.
        total = max(size, sent) if sends and size else None
        fields = {
            "prefix": "sent" if sends else "received",
            "ascii": not (sys.stderr.encoding or "").lower().startswith("utf"),
            "rate": speeds[which],
            "done": 100 * count // total if total else 0,
            "moved": size_text(count),
            "size": size_text(total or 0),
            "speed": f"{size_text(speeds[which])}/s",
            "postfix": f"{'received' if sends else 'sent'} {size_text(other)}" if other else None,
        }
        shown = ""
        for form in _KNOWN if total else _UNKNOWN:
            shown = draw(count, total, elapsed, bar_format=form.replace("{bar}", _BAR), **fields)
            if len(shown) <= width:
                return draw(count, total, elapsed, bar_format=form, ncols=width, **fields)
        return shown[:width]

    def _give_way(self) -> None:
        self._gives_way = True
        self._console.clear()


class Speed:
    """
    Bytes per second, over the last few seconds.

    :param window: how many seconds.
    """

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._samples: deque[tuple[float, int]] = deque([(0.0, 0)])

    def __call__(self, seconds: float, count: int) -> float:
        """Add a sample, of ``count`` bytes after ``seconds``, and return the current speed."""
        samples = self._samples
        samples.append((seconds, count))
        while len(samples) > 2 and samples[1][0] <= seconds - self._window:
            samples.popleft()
        (begun, before), (now, after) = samples[0], samples[-1]
        return (after - before) / (now - begun) if now > begun else 0.0


class _BesideBar(FileSink):
    """A terminal. Before each write, ``before`` is called, which removes the bar."""

    def __init__(self, fd: int, before: Callable[[], object]) -> None:
        super().__init__(fd)
        self._before = before

    def write(self, data: bytes) -> None:
        self._before()
        super().write(data)


def is_wanted(stdin: int = 0, stdout: int = 1) -> bool:
    """
    Whether to show a bar on stderr, a terminal: stdin or stdout must be a file or lead to a
    program. If both lead to a program, the terminal is that program's.
    """
    modes = [os.fstat(fd).st_mode for fd in (stdin, stdout)]
    files = [stat.S_ISREG(mode) or stat.S_ISBLK(mode) for mode in modes]
    programs = [stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) for mode in modes]
    return (any(files) or any(programs)) and not all(programs) and terminal.has_escapes()


def load() -> Draw | None:
    """
    The function that formats the bar, if tqdm is installed. Nothing else needs it, and importing it
    takes a hundredth of a second.
    """
    try:
        from tqdm import tqdm  # type: ignore[import-untyped]
    except ImportError:
        log.info("the progress bar needs tqdm: pip install tqdm")
        return None
    return cast(Draw, tqdm.format_meter)


def size_text(count: float) -> str:
    """A number of bytes as text for humans."""
    units = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
    unit = 0
    while count >= 999.5 and unit < len(units) - 1:
        count, unit = count / 1000, unit + 1
    digits = 0 if not unit or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{digits}f}{units[unit]}"


def _position(fd: int) -> int:
    """The position in a file at which reading continues; 0 if it is not a file."""
    try:
        return os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        return 0


def _size(fd: int, begin: int) -> int:
    """How many bytes a file has after a position; 0 if that is not known."""
    status = os.fstat(fd)
    return max(0, status.st_size - begin) if stat.S_ISREG(status.st_mode) else 0
