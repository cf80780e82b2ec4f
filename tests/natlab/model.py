"""
What a topology is made of. Nothing here touches the system.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

__all__ = [
    "Box",
    "Conditions",
    "Expected",
    "Nat",
    "Proxy",
    "Server",
    "Site",
    "Stray",
    "Topology",
]


class Nat(enum.Enum):
    """Which port a router gives to a new connection. All of them filter by address and port."""

    PRESERVING = "the host's own"
    RANDOM = "a random one, for each destination another"
    SEQUENTIAL = "the one after that of the connection before"


class Stray(enum.Enum):
    """The response to an unsolicited SYN."""

    SILENT = "nothing"
    RESET = "a TCP reset, from a packet filter"
    PORT_UNREACHABLE = "ICMP port unreachable"
    PROHIBITED = "ICMP administratively prohibited"
    OWN_RESET = "the answer of the router's own TCP: no filter at all"


@dataclass(frozen=True)
class Box:
    """
    A router between a host and the internet: NAT or firewall.

    :ivar nat: none for a firewall that leaves addresses alone. IPv6 is never translated, only
        filtered.
    :ivar hairpin: whether hosts inside reach each other through the public address.
    :ivar only_server: whether only the server can be reached from inside; for anything else, the
        response is that of ``stray``.
    """

    nat: Nat | None = Nat.PRESERVING
    stray: Stray = Stray.SILENT
    hairpin: bool = False
    only_server: bool = False


@dataclass(frozen=True)
class Site:
    """
    One peer.

    :ivar boxes: between it and the internet, or the shared boxes of the topology; the nearest to
        the host comes first.
    :ivar clutter: dead interfaces and a dozen bridges, all with addresses, before the real one.
    :ivar neighbour: there is another host in its LAN.
    """

    boxes: tuple[Box, ...] = ()
    v4: bool = True
    v6: bool = False
    clutter: bool = False
    neighbour: bool = False


class Proxy(enum.Enum):
    """A proxy in front of the server, which hides its clients."""

    LOOPBACK = "on the server's host: the server sees 127.0.0.1"
    PUBLIC = "with a public address, which the server takes for the client's"
    UNKNOWN = "and the server knows it: it reports no address at all"


@dataclass(frozen=True)
class Server:
    """
    :ivar in_lan: it is in the peers' common LAN and not on the internet.
    """

    v4: bool = True
    v6: bool = False
    in_lan: bool = False
    proxy: Proxy | None = None


class Expected(enum.Enum):
    """What the best possible peers achieve."""

    DIRECT = "direct"
    PREDICTED = "direct, if a port is predicted"
    LUCK = "relay, if no port is guessed among thousands"
    RELAY = "relay"


@dataclass(frozen=True)
class Topology:
    """
    :ivar text: one sentence.
    :ivar shared: boxes that both peers are behind, the outermost last.
    :ivar twins: all LANs have the same private network. Each peer has the address of the other
        peer's neighbour.
    """

    text: str
    expected: Expected
    dialer: Site = field(default_factory=Site)
    acceptor: Site = field(default_factory=Site)
    shared: tuple[Box, ...] = ()
    server: Server = field(default_factory=Server)
    twins: bool = False


@dataclass(frozen=True)
class Conditions:
    """
    Distances, one way and in milliseconds; they need not obey the triangle inequality. Peers behind
    one border are next to each other, and their distance from the server is the average of both.

    :ivar dialer: from the dialer's border to the server.
    :ivar acceptor: from the acceptor's.
    :ivar peers: from border to border.
    :ivar jitter: what is added to each packet, at most.
    :ivar loss: percent of packets, each way.
    :ivar seed: for jitter and loss.
    """

    dialer: float = 0.0
    acceptor: float = 0.0
    peers: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    seed: int | None = None

    @classmethod
    def named(
        cls, delay: str, *, jitter: float = 0.0, loss: float = 0.0, seed: int | None = None
    ) -> Conditions:
        """
        Distances by name: a number, with the server halfway between the peers; ``unequal``, 5 and
        40 ms from the server, which lies between; ``far``, 20 and 100 ms from it, 5 ms apart. In
        both the dialer is the nearer one; ``unequal-acceptor`` and ``far-acceptor`` turn it round.

        :raises ValueError: for any other name.
        """
        known = {
            "unequal": (5.0, 40.0, 45.0),
            "unequal-acceptor": (40.0, 5.0, 45.0),
            "far": (20.0, 100.0, 5.0),
            "far-acceptor": (100.0, 20.0, 5.0),
        }
        if delay in known:
            dialer, acceptor, peers = known[delay]
        else:
            peers = float(delay)
            dialer = acceptor = peers / 2
        return cls(dialer, acceptor, peers, jitter, loss, seed)

    def between(self, one: str, other: str) -> float:
        """
        Milliseconds from site to site: ``dialer``, ``acceptor``, ``server``, or ``shared`` when the
        peers have one border.
        """
        distances = {
            frozenset(("dialer", "acceptor")): self.peers,
            frozenset(("dialer", "server")): self.dialer,
            frozenset(("acceptor", "server")): self.acceptor,
            frozenset(("shared", "server")): (self.dialer + self.acceptor) / 2,
        }
        return distances.get(frozenset((one, other)), 0.0)

    @property
    def ideal(self) -> bool:
        """Whether the kernel alone can provide them."""
        return not any((self.dialer, self.acceptor, self.peers, self.jitter, self.loss))
