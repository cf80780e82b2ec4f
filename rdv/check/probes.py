"""
Which probes are made, in which order, and for how long.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hyperlink import URL
from twisted.web.http_headers import Headers
from twisted.web.iweb import IPolicyForHTTPS

from rdv._system.interfaces import route_to
from rdv.addresses import AddressSpace, space_of
from rdv.check.ends import Pair
from rdv.check.meetings import meet
from rdv.check.observations import STRAY_SYN, HalfClose, Meeting, Observations
from rdv.check.relaying import dial_mapping, half_close, measure
from rdv.check.server import dial_all, examine, lookup
from rdv.check.view import Sight, is_here, sight_of
from rdv.client.http.policy import tls_policy
from rdv.client.parsing import parse_proxy, parse_server_url
from rdv.client.reach.self_addresses import own_addresses
from rdv.wire import HeaderLookup, other_ports

__all__ = ["Probes"]

#: The number of meetings through the relay, and of direct ones.
_ROUNDS = 3
#: Maximum seconds: to resolve the server's name and connect to it, for a meeting, for one by two
#: ports, for the response to a stray SYN (time for one retransmission), for the throughput, for the
#: response to a half-close, and for the server without the proxy.
_REACH, _MEET, _SECOND, _STRAY, _RELAY, _HALF, _BYPASS = 4.0, 4.0, 2.5, 1.5, 1.5, 1.5, 1.5
#: Round trips to the server that a meeting has at least. It takes five or six.
_ROUND_TRIPS = 10
#: Maximum bytes to fill the relay with: over a line that may be metered, and within this host.
_MOST, _MOST_HERE = 4_000_000, 64_000_000
#: The steps, as they are reported.
_REACHING, _RELAYING = "reaching the server", "relayed connections"
_FILLING = "relay throughput"
_BY_TWO_PORTS, _DIRECTLY = "a second port of the server", "direct connections"
_WITHOUT_PROXY = "the server without the proxy"
#: If no more seconds than this are left, no further step begins.
_TOO_LATE = 0.5


class Probes:
    """
    Observes one server, and the network between it and this host.

    :param url: the server's URL.
    :param shown: the URL as the observations contain it; None for the check's own server.
    :param headers: for each request.
    :param tls: how the server is verified; None for the platform's roots.
    :param spaces: the spaces of the addresses in direct meetings; none for no such meetings.
    :param timeout: seconds for everything.
    :param throughput: whether to fill the relay.
    :param proxy: the proxy through which the server is reached; its path is then examined.
    :param progress: called with the next step, in a few words.
    :param token: for all meetings, if the server requires a certain one.
    :raises BadURL: when ``url`` is invalid.
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
        proxy: str | None = None,
        token: bytes | None = None,
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
        self._round_trip = 0.0
        self._detour = 1
        self._how: dict[str, Any] = {
            "headers": headers,
            "tls": tls,
            "proxy": proxy,
            "token": token,
        }
        shown_proxy = None if proxy is None else str(parse_proxy(proxy))  # without a password
        self.observations = Observations(url=shown, proxy=shown_proxy)

    def _left(self, most: float) -> float:
        """Seconds for the next step."""
        left: float = self._deadline - self._reactor.seconds()
        return max(0.0, min(most, left))

    def _patience(self, seconds: float) -> float:
        """The time for a step that normally takes ``seconds`` at most: more over a long path."""
        return self._left(max(seconds, _ROUND_TRIPS * self._round_trip))

    def _was_cut(self, what: str, left: float = 0.0) -> bool:
        """
        Whether the total time is over, which is then recorded for this step. If it is, the failure
        of the step says nothing.

        :param left: with no more seconds than this, the time counts as over.
        """
        cut = self._left(_MEET) <= left
        if cut and what not in self.observations.late:
            self.observations.late.append(what)
        return cut

    def _in_time(self, what: str, more: str = "") -> bool:
        """Whether a step may begin; if so, this is reported."""
        if self._was_cut(what, _TOO_LATE):
            return False
        if what != self._doing:
            self._doing = what
            self._progress(what + more)
        return True

    async def run(self) -> Observations:
        """Take all steps for which there is time. Nothing stays open."""
        seen = self.observations
        await self._try_server()
        if seen.proxy is not None and self._in_time(_WITHOUT_PROXY):
            await self._try_without_proxy()
        return seen

    async def _try_server(self) -> None:
        seen = self.observations
        own = [address.ip for address in own_addresses(0)]
        seen.own = [ip for ip in own if space_of(ip) is not AddressSpace.LOOPBACK]
        if not await self._reach():
            return
        pair = await self._meet_by_relay()
        if pair is None and not seen.late:
            return
        try:
            if sight_of(seen) is Sight.NAT and self._in_time(STRAY_SYN):
                sighting = seen.relayed[-1].sightings[0]
                seen.stray = await dial_mapping(self._reactor, sighting, self._left(_STRAY))
            most, warning = self._amount()
            if self._throughput and self._in_time(_FILLING, warning) and pair is not None:
                measured, pair = pair, None
                seen.throughput = await measure(self._reactor, measured, self._left(_RELAY), most)
        finally:
            if pair is not None:
                await pair.close(self._reactor)
        # Through a proxy, all ports of the server are one destination.
        if seen.other_ports and seen.proxy is None and self._in_time(_BY_TWO_PORTS):
            await self._meet_by_two_ports()
        await self._meet_directly()

    def _amount(self) -> tuple[int, str]:
        """Bytes to fill the relay with, and what to announce about them."""
        seen, server = self.observations, self.observations.server
        if server is not None and seen.proxy is None and is_here(server, seen):
            return _MOST_HERE, ""
        size = f"{_MOST // 1_000_000} MB"
        return _MOST, f", up to {size} up and {size} down (none with --no-throughput)"

    async def _reach(self) -> bool:
        """Examine the path to the server. Returns whether a request can be made."""
        seen = self.observations
        self._progress(_REACHING)
        place = self._parsed if seen.proxy is None else parse_server_url(seen.proxy)
        addresses, seen.lookup_problem = await lookup(self._reactor, place, self._left(_REACH) / 2)
        if not addresses and self._was_cut(_REACHING):
            seen.lookup_problem = None
        seen.dials = await dial_all(self._reactor, addresses, self._left(_REACH))
        if addresses and self._was_cut(_REACHING):
            seen.dials = [each for each in seen.dials if each.seconds is not None]
        server = next((each for each in seen.dials if each.seconds is not None), None)
        if server is None or server.seconds is None:
            return False
        self._round_trip = server.seconds
        if server is not seen.dials[0]:
            # Both clients, one after the other, first try the addresses that do not answer.
            self._detour = 3
        seen.source = route_to(server.address.ip)
        if self._parsed.scheme == "https" and seen.proxy is None and self._in_time("TLS"):
            seen.tls = await examine(
                self._reactor, self._tls, self._parsed, server.address, self._left(_REACH) / 2
            )
            if seen.tls.failure is not None:
                if self._was_cut("TLS"):
                    seen.tls = None
                return False
        return True

    async def _meet(self, what: str, seconds: float, **options: Any) -> tuple[Meeting, Pair | None]:
        """
        One meeting.

        :param seconds: what it normally takes at most.
        :param options: for :func:`rdv.check.meetings.meet`.
        :return: what was observed, and the connection if there is one.
        """
        patience = self._patience(seconds)
        timeout = self._left(patience * self._detour)
        options |= {**self._how, "server_timeout": patience}
        meeting, pair = await meet(self._reactor, self._url, timeout, **options)
        if pair is None and self._was_cut(what):
            meeting = replace(meeting, failure=None)
        return meeting, pair

    async def _meet_by_relay(self) -> Pair | None:
        """
        Several meetings, one after the other, so that the order of their ports is known. The last
        connection stays open.
        """
        pair: Pair | None = None
        for _ in range(_ROUNDS):
            if not self._in_time(_RELAYING):
                break
            if pair is not None:
                await self._half_close(pair)
            meeting, pair = await self._meet(_RELAYING, _MEET)
            self.observations.relayed.append(meeting)
            if pair is None:
                break
            named = other_ports(_lookup(pair.dialer.headers))
            self.observations.other_ports = tuple(named)
        return pair

    async def _half_close(self, pair: Pair) -> None:
        """Half-close a pair: at the dialer the first time, then at the acceptor; and close it."""
        results = self.observations.half_close
        dialer, acceptor = ("dialer", pair.dialer), ("acceptor", pair.acceptor)
        (role, first), (_, second) = (acceptor, dialer) if results else (dialer, acceptor)
        result = await half_close(self._reactor, first, second, self._patience(_HALF))
        if result is not HalfClose.NOTHING or not self._was_cut(_RELAYING):
            results[role] = result

    async def _meet_by_two_ports(self) -> None:
        other = self._parsed.replace(port=self.observations.other_ports[0]).to_text()
        with socket.socket() as held:  # so that no other program takes the port before we do
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind(("", 0))
            meeting, pair = await self._meet(
                _BY_TWO_PORTS, _SECOND, local_port=held.getsockname()[1], acceptor_url=other
            )
        if not meeting.was_cut:
            self.observations.second = meeting
        if pair is not None:
            await pair.close(self._reactor)

    async def _try_without_proxy(self) -> None:
        time = self._left(_BYPASS)
        addresses, _ = await lookup(self._reactor, self._parsed, time / 2)
        dials = await dial_all(self._reactor, addresses, self._left(time))
        self.observations.without_proxy = dials

    async def _meet_directly(self) -> None:
        for _ in range(_ROUNDS if self._spaces else 0):
            if not self._in_time(_DIRECTLY):
                return
            meeting, pair = await self._meet(_DIRECTLY, _MEET, spaces=self._spaces)
            if not meeting.was_cut:
                self.observations.direct.append(meeting)
            if pair is None:
                return
            await pair.close(self._reactor)
            if meeting.is_relay:
                return


def _lookup(headers: Headers) -> HeaderLookup:
    return lambda name: headers.getRawHeaders(name, [])
