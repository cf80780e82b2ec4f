"""
A network in memory, with a clock that stands still until it is advanced.

``rdv.testing`` runs the real client against the real server in memory, without sockets and with a
clock that the test advances. Only the socket is replaced, below Twisted's own ``tcp.Connection``:
buffers, producers, half-close and the errors at the end are Twisted's. A ``Host`` is a reactor
without descriptors: it does not claim ``IReactorFDSet``, so nothing is spliced, and its ports have
no ``socket``, so the client uses its code path without its own dials. ``Client`` asks a reactor for
``own_addresses`` before it looks at the system's interfaces. A turn makes the calls that are due,
then lets each connection write and read once, the oldest first; everything therefore happens in the
same order in each run. One set of scenarios runs both in memory and over loopback, and must have
the same results in both.

What it cannot simulate: loss, delay, NATs, and what the kernel reports about a connection; the
choice of a direct path is therefore final immediately.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address

from twisted.internet.address import IPv4Address as TwistedAddress
from twisted.internet.error import ConnectError, DNSLookupError, getConnectError
from twisted.internet.interfaces import (
    IAddress,
    IHostnameResolver,
    IHostResolution,
    IResolutionReceiver,
)
from twisted.internet.task import Clock
from zope.interface import implementer

from rdv.addresses import Address, parse_ip
from rdv.testing.host import Host, MemoryPort
from rdv.testing.transport import MemorySocket

__all__ = ["Network"]

#: Turns after which a flush counts as endless.
_TURNS = 1_000_000


class _StandingClock(Clock):
    """A clock that makes its calls one turn at a time, like a reactor."""

    def next_call(self) -> float:
        """When the next call is due; ``math.inf`` when there is none."""
        return min((call.getTime() for call in self.calls), default=math.inf)

    def run_due(self) -> bool:
        """
        Make the calls that are due now, but none of those that they add. Returns whether there was
        one.
        """
        due = [call for call in self.calls if call.getTime() <= self.seconds()]
        for call in due:
            if call.active():  # an earlier one may have cancelled it
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)
        return bool(due)


@implementer(IHostResolution)
class _Resolution:
    """A resolution that is complete immediately."""

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """See :class:`IHostResolution`: it is too late."""


@implementer(IHostnameResolver)
class _Names:
    """
    :param known: IPv4 addresses by name.
    """

    def __init__(self, known: Mapping[str, str]) -> None:
        self._known = known

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        addressTypes: Sequence[type[IAddress]] | None = None,  # noqa: N803
        transportSemantics: str = "TCP",  # noqa: N803
    ) -> IHostResolution:
        """See :class:`IHostnameResolver`. A name that is not known has no addresses."""
        resolution = _Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        host = self._known.get(hostName)
        if host is not None and (addressTypes is None or TwistedAddress in addressTypes):
            resolutionReceiver.addressResolved(TwistedAddress("TCP", host, portNumber))
        resolutionReceiver.resolutionComplete()
        return resolution


class Network:
    """
    Hosts, and the wires between them, which lose nothing and have no delay.

    :ivar clock: the time of all hosts.
    :ivar moving: whether a :meth:`flush` is running.
    :ivar addresses: of hosts that have a name.
    :ivar names: the resolver for those.
    :ivar shielded: hosts, by address, whose firewalls drop packets from other hosts.
    """

    def __init__(self) -> None:
        self.clock = _StandingClock()
        self.moving = False
        self.addresses = {"localhost": "127.0.0.1"}
        self.names = _Names(self.addresses)
        self.hosts: dict[IPv4Address | IPv6Address, Host] = {}
        self.shielded: set[IPv4Address | IPv6Address] = set()

    def host(self, ip: IPv4Address, name: str | None = None) -> Host:
        """A new host."""
        host = self.hosts[ip] = Host(ip, self.clock, self.names, self.connect)
        if name is not None:
            self.addresses[name] = str(ip)
        return host

    def connect(
        self, source: Address, name: str, port: int
    ) -> tuple[MemorySocket, MemoryPort, MemorySocket] | None:
        """
        See :data:`~rdv.testing.host.Syn`.

        :raises DNSLookupError: for an unknown name.
        :raises ConnectError: when it is refused, or the two are connected already.
        """
        try:
            ip = parse_ip(self.addresses.get(name, name))
        except ValueError:
            raise DNSLookupError(name) from None
        destination = Address(source.ip if ip.is_loopback else ip, port)
        host = self.hosts.get(destination.ip)
        if host is None or (destination.ip in self.shielded and source.ip != destination.ip):
            return None
        if source == destination or destination.port not in host.ports:
            raise _connect_error(errno.ECONNREFUSED)
        ends = {(each.name, each.peer_name) for each in host.sockets}
        if (destination, source) in ends:
            raise _connect_error(errno.EADDRINUSE)
        near, far = MemorySocket.pair(source, destination)
        return near, host.ports[destination.port], far

    def flush(self) -> None:
        """
        Deliver all data in transit, and the responses to it, until nothing moves. Calls that are
        due are made; the clock stands still.

        :raises RuntimeError: if it does not end, or is called by a receiver of the data.
        """
        if self.moving:
            raise RuntimeError("flush() within flush(): the outer one delivers the rest")
        self.moving = True
        try:
            for _ in range(_TURNS):
                if not self._turn():
                    return
        finally:
            self.moving = False
        raise RuntimeError("the network does not become idle: does a protocol talk to itself?")

    def _turn(self) -> bool:
        called = self.clock.run_due()
        moved = [host.turn() for host in list(self.hosts.values())]
        return called or any(moved)

    def advance(self, seconds: float) -> None:
        """
        Let ``seconds`` pass. Each call is made at its own time, and the data that it causes arrives
        immediately.

        :raises ValueError: for a time that is negative or infinite.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError(f"not a valid time to advance: {seconds}")
        end = self.clock.seconds() + seconds
        self.flush()
        while (due := self.clock.next_call()) <= end:
            self.clock.rightNow = due
            self.flush()
        self.clock.rightNow = end


def _connect_error(number: int) -> ConnectError:
    error: ConnectError = getConnectError((number, os.strerror(number)))
    return error
