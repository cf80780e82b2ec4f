"""
How much one address may have.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

from rdv import _knobs as knobs

__all__ = ["MOST", "NO_LIMITS", "Limit", "Limits"]

#: The largest number of any limit.
MOST = 1_000_000


class Limit(IntEnum):
    """What there is a limit of. The first three are counted, and the others are rates."""

    CONNECTIONS = 0
    WAITING = 1
    PAIRS = 2
    REQUESTS = 3
    FAILURES = 4

    @property
    def title(self) -> str:
        """What it is called: as in :class:`Limits`."""
        return self.name.lower()


@dataclass(frozen=True)
class Limits:
    """
    Limits per address (an IPv4 address, or an IPv6 /64); 0 for no limit. Clients beyond a limit get
    a 429.

    :ivar connections: that are open, in a server of its own. (A ``RendezvousResource`` in another
        ``Site`` has no say about them.)
    :ivar waiting: clients that are waiting for their peer.
    :ivar pairs: clients that have met their peer and are still connected. A pair whose clients
        share one address counts as two.
    :ivar requests: a second, on average over ten seconds, which may come at once.
    :ivar failures: how many clients may come in vain, each with a token that is new, a minute, on
        average over three minutes: this is what guessing tokens comes to.
    :raises TypeError: when one is no whole number; the text names it.
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


#: For whom something else counts already.
NO_LIMITS = Limits(0, 0, 0, 0, 0)
