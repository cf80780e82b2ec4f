"""
What a command reports on stderr: lines for a human, or events for a program.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from enum import Enum

from rdv._system.terminal import Outlet

__all__ = ["Console", "Form"]

#: Seconds to wait for room for the message of a failure, which is the last one.
_PATIENCE = 1.0


class Form(Enum):
    """The form of the messages."""

    #: Lines for humans.
    TEXT = "text"
    #: Failures only.
    QUIET = "quiet"
    #: One JSON object a line, failures included.
    JSON = "json"


class Console:
    """
    Writes to stderr, which may have been closed.

    :ivar form: the form of the messages.
    """

    def __init__(self, form: Form = Form.TEXT) -> None:
        self.form = form
        self._shown = False
        self._outlet: Outlet | None = None

    def never_wait(self) -> None:
        """
        From now on, skip a line for which there is no room, in an unread pipe or on a stopped
        terminal. Waiting would stop everything in this process, so a command that serves several
        connections at a time must not wait.
        """
        self._outlet = Outlet(sys.stderr, self._tell_skipped)

    def _tell_skipped(self, count: int) -> None:
        self.warn("skipped", f"SKIPPED: {count} lines, because nobody was reading", count=count)

    def tell(self, event: str, text: str = "", **fields: object) -> None:
        """
        Report an event.

        :param event: its name, for a program.
        :param text: the same for a human; without it, a human sees nothing.
        :param fields: for a program, besides the name and the time; a value that JSON cannot
            represent is written as its text.
        """
        if self.form is Form.JSON:
            self.offer(_record(event, fields))
        elif text and self.form is Form.TEXT:
            self.offer(text)

    def warn(self, event: str, text: str, **fields: object) -> None:
        """
        Like :meth:`tell`, for a problem after which the command continues: it is shown even with
        :attr:`Form.QUIET`.
        """
        if self.form is Form.QUIET:
            self.offer(text)
        else:
            self.tell(event, text, **fields)

    def fail(self, text: str, status: int) -> None:
        """
        Report a failure.

        :param text: one line for a human, prefixed with the command's name: scripts run many
            programs.
        :param status: the exit status for it.
        """
        line = f"rdv: {text}"
        if self.form is Form.JSON:
            line = _record("failed", {"message": text, "status": status})
        self.offer(line, _PATIENCE)

    def offer(self, lines: str, patience: float = 0.0) -> None:
        """
        Write lines to stderr, in place of what is shown.

        :param lines: without the end of the last one.
        :param patience: seconds to wait for room before they are skipped.
        """
        if self._outlet is not None:
            self._outlet.write(f"{lines}\n", patience)
        else:
            self.clear()
            self.write(f"{lines}\n")

    def show(self, line: str) -> None:
        """
        Show something temporarily, on a terminal: it disappears when the next message is reported
        or shown.
        """
        self._shown = True
        self.write(f"\r{line}\x1b[K")

    def clear(self) -> None:
        """Erase what is shown."""
        if self._shown:
            self._shown = False
            self.write("\r\x1b[K")

    def write(self, text: str) -> None:
        """Write to stderr, as it is."""
        with suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()


def _record(event: str, fields: dict[str, object]) -> str:
    import json  # rarely needed

    return json.dumps({"event": event, "time": time.time(), **fields}, default=str)
