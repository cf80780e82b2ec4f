"""
What the observations prove: one sentence for each conclusion, and nothing beyond them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from rdv.addresses import AddressSpace, space_of
from rdv.check.observations import STRAY_SYN, HalfClose, Meeting, Observations, StrayAnswer
from rdv.check.texts import Finding, found
from rdv.check.view import (
    Destinations,
    Sight,
    destinations_of,
    is_carriers,
    mapping_of,
    sight_of,
    steps_of,
)

__all__ = ["findings"]

#: A certificate that expires within this many days is mentioned.
_SOON = 21
_SPACES = {
    AddressSpace.PUBLIC4: "public IPv4",
    AddressSpace.PUBLIC6: "public IPv6",
    AddressSpace.PRIVATE4: "private IPv4",
    AddressSpace.PRIVATE6: "private IPv6",
    AddressSpace.LINK4: "link-local IPv4",
    AddressSpace.LINK6: "link-local IPv6",
}
#: Where the mapped ports are those of a NAT on our side; and where that cannot be seen.
_MAPPED = (Sight.NAT, Sight.INSIDE, Sight.OTHER_PUBLIC)
_HIDDEN = (
    Sight.PROXIED,
    Sight.UNTOLD,
    Sight.OTHER_PORTS,
    Sight.TUNNEL,
    Sight.MEANINGLESS,
    Sight.SERVERS,
)
_STRAYS = {
    StrayAnswer.CONNECTED: "hairpin",
    StrayAnswer.REFUSED: "stray-refused",
    StrayAnswer.SILENT: "stray-silent",
    StrayAnswer.ELSEWHERE: "stray-elsewhere",
}


def findings(observations: Observations) -> list[Finding]:
    """All findings, in the order of the report."""
    parts = (_server, _tls, _own, _sight, _ports, _destinations, _stray, _connections)
    return [finding for part in parts for finding in part(observations)]


def _server(o: Observations) -> Iterator[Finding]:
    if o.url is None:
        yield found("no-server")
    which = ""
    if o.proxy is not None:
        yield found("proxy", proxy=o.proxy)
        which = "/proxy"
    if o.lookup_problem is not None:
        yield found(f"server-lookup{which}", problem=o.lookup_problem)
    for dial in o.dials:
        if dial.seconds is None:
            yield found(f"server-unreachable{which}", address=dial.address, problem=dial.problem)
        else:
            version, time = dial.address.ip.version, _time(dial.seconds)
            yield found(f"server-reached{which}", address=dial.address, version=version, time=time)
    if o.failure is not None:
        yield found(f"server-{o.failure.what}/request", problem=o.failure.text)
    if o.without_proxy:
        reached = [each.address for each in o.without_proxy if each.seconds is not None]
        if reached:
            yield found("without-proxy", address=reached[0])
        else:
            yield found("without-proxy/not", problem=o.without_proxy[0].problem)


def _tls(o: Observations) -> Iterator[Finding]:
    tls = o.tls
    if tls is None:
        return
    if tls.failure is not None:
        yield found("tls-failed", problem=tls.failure)
    else:
        yield found("tls", tls=tls)
    for problem in tls.problems:
        yield found("tls-untrusted", problem=problem)
    if not tls.problems and tls.failure is None and tls.days < _SOON:
        yield found("tls-expires", days=_count(tls.days, "day"))


def _own(o: Observations) -> Iterator[Finding]:
    by_space: dict[AddressSpace, list[str]] = {}
    for ip in o.own:
        by_space.setdefault(space_of(ip), []).append(str(ip))
    listed = [f"{name} {', '.join(by_space[s])}" for s, name in _SPACES.items() if s in by_space]
    if not listed:
        yield found("own-addresses/none")
        return
    yield found("own-addresses", listed="; ".join(listed))
    if any(map(is_carriers, o.own)):
        yield found("carrier")
    if AddressSpace.PUBLIC6 not in by_space:
        yield found("no-ipv6")
    if not by_space.keys() & {AddressSpace.PUBLIC4, AddressSpace.PRIVATE4}:
        yield found("no-ipv4")


def _sight(o: Observations) -> Iterator[Finding]:
    """Where the server sees us, and what is in between."""
    sight = sight_of(o)
    where = sorted({str(each.observed.ip) for each in o.sightings if each.observed is not None})
    if sight is not Sight.NOTHING:
        yield found(sight.value, where=", ".join(where), source=o.source)
    if len(where) > 1 and sight is not Sight.OWN:
        yield found("observed-several")


def _ports(o: Observations) -> Iterator[Finding]:
    """What a NAT does with our ports."""
    sight = sight_of(o)
    if sight in _HIDDEN:
        yield found("ports-untold")
    if sight in _MAPPED:
        tried, steps = _count(len(o.sightings), "new port"), steps_of(o.sightings) or [0]
        kept = sum(s.observed is not None and s.observed.port == s.local_port for s in o.sightings)
        by = " to ".join(map(str, sorted({min(steps), max(steps)})))
        yield found(mapping_of(o.sightings).value, tried=tried, kept=kept, by=by)


def _destinations(o: Observations) -> Iterator[Finding]:
    """Whether the mapping depends on the destination."""
    if not o.connected:  # the server has named no other ports
        return
    destinations = destinations_of(o)
    if destinations is Destinations.UNREACHABLE or sight_of(o) in _MAPPED:
        yield found(destinations.value, ports=", ".join(map(str, o.other_ports[:1])))


def _stray(o: Observations) -> Iterator[Finding]:
    """How an unsolicited SYN is handled."""
    if o.stray is not None:
        yield found(_STRAYS[o.stray.answer], target=o.stray.target, detail=o.stray.detail)
    elif o.sightings and STRAY_SYN not in o.late:
        yield found("stray-untold")


def _connections(o: Observations) -> Iterator[Finding]:
    relayed, direct = _times(o.relayed), _times(o.direct)
    if relayed:
        yield found("relay", time=_time(median(relayed)), count=len(relayed))
    yield from _half_close(o)
    if any(meeting.is_relay for meeting in o.direct):
        yield found("direct-none")
    elif direct:
        time, peer = _time(median(direct)), o.direct[0].peer
        yield found("direct", time=time, count=len(direct), peer=peer)
    yield from _failures("relay-failed", o.relayed if relayed else ())
    yield from _failures("direct-failed", o.direct)
    yield from _throughput(o)
    if o.late:
        yield found("late", late=", ".join(o.late))


def _half_close(o: Observations) -> Iterator[Finding]:
    ways = set(o.half_close.values())
    if ways == {HalfClose.PASSED} or len(ways) < len(o.half_close):
        yield found(f"half-close/{ways.pop()}", who="one side")
        return
    for role, way in o.half_close.items():
        if way is not HalfClose.PASSED:
            yield found(f"half-close/{way}", who=f"the {role}")


def _failures(key: str, meetings: Sequence[Meeting]) -> Iterator[Finding]:
    for meeting in meetings:
        if meeting.failure is not None:
            tried = _count(len(meetings), "connection")
            yield found(key, count=tried, problem=meeting.failure.text)


def _throughput(o: Observations) -> Iterator[Finding]:
    if o.throughput is None:
        return
    amount, seconds = o.throughput.bytes / 1e6, o.throughput.seconds
    size = _digits(amount)
    if not amount:
        yield found("throughput/none", time=_time(seconds))
        return
    if seconds > 0:
        yield found("throughput", rate=_digits(amount / seconds), amount=size, time=_time(seconds))
    else:  # it arrived in one piece
        yield found("throughput/at-once", amount=size)
    if o.throughput.broken:
        yield found("relay-broke")


def _times(meetings: Iterable[Meeting]) -> list[float]:
    return [meeting.seconds for meeting in meetings if meeting.seconds is not None]


def _time(seconds: float) -> str:
    """In milliseconds or seconds, to three digits."""
    return f"{_digits(seconds * 1000)} ms" if seconds < 0.9995 else f"{_digits(seconds)} s"


def _digits(number: float) -> str:
    """Three digits; all of them before the point, where ``g`` would write an exponent."""
    return f"{number:.3g}" if number < 999.5 else f"{number:.0f}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
