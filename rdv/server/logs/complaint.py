"""
Logs a lasting problem only now and then, instead of for each client.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, ParamSpec

from twisted.internet.interfaces import IReactorTime

__all__ = ["Complaint"]

P = ParamSpec("P")

#: Seconds between two lines.
_SILENCE = 60.0


class Complaint(Generic[P]):
    """
    One kind of problem, logged at most once a minute.

    :param say: logs it.
    """

    def __init__(self, clock: IReactorTime, say: Callable[P, object]) -> None:
        self._clock = clock
        self._say = say
        self._said = -math.inf

    def tell(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """The problem has occurred; the arguments are passed to ``say``."""
        now = self._clock.seconds()
        if now - self._said >= _SILENCE:
            self._said = now
            self._say(*args, **kwargs)
