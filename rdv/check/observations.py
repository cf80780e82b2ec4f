"""
What was observed. Nothing here is concluded from anything.
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

#: The probe behind :attr:`Observations.stray`, in :attr:`Observations.late`.
STRAY_SYN = "an unsolicited SYN"


@dataclass(frozen=True, slots=True)
class Dial:
    """
    One of the server's addresses, connected to by TCP and closed again.

    :ivar seconds: until it was connected; None when it was not.
    :ivar problem: why not.
    """

    address: Address
    seconds: float | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """
    A TLS handshake in which any certificate was taken.

    :ivar problems: what would have been wrong with the certificate, in words.
    :ivar incomplete: whether one of them is that the server does not send its whole chain.
    :ivar failure: why there was no handshake at all. Then most of the rest is empty.
    :ivar expires: a date.
    :ivar days: until then.
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
    :ivar text: for a person.
    :ivar status: the HTTP status, if it was one.
    :ivar reason: what the server gave as its reason.
    """

    what: Cause
    text: str
    status: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """
    :ivar local_port: the port we asked from.
    :ivar observed: the address at which the server saw that; None when it did not say.
    """

    local_port: int
    observed: Address | None


@dataclass(frozen=True, slots=True)
class Meeting:
    """
    One meeting of a dialer and an acceptor, both of this host.

    :ivar sightings: in the order in which they asked.
    :ivar seconds: from the dialer's start to its connection; None when there was none.
    :ivar is_relay: whether that went through the server.
    :ivar peer: where it went to.
    :ivar failure: why there was none; None as well when the time for everything was over.
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
    """What a SYN got that nobody had asked for."""

    #: It came back to us.
    CONNECTED = "connected"
    REFUSED = "refused"
    SILENT = "silent"
    #: Somebody else took it.
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Stray:
    """
    A dial from inside to the address that the server had observed of another port of ours.

    :ivar detail: the error, in words.
    """

    target: Address
    answer: StrayAnswer
    detail: str = ""


class HalfClose(StrEnum):
    """What became of a relayed connection that one side had half-closed."""

    #: What the other one carried after that has arrived, and its end.
    PASSED = "passed"
    #: It had ended as well.
    BOTH = "both"
    #: Nothing came any more.
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Throughput:
    """
    What one relayed stream, from this host to itself, has carried.

    :ivar broken: whether it broke meanwhile.
    """

    bytes: int
    seconds: float
    broken: bool = False


@dataclass
class Observations:
    """
    All that was observed. What was not, is empty or None.

    :ivar url: None when there was a server of our own on loopback.
    :ivar proxy: an HTTP proxy through which the server was asked; None without.
    :ivar own: this host's addresses, the useful ones first.
    :ivar source: from which of them it reaches the server, or the proxy.
    :ivar lookup_problem: why the name of that one led to no address.
    :ivar dials: of its addresses, IPv4 first.
    :ivar without_proxy: dials of the server's own addresses, if there is a proxy.
    :ivar relayed: meetings without addresses to dial, one after the other, each from new ports.
    :ivar half_close: by the role whose direction ended first, what became of the other one.
    :ivar direct: meetings that exchanged this host's addresses.
    :ivar other_ports: the ports that the server named.
    :ivar second: a meeting from one local port: the acceptor came by the first of those ports, the
        dialer by that of the URL. Its sightings are in that order.
    :ivar late: what was left out, as the time was over.
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
        """Those from new ports, in the order of the requests."""
        return [each for meeting in self.relayed for each in meeting.sightings]

    @property
    def connected(self) -> bool:
        """Whether dialer and acceptor could be connected through the server."""
        return any(meeting.seconds is not None for meeting in self.relayed)

    @property
    def failure(self) -> Failure | None:
        """Why they could not; None when they could."""
        return next((each.failure for each in self.relayed if not self.connected), None)
