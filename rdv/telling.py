"""
What a command tells on stderr: lines for a person, or events for a program.
"""

from __future__ import annotations

import json
import sys
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

    def tell(self, event: str, text: str = "", **fields: object) -> None:
        """
        Something has happened.

        :param event: its name, for a program.
        :param text: the same for a person; without it a person is told nothing.
        :param fields: what a program is told beside the name; what JSON has no form for is told as
            its text.
        """
        if self.form is Form.JSON:
            self._write(json.dumps({"event": event, **fields}, default=str))
        elif text and self.form is Form.TEXT:
            self._write(text)

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

    def _write(self, line: str) -> None:
        with suppress(OSError):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
