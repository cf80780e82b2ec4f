"""
A cache of the answers of the auth URL.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rdv.server.access.door import Visitor
from rdv.server.refusals import UNWANTED, bad_request

__all__ = ["Verdict", "Verdicts"]

#: The maximum number of answers that are kept.
_MOST = 10_000
#: Maximum seconds for which a refusal is kept, so that a client that has just been allowed does not
#: wait for long.
_LONGEST_NO = 10.0


class Verdict(NamedTuple):
    """
    One answer of the auth URL.

    :ivar refused: the status with which the client is refused; 0 if it is admitted.
    :ivar user: the user, if the answer names one.
    """

    refused: int
    user: str | None = None

    def apply(self, visitor: Visitor) -> None:
        """
        Admit a visitor.

        :raises BadRequest: when the visitor is refused instead.
        """
        if self.refused:
            raise bad_request(UNWANTED[self.refused])
        visitor.user = self.user or visitor.user


class Verdicts:
    """
    Keeps the newest answers.

    :param now: returns the time in seconds.
    :param keep: seconds for which an answer is kept; 0 for not at all.
    """

    def __init__(self, now: Callable[[], float], keep: float) -> None:
        self._now = now
        self._keep = keep
        self._kept: dict[bytes, tuple[float, Verdict]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: bytes) -> Verdict | None:
        """The answer for ``key``, if it is still kept."""
        until, verdict = self._kept.get(key, (0.0, None))
        if verdict is not None and until <= self._now():
            del self._kept[key]
            return None
        return verdict

    def keep(self, key: bytes, verdict: Verdict) -> None:
        """Keep an answer. If there are too many, the oldest is dropped."""
        seconds = min(self._keep, _LONGEST_NO) if verdict.refused else self._keep
        if not seconds:
            return
        self._kept.pop(key, None)
        if len(self._kept) >= _MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (self._now() + seconds, verdict)
