"""
How the meeting of a pair ends, and who is told what becomes of it.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IReactorTime

from rdv.server.leg import Leg
from rdv.server.ports import Ports
from rdv.splicing import Splicer

if TYPE_CHECKING:
    from rdv.server.relay import Pair

__all__ = ["Outcome", "PairOwner"]


class Outcome(enum.Enum):
    """How a pair's meeting ended."""

    #: A side closed without having sent its line: it had found a direct path.
    DIRECT = "direct"
    #: Both lines came, and the relay carried the stream.
    RELAYED = "relayed"
    #: A wrong or incomplete line, none in time, or refused.
    FAILED = "failed"


class PairOwner(Protocol):
    """
    Whose pairs they are.

    :ivar clock: tells them the time.
    :ivar splicer: moves bytes between their sockets, where the system can do that.
    :ivar ports: where else clients may ask.
    """

    clock: IReactorTime
    splicer: Splicer | None
    ports: Ports

    def pair_joined(self, pair: Pair) -> None:
        """Both lines have come."""

    def pair_parted(self, pair: Pair, gone: Leg, told: Leg) -> None:
        """One has left, or spoken too early, when only ``told`` had been told."""

    def pair_ended(self, pair: Pair) -> None:
        """Both connections are gone, or have another owner."""
