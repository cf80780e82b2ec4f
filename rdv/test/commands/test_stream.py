"""
Tests of :mod:`rdv.commands.stream`.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from rdv._stdio.console import Console
from rdv._stdio.stream import StreamBroken
from rdv.commands import stream as command
from rdv.commands.arguments import parse
from rdv.commands.running import BadUsage, Interrupted
from rdv.errors import NoConnection

T = TypeVar("T")


class Told(Console):
    """Records failures, and their statuses."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[tuple[str, int]] = []

    def fail(self, text: str, status: int) -> None:
        self.failures.append((text, status))


class StatusTests(SynchronousTestCase):
    """The exit status of a command."""

    def status(self, error: Exception | None) -> int:
        """Its exit status, when that is what the stream has ended with."""

        async def stream(*arguments: object) -> None:
            if error is not None:
                raise error

        async def until_signal(reactor: object, coroutine: Coroutine[Any, Any, T]) -> T:
            return await coroutine

        self.patch(command, "stream", stream)
        self.patch(command, "until_signal", until_signal)
        self.patch(command, "client_of", lambda *arguments, **options: None)
        self.patch(command, "_connecting", lambda *arguments: Deferred())
        self.told = Told()
        arguments = parse(["dial", "http://example.com/", "a token"])
        running = command._stream(None, arguments, self.told, None)
        return self.successResultOf(Deferred.fromCoroutine(running))

    def test_statuses(self) -> None:
        """Scripts tell by it whether all has arrived."""
        for error, status in (
            (None, 0),
            (NoConnection("no path"), 1),
            (BadUsage("nonsense"), 2),
            (StreamBroken("cut off"), 3),
        ):
            self.assertEqual(self.status(error), status)
            said = [] if error is None else [(str(error), status)]
            self.assertEqual(self.told.failures, said)

    def test_interrupted(self) -> None:
        """By the user, who is told nothing."""
        self.assertEqual((self.status(Interrupted(130)), self.told.failures), (130, []))
