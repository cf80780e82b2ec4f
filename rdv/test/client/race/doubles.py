"""
A stream that candidates join; the test decides the results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from rdv._secure.path import SecurePath
from rdv.client.candidates.candidate import Candidate
from rdv.test.doubles import Recorder

__all__ = ["FakeJoining", "FakeStream"]


class FakeJoining(Recorder):
    """
    A path that was offered.

    :ivar path: its keys.
    """

    def __init__(self, path: SecurePath) -> None:
        super().__init__()
        self.path = path
        self.proven: Deferred[None] = Deferred(lambda _: self._give_up())

    def _give_up(self) -> None:
        cast(Any, self.transport).abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if not self.proven.called:
            self.proven.errback(reason)


class FakeStream:
    """
    The stream that is to move.

    :ivar joins: the paths that were offered.
    :ivar moved: the candidates that have taken over.
    """

    on_ready: Callable[[], object] = staticmethod(lambda: None)
    on_over: Callable[[], object] = staticmethod(lambda: None)

    def __init__(self) -> None:
        self.joins: list[FakeJoining] = []
        self.moved: list[Candidate] = []

    def join(self, path: SecurePath) -> FakeJoining:
        """See :class:`rdv.client.race.joining.Stream`."""
        self.joins.append(FakeJoining(path))
        return self.joins[-1]

    def expect_move(self) -> None:
        """See :class:`rdv.client.race.joining.Stream`."""

    def stay(self) -> None:
        """See :class:`rdv.client.race.joining.Stream`."""

    @property
    def open(self) -> list[bool]:
        """Of each path that was offered, whether it is open."""
        transports = [cast(ITransport, join.transport) for join in self.joins]
        return [not getattr(each, "disconnecting", False) for each in transports]
