"""
The limits of one address.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

from rdv import _knobs as knobs

__all__ = ["MOST", "NO_LIMITS", "Limit", "Limits"]

#: The maximum of any limit.
MOST = 1_000_000


class Limit(IntEnum):
    """The kinds of limits. The first three are for counts, the others for rates."""

    CONNECTIONS = 0
    WAITING = 1
    PAIRS = 2
    REQUESTS = 3
    FAILURES = 4

    @property
    def title(self) -> str:
        """Its name, as in :class:`Limits`."""
        return self.name.lower()


@dataclass(frozen=True)
class Limits:
    """
    Limits per address (an IPv4 address, or an IPv6 /64); 0 for no limit. Clients beyond a limit get
    a 429.

    :ivar connections: open connections, for a standalone server. (A ``RendezvousResource`` in
        another ``Site`` cannot limit them.)
    :ivar waiting: clients that are waiting for their peer.
    :ivar pairs: clients that have met their peer and are still connected. A pair whose clients
        share one address counts as two.
    :ivar requests: requests per second, averaged over ten seconds: a burst of ten times as many is
        allowed.
    :ivar failures: failed clients per minute, averaged over three minutes. Only tokens that are new
        for the address count, so this bounds how many tokens can be guessed.
    :raises TypeError: when a limit is not an integer; the message names it.
    :raises ValueError: when one is out of range; likewise.
    """

    connections: int = 256
    waiting: int = 128
    pairs: int = 64
    requests: int = 20
    failures: int = 60

    def __post_init__(self) -> None:
        for each in fields(self):
            knobs.whole(each.name, getattr(self, each.name), 0, MOST)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return any(getattr(self, each.name) for each in fields(self))


#: For clients that are counted elsewhere.
NO_LIMITS = Limits(0, 0, 0, 0, 0)
