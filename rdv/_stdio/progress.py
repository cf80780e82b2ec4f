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

#: Makes the text of a bar from what is known: ``tqdm.format_meter``.
Draw = Callable[..., str]

#: Seconds that a stream lasts before anything is shown of it.
_PATIENCE = 0.5

# What is shown is the first of these for which the terminal is wide enough. Some of the names are
# tqdm's, and some are of what it is given to say in our words.
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
#: A shorter bar says nothing.
_BAR = "....."


class Progress:
    """
    Shows the progress of a stream, as a :class:`rdv._stdio.meter.Display`. If a person turns out to
    be talking at a terminal, it disappears for good.

    :param load: returns the function that draws the bar, as soon as it is needed; None when there
        is none.
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
        See :class:`rdv._stdio.meter.Display`: what a terminal shows does not go behind the bar.
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
            # Behind a line that fills the terminal some of them begin a new one.
            width = terminal.columns(fd) - 1
            self._console.show(self.line(self._draw, moved, speeds, meter.seconds, width))

    def finish(self, meter: Meter) -> None:
        self._console.clear()

    def summary(self, meter: Meter) -> str:
        """See :class:`rdv._stdio.meter.Display`: for those who have been waiting."""
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
        What is shown.

        :param moved: bytes sent, and bytes received.
        :param speeds: the same in a second.
        :param elapsed: seconds since the beginning.
        :param width: columns that there are.
        """
        sent, received = moved
        size = _size(self._stdin, self._begin)
        sends = sent < size or sent >= received
        which = 0 if sends else 1
        count, other = moved[which], moved[1 - which]
        # What grows and shrinks meanwhile is as large as it is, and never less than was sent.
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
        """It has come to ``count`` after ``seconds``."""
        samples = self._samples
        samples.append((seconds, count))
        while len(samples) > 2 and samples[1][0] <= seconds - self._window:
            samples.popleft()
        (begun, before), (now, after) = samples[0], samples[-1]
        return (after - before) / (now - begun) if now > begun else 0.0


class _BesideBar(FileSink):
    """A terminal."""

    def __init__(self, fd: int, before: Callable[[], object]) -> None:
        super().__init__(fd)
        self._before = before

    def write(self, data: bytes) -> None:
        self._before()
        super().write(data)


def is_wanted(stdin: int = 0, stdout: int = 1) -> bool:
    """Whether stdin and stdout are such that something can be shown on stderr, a terminal."""
    modes = [os.fstat(fd).st_mode for fd in (stdin, stdout)]
    files = [stat.S_ISREG(mode) or stat.S_ISBLK(mode) for mode in modes]
    programs = [stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) for mode in modes]
    return (any(files) or any(programs)) and not all(programs) and terminal.has_escapes()


def load() -> Draw | None:
    """
    What draws the bar, if it is installed. Nothing else needs it, and it takes a hundredth of a
    second to load.
    """
    try:
        from tqdm import tqdm  # type: ignore[import-untyped]
    except ImportError:
        log.info("the progress bar needs tqdm: pip install tqdm")
        return None
    return cast(Draw, tqdm.format_meter)


def size_text(count: float) -> str:
    """So many bytes, for a person."""
    units = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
    unit = 0
    while count >= 999.5 and unit < len(units) - 1:
        count, unit = count / 1000, unit + 1
    digits = 0 if not unit or count >= 99.95 else 1 if count >= 9.995 else 2
    return f"{count:.{digits}f}{units[unit]}"


def _position(fd: int) -> int:
    """Where reading a file goes on; 0 where there is no such thing."""
    try:
        return os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        return 0


def _size(fd: int, begin: int) -> int:
    """What a file has behind a position; 0 when that is not known."""
    status = os.fstat(fd)
    return max(0, status.st_size - begin) if stat.S_ISREG(status.st_mode) else 0
