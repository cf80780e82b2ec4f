"""
Reports the events of one way to the peer to a trace: the relay, an address that is dialled, or an
incoming connection.

All candidates that result from dialling one address share a ``CandidateTrace``. It records how far
they got, so that it can report why they were lost when another candidate wins: the code that ends
the race does not know that.
"""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING

from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost

from rdv._system.tcp_info import round_trip
from rdv.client.reasons import describe
from rdv.client.trace import What
from rdv.errors import ProtocolError
from rdv.wire import Role

if TYPE_CHECKING:
    from rdv.addresses import Address
    from rdv.client.tracing.attempt_trace import AttemptTrace

__all__ = ["NO_CANDIDATE_TRACE", "CandidateTrace"]

#: Errors of a dial to an address to which the port is already connected. (If the reason is that
#: there is no route, :meth:`CandidateTrace.lost` gets the error and reports it.)
_TAKEN = frozenset((errno.EADDRNOTAVAIL, errno.EADDRINUSE))


class CandidateTrace:
    """
    Reports the events of one way to the peer; its methods are named after the events, see
    :class:`What`. It reports nothing after the way was chosen or lost.

    :param kind: ``relay``, ``dial`` or ``inbound``.
    :ivar number: its number in the attempt.
    """

    def __init__(self, attempt: AttemptTrace, number: int, kind: str) -> None:
        self._attempt = attempt
        self._dials = 0
        self._since: float | None = None
        self._over = self._stood = False
        self._expected = "HELLO" if attempt.role is Role.DIALER else "CONFIRM"
        self._reason = "it had no result"  # why it is lost, unless another reason is given
        self.kind = kind
        self.number = number

    def __call__(self, what: What, **fields: object) -> None:
        """Report an event, unless the way is over."""
        if not self._over:
            self._attempt(what, way=self.number, **fields)

    def _seconds(self) -> float | None:
        return None if self._since is None else self._attempt.now - self._since

    def dialled(self) -> None:
        self._dials += 1
        self._since = self._attempt.now
        if self._dials == 1:  # later, the last refusal is a better reason
            self._reason = "no answer"
        self(What.DIALLED, dial=self._dials)

    def refused(self, error: Exception) -> None:
        number = getattr(error, "osError", None) if isinstance(error, ConnectError) else None
        self._reason = _reason(error)
        self._stood = False
        self(
            What.REFUSED,
            dial=self._dials,
            reason=self._reason,
            errno=errno.errorcode.get(number) if isinstance(number, int) else None,
            seconds=self._seconds(),
        )
        if number in _TAKEN:
            self._reason = "the connection from the other side took its place"

    def stands(self, transport: object) -> None:
        self._reason = f"no {self._expected} came"
        self._stood = True
        self(What.STANDS, seconds=self._seconds(), round_trip=round_trip(transport))

    def heard(self, line: str) -> None:
        self._reason = ""
        if line == "CONFIRM" and self.kind != "relay":
            self._attempt.is_confirmed = True
        self(What.HEARD, line=line)

    def waits(self, seconds: float, reason: str) -> None:
        if seconds > 0:
            self(What.WAITS, seconds=seconds if seconds < math.inf else None, reason=reason)

    def won(self) -> None:
        self._attempt.chosen = self
        self._end(What.CHOSEN)

    def lost(self, error: BaseException | None = None) -> None:
        """
        :param error: the reason; None if the race is over.
        """
        if error is None:
            reason = self._race_is_over()
        elif (
            isinstance(error, ConnectionDone)
            and self.kind == "relay"
            and self._attempt.is_confirmed
        ):
            # The dialer may end the relay before we have chosen what it chose.
            reason = "the peer chose a direct path"
        elif isinstance(error, ProtocolError) and self._reason:
            reason = f"it did not send {self._expected}"
        else:
            reason = _reason(error)
        self._end(What.LOST, reason=reason)

    def _race_is_over(self) -> str:
        winner = self._attempt.chosen
        if winner is None or winner.kind == "relay":
            return self._reason or "it was ready, but not chosen in time"
        if not self._stood and self.kind != "relay":
            return self._reason
        other = "a direct path" if self.kind == "relay" else "another one"
        dialer = self._attempt.role is Role.DIALER
        return f"{other} was faster" if dialer else f"the peer chose {other}"

    def _end(self, what: What, **fields: object) -> None:
        self(what, **fields, dials=self._dials)
        self._over = True
        self._attempt.over(self)

    def switched(self, peer: Address) -> None:
        """The relay has replaced the chosen path. It was reported as lost before."""
        self._attempt(What.SWITCHED, way=self.number, peer=peer)

    def settled(self, reason: str) -> None:
        """The choice is final. The way was reported as chosen before."""
        self._attempt(What.SETTLED, reason=reason)


def nothing(*args: object, **fields: object) -> None:
    """Report nothing."""


class _NoCandidateTrace(CandidateTrace):
    """Reports nothing."""

    def __init__(self) -> None:
        """There is nothing to remember."""

    __call__ = dialled = refused = stands = heard = waits = won = lost = nothing
    switched = settled = nothing


NO_CANDIDATE_TRACE: CandidateTrace = _NoCandidateTrace()


def _reason(error: BaseException) -> str:
    """Like :func:`describe`, without Twisted's prefix to the text of a loss."""
    if not isinstance(error, (ConnectionDone, ConnectionLost)):
        return describe(error)
    if error.args:
        return str(error.args[0])
    closed = isinstance(error, ConnectionDone)
    return "the other side closed it" if closed else "the connection was reset"
