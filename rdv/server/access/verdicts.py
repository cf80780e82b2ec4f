"""
What a URL has said about clients, for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rdv.server.access.door import Visitor
from rdv.server.refusals import UNWANTED, bad_request

__all__ = ["Verdict", "Verdicts"]

#: How many are kept at most.
_MOST = 10_000
#: A no is kept for so many seconds at most: whoever has just been allowed shall not wait for long.
_LONGEST_NO = 10.0


class Verdict(NamedTuple):
    """
    One answer.

    :ivar refused: the status with which the client is refused; 0 if it may come in.
    :ivar user: who it is, if that was said.
    """

    refused: int
    user: str | None = None

    def apply(self, visitor: Visitor) -> None:
        """
        Let a visitor in.

        :raises BadRequest: or refuse it.
        """
        if self.refused:
            raise bad_request(UNWANTED[self.refused])
        visitor.user = self.user or visitor.user


class Verdicts:
    """
    The newest of them.

    :param now: the time in seconds.
    :param keep: for how many seconds one is kept; 0 for not at all.
    """

    def __init__(self, now: Callable[[], float], keep: float) -> None:
        self._now = now
        self._keep = keep
        self._kept: dict[bytes, tuple[float, Verdict]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: bytes) -> Verdict | None:
        """The one for ``key``, if it is still kept."""
        until, verdict = self._kept.get(key, (0.0, None))
        if verdict is not None and until <= self._now():
            del self._kept[key]
            return None
        return verdict

    def keep(self, key: bytes, verdict: Verdict) -> None:
        """Keep one, perhaps in the place of the oldest."""
        seconds = min(self._keep, _LONGEST_NO) if verdict.refused else self._keep
        if not seconds:
            return
        self._kept.pop(key, None)
        if len(self._kept) >= _MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (self._now() + seconds, verdict)
