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

#: Seconds in which a reader may make room for the last message.
_PATIENCE = 1.0


class Form(Enum):
    """The form of the messages."""

    #: In lines for a person.
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
        From now on skip a line for which there is no room, in a pipe that nobody reads or on a
        terminal that was stopped. To wait stops everything that this process does: what serves
        several at a time had better not.
        """
        self._outlet = Outlet(sys.stderr, self._tell_skipped)

    def _tell_skipped(self, count: int) -> None:
        self.warn("skipped", f"SKIPPED: {count} lines, because nobody was reading", count=count)

    def tell(self, event: str, text: str = "", **fields: object) -> None:
        """
        Something has happened.

        :param event: its name, for a program.
        :param text: the same for a person; without it a person is told nothing.
        :param fields: what a program is told beside the name and the time; what JSON has no form
            for is told as its text.
        """
        if self.form is Form.JSON:
            self.offer(_record(event, fields))
        elif text and self.form is Form.TEXT:
            self.offer(text)

    def warn(self, event: str, text: str, **fields: object) -> None:
        """
        As :meth:`tell`, of something that has gone wrong while the command goes on: a person who
        wants quiet is told, too.
        """
        if self.form is Form.QUIET:
            self.offer(text)
        else:
            self.tell(event, text, **fields)

    def fail(self, text: str, status: int) -> None:
        """
        It went wrong.

        :param text: one line for a person, who is told whose it is: scripts run many programs.
        :param status: the exit status that stands for it.
        """
        line = f"rdv: {text}"
        if self.form is Form.JSON:
            line = _record("failed", {"message": text, "status": status})
        self.offer(line, _PATIENCE)

    def offer(self, lines: str, patience: float = 0.0) -> None:
        """
        Write lines to stderr, in the place of what is shown.

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
        Show something for the moment, on a terminal: it is gone when the next thing is told or
        shown.
        """
        self._shown = True
        self.write(f"\r{line}\x1b[K")

    def clear(self) -> None:
        """Take away what is shown."""
        if self._shown:
            self._shown = False
            self.write("\r\x1b[K")

    def write(self, text: str) -> None:
        """Write to stderr, as it is."""
        with suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()


def _record(event: str, fields: dict[str, object]) -> str:
    import json  # most need it not

    return json.dumps({"event": event, "time": time.time(), **fields}, default=str)
