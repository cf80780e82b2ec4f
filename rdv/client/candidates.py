"""
All candidates of one attempt that are not closed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from rdv.client.candidate import Candidate
from rdv.wire import Role

__all__ = ["Candidates"]


class Candidates:
    """Makes them, and closes what is left."""

    def __init__(self, clock: IReactorTime, role: Role, token: bytes) -> None:
        self._clock = clock
        self._role = role
        self._token = token
        self._living: set[Candidate] = set()

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._living)

    def make(self, *, is_relay: bool = False, held: bool = False) -> Candidate:
        """A new one; the options are those of :class:`Candidate`."""
        candidate = Candidate(self._clock, self._role, self._token, is_relay=is_relay, held=held)
        self._living.add(candidate)
        candidate.closed.addCallback(lambda _: self._living.discard(candidate))
        return candidate

    def close(self, kept: Candidate | None, *, abort: bool) -> list[Deferred[Any]]:
        """
        Close all but ``kept``.

        :param abort: no path was chosen: reset the relay too, as the peer may be choosing it, and
            is not to take that for an end.
        :return: what fires when they are closed.
        """
        left = [candidate for candidate in self._living if candidate is not kept]
        for candidate in left:
            if candidate.way is not None:
                candidate.way.lost()  # the race is over, whatever its end looks like
            candidate.close(abort=abort)
        return [candidate.closed for candidate in left]
