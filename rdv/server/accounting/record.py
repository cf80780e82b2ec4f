"""
The record of a pair that has ended. The log line and the counters are made from it, and other
listeners get it too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import time
from typing import NamedTuple, TypeAlias

from twisted.logger import Logger

from rdv.server.relay.outcome import EndReason, Outcome
from rdv.server.relay.pair import Pair
from rdv.wire import token_hint

__all__ = ["PairListener", "PairRecord", "record_of", "tell_of_end"]

log = Logger()


class PairRecord(NamedTuple):
    """
    A pair that has ended. Unknown addresses and users are empty strings.

    :ivar time: when it ended, in seconds since 1970.
    :ivar id: eight hexadecimal digits that identify the pair in the log.
    :ivar token: enough of the token to distinguish it; see :func:`rdv.wire.token_hint`.
    :ivar waited: how many seconds the first client waited for the other.
    :ivar lasted: how many seconds passed from the match to the end.
    :ivar dialer_bytes: how many bytes from the dialer were relayed.
    :ivar acceptor_bytes: likewise.
    :ivar dialer_address: the observed address, formatted.
    :ivar acceptor_address: likewise.
    :ivar dialer_user: the user, if the server identifies users.
    :ivar acceptor_user: likewise.
    :ivar worker: the number of the worker that served it; None if there is only one process.
    """

    time: float
    id: str
    outcome: Outcome
    reason: EndReason
    token: str
    waited: float
    lasted: float
    dialer_bytes: int
    acceptor_bytes: int
    dialer_address: str
    acceptor_address: str
    dialer_user: str
    acceptor_user: str
    worker: int | None


#: Called with each pair that has ended.
PairListener: TypeAlias = Callable[[PairRecord], object]


def record_of(pair: Pair, seconds: float, worker: int | None = None) -> PairRecord:
    """
    The record of ``pair``.

    :param seconds: the current time, as in :attr:`Pair.matched`.
    """
    dialer, acceptor = pair.dialer, pair.acceptor
    return PairRecord(
        time(),
        f"{pair.id:08x}",
        pair.outcome or Outcome.FAILED,
        pair.end_reason or EndReason.ABORTED,
        token_hint(pair.token),
        pair.waited,
        seconds - pair.matched,
        pair.dialer_bytes,
        pair.acceptor_bytes,
        dialer.observed,
        acceptor.observed,
        dialer.user or "",
        acceptor.user or "",
        worker,
    )


def tell_of_end(record: PairRecord, listeners: Iterable[PairListener]) -> None:
    """Call all listeners. If one fails, this is logged, and the others are still called."""
    for listener in listeners:
        try:
            listener(record)
        except Exception:
            log.failure("a listener for the end of a pair failed")
