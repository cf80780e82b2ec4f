"""
Outcomes of pairs, and why they ended.
"""

from __future__ import annotations

import enum

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from rdv._line_matcher import LineMatcher
from rdv._system.sockets import unread
from rdv._transport.liveness import PeerVanished
from rdv.server.leg import Leg
from rdv.wire import Role

__all__ = ["EndReason", "Outcome", "lost", "tells_more", "without_lines"]


class Outcome(enum.Enum):
    """How a pair ended."""

    # A member is only equal to itself. Enum's own ``__hash__`` is a Python function, and counters
    # call it several times for each pair.
    __hash__ = object.__hash__

    #: The acceptor has sent HELLO, and the dialer has closed cleanly without a line: it has chosen
    #: a direct path.
    DIRECT = "direct"
    #: Both lines have arrived, and the relay has carried the stream.
    RELAYED = "relayed"
    #: A line was wrong, incomplete, or late; the pair was refused; or a client left before both
    #: were answered.
    FAILED = "failed"
    #: A client left, or was reset, before a path was chosen, as far as the server knows.
    ABANDONED = "abandoned"


class EndReason(enum.Enum):
    """
    Why a pair ended: the first reason. A relayed pair that one side closed has ended cleanly.
    """

    __hash__ = object.__hash__

    DIALER_CLOSED = "dialer_closed"
    ACCEPTOR_CLOSED = "acceptor_closed"
    DIALER_RESET = "dialer_reset"
    ACCEPTOR_RESET = "acceptor_reset"
    #: The client stopped responding: its network or its host is gone.
    DIALER_VANISHED = "dialer_vanished"
    ACCEPTOR_VANISHED = "acceptor_vanished"
    #: No data for too long.
    IDLE = "idle"
    #: The pair found no direct path, and the server does not relay.
    NO_RELAY = "no_relay"
    #: The pair has used up its quota.
    QUOTA = "quota"
    #: The server stopped.
    SHUTDOWN = "shutdown"
    #: No path was chosen in time.
    HANDSHAKE_TIMEOUT = "handshake_timeout"
    #: A client sent a wrong line.
    WRONG_LINE = "wrong_line"
    #: The ``serve`` hook rejected the pair.
    REFUSED = "refused"
    #: The hook failed, or did not decide in time.
    HOOK_FAILED = "hook_failed"
    #: :meth:`rdv.server.Pair.abort` was called.
    ABORTED = "aborted"


_CLOSED = {Role.DIALER: EndReason.DIALER_CLOSED, Role.ACCEPTOR: EndReason.ACCEPTOR_CLOSED}
_RESET = {Role.DIALER: EndReason.DIALER_RESET, Role.ACCEPTOR: EndReason.ACCEPTOR_RESET}
_VANISHED = {Role.DIALER: EndReason.DIALER_VANISHED, Role.ACCEPTOR: EndReason.ACCEPTOR_VANISHED}


def lost(leg: Leg, failure: Failure | None = None) -> EndReason:
    """
    The reason that corresponds to the end of ``leg``.

    :param failure: why the connection was lost; None if the client has only ended its direction.
    """
    if failure is None or isinstance(failure.value, ConnectionDone):
        return _CLOSED[leg.role]
    return (_VANISHED if failure.check(PeerVanished) else _RESET)[leg.role]


def without_lines(
    confirm: LineMatcher | None, hello: LineMatcher | None, *, dialer_closed: bool
) -> Outcome:
    """
    The outcome of a pair that ends before both lines have arrived.

    :param confirm: the received part of that line; None if it is complete.
    :param hello: likewise.
    :param dialer_closed: whether the pair ends because the dialer has closed cleanly.
    """
    if any(line is not None and line.started for line in (confirm, hello)):
        return Outcome.FAILED
    is_chosen = dialer_closed and hello is None and confirm is not None
    return Outcome.DIRECT if is_chosen else Outcome.ABANDONED


def tells_more(other: Leg, hello: LineMatcher | None) -> bool:
    """
    Whether the meaning of one client's end, before both lines have arrived, depends on ``other``.

    :param hello: as for :func:`without_lines`.
    """
    if other.role is Role.DIALER:  # the acceptor may notice a direct path before we do
        return hello is None
    # HELLO may be unread: the system reports events of different connections in any order.
    return hello is not None and bool(unread(other.transport))
