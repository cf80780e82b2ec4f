"""
How the meeting of a pair ends.
"""

from __future__ import annotations

import enum

from rdv._line_matcher import LineMatcher
from rdv._system.sockets import unread
from rdv.server.leg import Leg
from rdv.wire import Role

__all__ = ["Outcome", "tells_more", "without_lines"]


class Outcome(enum.Enum):
    """How a pair's meeting ended."""

    #: The acceptor had said HELLO, and the dialer closed in good order without a word: it had
    #: chosen a direct path.
    DIRECT = "direct"
    #: Both lines came, and the relay carried the stream.
    RELAYED = "relayed"
    #: A wrong or incomplete line, none in time, or refused; or one left before both had been told.
    FAILED = "failed"
    #: One left, or was reset, before a path was chosen, as far as the server knows.
    ABANDONED = "abandoned"


def without_lines(
    confirm: LineMatcher | None, hello: LineMatcher | None, *, dialer_closed: bool
) -> Outcome:
    """
    What a pair has come to that ends before both lines have come.

    :param confirm: what has come of that line; None when it is complete.
    :param hello: likewise.
    :param dialer_closed: whether it ends because the dialer has closed in good order.
    """
    if any(line is not None and line.started for line in (confirm, hello)):
        return Outcome.FAILED
    is_chosen = dialer_closed and hello is None and confirm is not None
    return Outcome.DIRECT if is_chosen else Outcome.ABANDONED


def tells_more(other: Leg, hello: LineMatcher | None) -> bool:
    """
    Whether ``other`` has still to tell what the end of its peer means, before both lines have come.

    :param hello: as for :func:`without_lines`.
    """
    if other.role is Role.DIALER:  # the acceptor may hear of a direct path before we do
        return hello is None
    # HELLO may be there unread: the system tells of several connections in any order.
    return hello is not None and bool(unread(other.transport))
