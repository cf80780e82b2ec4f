"""
``--explain`` and ``--explain-to``: what happened in an attempt, once it has ended.

For a stream that may move, the attempt does not end when there is a connection, but when the stream
has moved, or will not: at the latest at the end of the stream.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from twisted.logger import Logger
from twisted.python.failure import Failure

from rdv._stdio.console import Console, Form
from rdv._system.terminal import has_escapes, page_columns
from rdv.client.trace import Event, What
from rdv.commands.running import BadUsage
from rdv.explain import html, ndjson, svg, waterfall

__all__ = ["Explaining"]

T = TypeVar("T")

log = Logger()

_FORMS = {".ndjson": ndjson, ".svg": svg, ".html": html}
#: How many events are kept, the latest ones: a port scan of our port also causes events.
_MOST_EVENTS = 20_000


class Explaining:
    """
    A trace that writes the events once, when the attempt has ended.

    :param to_stderr: whether to write a waterfall to stderr, however quiet ``console`` is.
    :param path: a file to write to, in the format of its suffix. It is opened immediately, so that
        a file that cannot be written is detected before anything happens.
    :raises BadUsage: when it cannot be written, or its suffix is unknown.
    """

    def __init__(self, console: Console, to_stderr: bool, path: str | None) -> None:
        self._console = console
        self._to_stderr = to_stderr
        self._path = path
        self._events: deque[Event] = deque(maxlen=_MOST_EVENTS)
        self._moves = False  # it may move, and it is not known yet whether it will
        self._awaited = self._is_written = False
        if path is not None:
            self._form = _FORMS.get(Path(path).suffix.lower())
            if self._form is None:
                raise BadUsage(f"not a file of .ndjson, .svg or .html: {path}")
            try:
                # Its contents are kept until there is something to write.
                self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or error
                raise BadUsage(f"cannot write {path}: {reason}") from error

    def __call__(self, event: Event) -> None:
        """See :data:`rdv.client.trace.Trace`."""
        self._events.append(event)
        if event.what is What.CONNECTED:
            self._moves = bool(event.fields.get("moves"))
        elif event.what in (What.MOVED, What.STAYED):
            self._moves = False
            if self._awaited:
                self.finish()
        if event.what is What.SWITCHED and self._to_stderr:
            self._say("The direct path proved dead, and the relay replaced it.\n")

    def ended(self, result: T) -> T:
        """
        The attempt has ended, one way or the other. If there is a connection that may move, wait
        for the result of that.

        :return: its result, as it was.
        """
        self._awaited = self._moves and not isinstance(result, Failure)
        if not self._awaited:
            self.finish()
        return result

    def finish(self) -> None:
        """The stream has ended, too: there are no further events."""
        if self._is_written:
            return
        self._is_written = True
        try:
            self._explain(list(self._events))
        except Exception:  # must not cost a connection
            log.failure("cannot explain the attempt")

    def _explain(self, events: list[Event]) -> None:
        if self._to_stderr and events:
            self._say(waterfall(events, page_columns(2), unicode=_unicode(), colour=self._colour()))
        if self._path is not None and self._form is not None and events:
            try:
                with self._file:
                    with suppress(OSError):  # a pipe
                        self._file.truncate(0)
                    self._file.write(self._form(events))
            except OSError as error:  # no room
                self._say(f"rdv: cannot write {self._path}: {error.strerror}\n")

    def _say(self, text: str) -> None:
        if self._console.form is Form.JSON:
            self._console.tell("explained", message=text)
            return
        self._console.clear()
        self._console.write(text)

    def _colour(self) -> bool:
        wanted = self._console.form is not Form.JSON and not os.environ.get("NO_COLOR")
        return wanted and has_escapes() and sys.stderr.isatty()


def _unicode() -> bool:
    return (sys.stderr.encoding or "").lower().replace("-", "") == "utf8"
