"""
What was observed. Nothing here is a conclusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address

from rdv.addresses import Address

__all__ = [
    "STRAY_SYN",
    "Cause",
    "Dial",
    "Failure",
    "HalfClose",
    "Meeting",
    "Observations",
    "Sighting",
    "Stray",
    "StrayAnswer",
    "Throughput",
    "Tls",
]

#: The name of the probe for :attr:`Observations.stray`, as in :attr:`Observations.late`.
STRAY_SYN = "an unsolicited SYN"


@dataclass(frozen=True, slots=True)
class Dial:
    """
    A TCP connection to one of the server's addresses, closed again immediately.

    :ivar seconds: until it was connected; None when it was not.
    :ivar problem: why it was not.
    """

    address: Address
    seconds: float | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """
    A TLS handshake that accepts any certificate.

    :ivar problems: what would have been wrong with the certificate, in words.
    :ivar incomplete: whether one of them is that the server does not send its whole chain.
    :ivar failure: why the handshake failed. Most of the other fields are then empty.
    :ivar expires: a date.
    :ivar days: until that date.
    """

    version: str = ""
    cipher: str = ""
    subject: str = ""
    issuer: str = ""
    expires: str = ""
    days: int = 0
    problems: tuple[str, ...] = ()
    incomplete: bool = False
    failure: str | None = None


class Cause(StrEnum):
    """Why a meeting failed."""

    #: The server could not be reached, or did not answer.
    UNREACHABLE = "unreachable"
    #: The proxy did not let us through to it.
    PROXY = "behind-proxy"
    #: It answered with another status than 101.
    REFUSED = "refused"
    #: Its answer was not rdv/1.
    NOT_RDV = "not-rdv"
    #: It kept both waiting until we gave up.
    NEVER_MET = "never-met"
    #: It introduced them to each other, but they could not connect.
    NO_PATH = "no-path"
    #: It introduces peers, and relays nothing.
    NO_RELAY = "no-relay"


@dataclass(frozen=True, slots=True)
class Failure:
    """
    :ivar text: for a human.
    :ivar status: the HTTP status, if there was one.
    :ivar reason: the reason that the server gave.
    """

    what: Cause
    text: str
    status: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """
    :ivar local_port: the port from which the request was sent.
    :ivar observed: the address at which the server saw it; None when the server did not report it.
    """

    local_port: int
    observed: Address | None


@dataclass(frozen=True, slots=True)
class Meeting:
    """
    One meeting of a dialer and an acceptor, both on this host.

    :ivar sightings: in the order of their requests.
    :ivar seconds: from the dialer's start to its connection; None when there was none.
    :ivar is_relay: whether the connection went through the server.
    :ivar peer: the other end of the connection.
    :ivar failure: why there was none; also None when the total time was over.
    """

    sightings: tuple[Sighting, ...] = ()
    seconds: float | None = None
    is_relay: bool = False
    peer: Address | None = None
    failure: Failure | None = None

    @property
    def was_cut(self) -> bool:
        """Whether it might have succeeded, with more time."""
        return self.seconds is None and self.failure is None


class StrayAnswer(StrEnum):
    """The response to an unsolicited SYN."""

    #: It arrived at our own port.
    CONNECTED = "connected"
    REFUSED = "refused"
    SILENT = "silent"
    #: Another host accepted it.
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Stray:
    """
    A dial from inside to the address that the server had observed for another of our ports.

    :ivar detail: the error, in words.
    """

    target: Address
    answer: StrayAnswer
    detail: str = ""


class HalfClose(StrEnum):
    """The result of half-closing one side of a relayed connection."""

    #: Data in the other direction still arrived after that, and its end.
    PASSED = "passed"
    #: The other direction was ended, too.
    BOTH = "both"
    #: Nothing more arrived.
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Throughput:
    """
    The amount of data on one relayed stream, from this host to itself.

    :ivar broken: whether the stream broke meanwhile.
    """

    bytes: int
    seconds: float
    broken: bool = False


@dataclass
class Observations:
    """
    Everything that was observed. A field without an observation is empty or None.

    :ivar url: None when the check started its own server on loopback.
    :ivar proxy: the HTTP proxy through which the server was contacted; None without.
    :ivar own: this host's addresses, the useful ones first.
    :ivar source: the one from which it reaches the server, or the proxy.
    :ivar lookup_problem: why the name of the server, or the proxy, did not resolve to an address.
    :ivar dials: of its addresses, IPv4 first.
    :ivar without_proxy: dials of the server's own addresses, if there is a proxy.
    :ivar relayed: meetings without addresses to dial, one after the other, each from new ports.
    :ivar half_close: by the role whose direction ended first, what happened to the other direction.
    :ivar direct: meetings that exchanged this host's addresses.
    :ivar other_ports: the ports that the server named.
    :ivar second: a meeting from one local port: the acceptor used the first of those ports, the
        dialer the port of the URL. Its sightings are in that order.
    :ivar late: the steps that were skipped because the time was over.
    """

    url: str | None = None
    proxy: str | None = None
    own: Sequence[IPv4Address | IPv6Address] = ()
    source: IPv4Address | IPv6Address | None = None
    lookup_problem: str | None = None
    dials: list[Dial] = field(default_factory=list)
    without_proxy: list[Dial] = field(default_factory=list)
    tls: Tls | None = None
    relayed: list[Meeting] = field(default_factory=list)
    half_close: dict[str, HalfClose] = field(default_factory=dict)
    direct: list[Meeting] = field(default_factory=list)
    other_ports: tuple[int, ...] = ()
    second: Meeting | None = None
    stray: Stray | None = None
    throughput: Throughput | None = None
    late: list[str] = field(default_factory=list)

    @property
    def server(self) -> Address | None:
        """The server's address that a client uses, or the proxy's: the first that was reached."""
        return next((dial.address for dial in self.dials if dial.seconds is not None), None)

    @property
    def sightings(self) -> list[Sighting]:
        """The sightings of new ports, in the order of the requests."""
        return [each for meeting in self.relayed for each in meeting.sightings]

    @property
    def connected(self) -> bool:
        """Whether dialer and acceptor could be connected through the server."""
        return any(meeting.seconds is not None for meeting in self.relayed)

    @property
    def failure(self) -> Failure | None:
        """Why dialer and acceptor could not be connected; None if they could."""
        return next((each.failure for each in self.relayed if not self.connected), None)
