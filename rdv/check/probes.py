"""
What is tried, in which order, and how long.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from hyperlink import URL
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from rdv.addresses import Address, AddressSpace, space_of
from rdv.check.meetings import Meetings, Pair
from rdv.check.observations import Observations
from rdv.check.relaying import dial_mapping, measure
from rdv.check.server import dial_all, lookup
from rdv.check.tls import examine
from rdv.check.view import Sight, sight_of
from rdv.client.own_addresses import own_addresses, route_to
from rdv.client.server_url import parse_server_url
from rdv.client.tls_policy import tls_policy
from rdv.wire import HeaderLookup, other_ports

__all__ = ["Probes"]

#: Meetings by the relay, and directly.
_ROUNDS = 3
#: Seconds at most: for the server's name or a connection to it, for a meeting, for one by two
#: ports, for the answer to a stray SYN (in which the system sends it again), and for relaying.
_REACH, _MEET, _SECOND, _STRAY, _RELAY = 4.0, 4.0, 2.5, 1.5, 1.5
#: Seconds with which nothing more is begun.
_TOO_LATE = 0.5


class Probes:
    """
    Observes one server, and what lies between it and this host.

    :param url: of the server.
    :param shown: the same as it stands in the observations; None for one of our own.
    :param headers: for each request.
    :param tls: how the server is verified; None for the platform's roots.
    :param spaces: of the addresses that are told in direct meetings; none for no such meetings.
    :param timeout: seconds for everything.
    :param throughput: whether to fill the relay.
    :param progress: told what comes next, in a few words.
    :raises BadURL: when ``url`` is none.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        *,
        shown: str | None,
        headers: Headers,
        tls: IPolicyForHTTPS | None,
        spaces: AddressSpace,
        timeout: float,
        throughput: bool,
        progress: Callable[[str], object],
    ) -> None:
        self._reactor = reactor
        self._parsed: URL = parse_server_url(url)
        self._url = url
        self._tls = tls or tls_policy()
        self._spaces = spaces
        self._deadline = reactor.seconds() + timeout
        self._throughput = throughput
        self._progress = progress
        self._doing = ""
        self._meetings = Meetings(reactor, url, headers, tls)
        self.observations = Observations(url=shown)

    def _left(self, most: float) -> float:
        """Seconds for the next step."""
        left: float = self._deadline - self._reactor.seconds()
        return max(0.0, min(most, left))

    def _in_time(self, what: str) -> bool:
        if self._left(_MEET) < _TOO_LATE:
            if what not in self.observations.late:
                self.observations.late.append(what)
            return False
        if what != self._doing:
            self._doing = what
            self._progress(what)
        return True

    async def run(self) -> Observations:
        """Try everything, as far as the time allows. Nothing stays open."""
        seen = self.observations
        seen.own = [address.ip for address in own_addresses(0) if not _is_loopback(address)]
        if not await self._reach():
            return seen
        pair = await self._meet_by_relay()
        if pair is None:
            return seen
        try:
            if sight_of(seen) is Sight.NAT and self._in_time("a SYN that nobody asked for"):
                sighting = seen.relayed[-1].sightings[0]
                seen.stray = await dial_mapping(self._reactor, sighting, self._left(_STRAY))
            if self._throughput and self._in_time("throughput of the relay"):
                measured, pair = pair, None
                seen.throughput = await measure(self._reactor, measured, self._left(_RELAY))
        finally:
            if pair is not None:
                await pair.close(self._reactor)
        if seen.other_ports and self._in_time("a second port of the server"):
            await self._meet_by_two_ports()
        await self._meet_directly()
        return seen

    async def _reach(self) -> bool:
        """Whether there is a point in going on."""
        seen = self.observations
        self._progress("the way to the server")
        addresses, seen.lookup_problem = await lookup(
            self._reactor, self._parsed, self._left(_REACH) / 2
        )
        seen.dials = await dial_all(self._reactor, addresses, self._left(_REACH))
        server = seen.server
        if server is None:
            return False
        seen.source = route_to(server.ip)
        if self._parsed.scheme == "https" and self._in_time("TLS"):
            seen.tls = await examine(
                self._reactor, self._tls, self._parsed, server, self._left(_REACH) / 2
            )
            return seen.tls.failure is None
        return True

    async def _meet_by_relay(self) -> Pair | None:
        """One after the other, so that the order of their ports is known. The last one stays."""
        pair: Pair | None = None
        for _ in range(_ROUNDS):
            if not self._in_time("meetings by the relay"):
                break
            if pair is not None:
                await pair.close(self._reactor)
            meeting, pair = await self._meetings.meet(self._left(_MEET))
            self.observations.relayed.append(meeting)
            if pair is None:
                break
            named = other_ports(_lookup(pair.dialer.headers))
            self.observations.other_ports = tuple(named)
        return pair

    async def _meet_by_two_ports(self) -> None:
        other = self._parsed.replace(port=self.observations.other_ports[0]).to_text()
        with socket.socket() as held:  # so that nobody else takes the port before we do
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind(("", 0))
            meeting, pair = await self._meetings.meet(
                self._left(_SECOND), local_port=held.getsockname()[1], acceptor_url=other
            )
        self.observations.second = meeting
        if pair is not None:
            await pair.close(self._reactor)

    async def _meet_directly(self) -> None:
        for _ in range(_ROUNDS if self._spaces else 0):
            if not self._in_time("direct meetings"):
                return
            meeting, pair = await self._meetings.meet(self._left(_MEET), spaces=self._spaces)
            self.observations.direct.append(meeting)
            if pair is None:
                return
            await pair.close(self._reactor)
            if meeting.is_relay:
                return


def _lookup(headers: Headers) -> HeaderLookup:
    return lambda name: headers.getRawHeaders(name, [])


def _is_loopback(address: Address) -> bool:
    return space_of(address.ip) is AddressSpace.LOOPBACK
