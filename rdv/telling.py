"""
What a command tells on stderr: lines for a person, or events for a program.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from enum import Enum

__all__ = ["Form", "Teller"]


class Form(Enum):
    """How it is told."""

    #: In lines for a person.
    TEXT = "text"
    #: Failures only.
    QUIET = "quiet"
    #: One JSON object a line, failures included.
    JSON = "json"


class Teller:
    """
    Writes to stderr. Nobody need be reading it.

    :ivar form: how it is told.
    """

    def __init__(self, form: Form = Form.TEXT) -> None:
        self.form = form
        self._shown = False

    def tell(self, event: str, text: str = "", **fields: object) -> None:
        """
        Something has happened.

        :param event: its name, for a program.
        :param text: the same for a person; without it a person is told nothing.
        :param fields: what a program is told beside the name and the time; what JSON has no form
            for is told as its text.
        """
        if self.form is Form.JSON:
            import json  # most need it not

            record = {"event": event, "time": time.time(), **fields}
            self._write(json.dumps(record, default=str))
        elif text and self.form is Form.TEXT:
            self._write(text)

    def warn(self, event: str, text: str, **fields: object) -> None:
        """
        As :meth:`tell`, of something that has gone wrong while the command goes on: a person who
        wants quiet is told, too.
        """
        if self.form is Form.QUIET:
            self._write(text)
        else:
            self.tell(event, text, **fields)

    def fail(self, text: str, status: int) -> None:
        """
        It went wrong.

        :param text: one line for a person.
        :param status: the exit status that stands for it.
        """
        if self.form is Form.JSON:
            self.tell("failed", message=text, status=status)
        else:
            self._write(text)

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

    def _write(self, line: str) -> None:
        self.clear()
        self.write(f"{line}\n")
