"""
What the observations mean, one sentence for each thing, and nothing beyond them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from rdv.addresses import AddressSpace, space_of
from rdv.check.observations import STRAY_SYN, Meeting, Observations, StrayAnswer, What
from rdv.check.view import (
    Destinations,
    Mapping,
    Sight,
    destinations_of,
    is_carriers,
    is_here,
    mapping_of,
    sight_of,
    steps_of,
)

__all__ = ["Finding", "Weight", "findings"]

#: Days before its end at which a certificate is worth a word.
_SOON = 21
_SPACES = {
    AddressSpace.PUBLIC4: "public IPv4",
    AddressSpace.PUBLIC6: "public IPv6",
    AddressSpace.PRIVATE4: "private IPv4",
    AddressSpace.PRIVATE6: "private IPv6",
    AddressSpace.LINK4: "link-local IPv4",
    AddressSpace.LINK6: "link-local IPv6",
}
#: Where it makes sense to speak of a mapping, as it is one on our side.
_MAPPED = (Sight.NAT, Sight.INSIDE, Sight.OTHER_PUBLIC)


class Weight(StrEnum):
    """What it means for a connection."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """
    :ivar key: which one it is, for a program.
    :ivar text: a sentence or two for a person.
    """

    key: str
    weight: Weight
    text: str


def findings(observations: Observations) -> list[Finding]:
    """All of them, in the order in which one would tell them."""
    parts = (_server, _tls, _own, _observed, _ports, _second, _stray, _connections, _left_out)
    return [finding for part in parts for finding in part(observations)]


def _good(key: str, text: str) -> Finding:
    return Finding(key, Weight.GOOD, text)


def _note(key: str, text: str) -> Finding:
    return Finding(key, Weight.NOTE, text)


def _bad(key: str, text: str) -> Finding:
    return Finding(key, Weight.BAD, text)


def _server(o: Observations) -> Iterator[Finding]:
    if o.url is None:
        yield _note("no-server", "No URL was given: this is a server of our own, on loopback.")
    if o.lookup_problem is not None:
        yield _bad("server-lookup", f"The server's name leads nowhere: {o.lookup_problem}.")
    for dial in o.dials:
        family = f"IPv{dial.address.ip.version}"
        if dial.seconds is None:
            text = f"The server does not take a connection at {dial.address}: {dial.problem}."
            yield _bad("server-unreachable", text)
        else:
            took = _time(dial.seconds)
            text = f"The server is reached at {dial.address} over {family}, in {took}."
            yield _good("server-reached", text)
    failure = o.failure
    if failure is not None and (o.server is not None or not o.dials):
        yield _bad(f"server-{failure.what}", f"{_FAILED[failure.what]}: {failure.text}.")


_FAILED = {
    What.UNREACHABLE: "The request was not answered",
    What.REFUSED: "The server refused",
    What.NOT_RDV: "The answer is none of rdv/1",
    What.NEVER_MET: "The server did not answer our two roles, who were to meet",
    What.NO_PATH: "The server introduced our two roles, but not even its relay connects them",
}


def _tls(o: Observations) -> Iterator[Finding]:
    tls = o.tls
    if tls is None:
        return
    if tls.failure is not None:
        yield _bad("tls-failed", f"There is no TLS handshake: {tls.failure}.")
    else:
        name = f"{tls.version}, {tls.cipher}"
        holder = f"The certificate is for {tls.subject}, issued by {tls.issuer}"
        yield _note("tls", f"TLS is {name}. {holder}, good until {tls.expires}.")
    for problem in tls.problems:
        yield _bad("tls-untrusted", f"The certificate cannot be trusted: {problem}.")
    if not tls.problems and tls.failure is None and tls.days < _SOON:
        yield _note("tls-expires", f"The certificate expires in {_count(tls.days, 'day')}.")


def _own(o: Observations) -> Iterator[Finding]:
    by_space: dict[AddressSpace, list[str]] = {}
    for ip in o.own:
        by_space.setdefault(space_of(ip), []).append(str(ip))
    listed = [
        f"{name} {', '.join(by_space[space])}"
        for space, name in _SPACES.items()
        if space in by_space
    ]
    if listed:
        yield _note("own-addresses", f"This host's own addresses: {'; '.join(listed)}.")
    else:
        yield _bad("own-addresses", "This host has no address but those on loopback.")
        return
    if any(map(is_carriers, o.own)):
        text = "100.64.0.0/10 is for carriers: a NAT of the carrier stands between it and the rest."
        yield _note("carrier", text)
    if AddressSpace.PUBLIC6 not in by_space:
        yield _note("no-ipv6", "There is no public IPv6 address.")
    if not by_space.keys() & {AddressSpace.PUBLIC4, AddressSpace.PRIVATE4}:
        text = "There is no IPv4 address: peers that have no IPv6 are met through the relay only."
        yield _note("no-ipv4", text)


def _observed(o: Observations) -> Iterator[Finding]:
    sight = sight_of(o)
    seen = sorted({str(each.observed.ip) for each in o.sightings if each.observed is not None})
    where = ", ".join(seen)
    if sight is Sight.SAME_HOST:
        yield _note("same-host", "The server is on this host: it sees nothing of the network.")
    elif sight is Sight.OWN:
        yield _good("no-nat", f"The server sees {where}, an address of this host: there is no NAT.")
    elif sight is Sight.UNTOLD:
        text = "The server does not say from which address it sees us, as one does that was told of"
        yield _bad("untold", f"{text} a proxy before it, which does not tell it either.")
    elif sight is Sight.OTHER_PORTS:
        whose = "an address of this host" if _is_ours(o) else "though we ask it on this host"
        text = f"The server sees {where}, {whose}, but not our ports: a proxy or a tunnel on"
        yield _bad("hidden", f"{text} this host stands between, which hides us.")
    elif sight is Sight.MEANINGLESS:
        text = f"The server sees {where}, which is not ours and means nothing out there: it has"
        yield _bad("hidden", f"{text} a proxy, or a NAT on its side, before it, which hides us.")
    elif sight is Sight.SERVERS:
        text = f"The server sees {where}, its own address: that is a proxy before it which hides us"
        yield _bad("perhaps-hidden", f"{text}, unless it is behind the same router as this host.")
    elif sight is Sight.OTHER_PUBLIC:
        text = f"The server sees {where}, though we come from {o.source}, which is public as well"
        yield _bad(
            "perhaps-hidden", f"{text}: a proxy that hides us, or a NAT or VPN all the same."
        )
    elif sight is Sight.INSIDE:
        text = f"The server sees {where}, which is not ours but local like its own address"
        yield _note("inside-nat", f"{text}: a NAT or a proxy within the network.")
    elif sight is Sight.NAT:
        text = (
            f"The server sees {where}, which is none of our addresses: there is a NAT, or several"
        )
        yield _note("nat", f"{text}, or a proxy with a public address, which looks the same.")
    if len(seen) > 1 and sight is not Sight.OWN:
        text = "Not all of our connections have the same address there: peers may dial another one."
        yield _bad("observed-several", text)


def _is_ours(o: Observations) -> bool:
    return all(s.observed is not None and is_here(s.observed, o) for s in o.sightings)


def _ports(o: Observations) -> Iterator[Finding]:
    sight, mapping = sight_of(o), mapping_of(o.sightings)
    tried = _count(len(o.sightings), "fresh port")
    if sight in (Sight.UNTOLD, Sight.OTHER_PORTS, Sight.MEANINGLESS, Sight.SERVERS):
        yield _note("ports-untold", "What a NAT does with our ports cannot be seen through that.")
    if sight not in _MAPPED:
        return
    if mapping is Mapping.KEPT:
        yield _good("ports-kept", f"It keeps the port: of {tried} each was seen as it is.")
    elif mapping is Mapping.MOSTLY_KEPT:
        kept = sum(s.observed is not None and s.observed.port == s.local_port for s in o.sightings)
        yield _note("ports-mostly-kept", f"It kept the port of {kept} of {tried}.")
    elif mapping is Mapping.SEQUENTIAL:
        steps = steps_of(o.sightings)
        by = f"{min(steps)} to {max(steps)}" if min(steps) < max(steps) else str(max(steps))
        text = f"It changes the port, and counts: each of {tried} was mapped {by} above the last."
        yield _note("ports-sequential", text)
    elif mapping is Mapping.CHANGED:
        yield _bad("ports-changed", f"It changes the port, by no rule that {tried} would show.")
    else:
        yield _note("ports-unknown", "Whether it keeps ports cannot be told from one connection.")


def _second(o: Observations) -> Iterator[Finding]:
    destinations = destinations_of(o)
    if not _times(o.relayed):  # nobody has told us of ports
        return
    if destinations is Destinations.UNREACHABLE:
        text = f"The server names port {o.other_ports[0]} as well, but there it cannot be reached"
        yield _bad("second-port", f"{text}: something lets only some ports through.")
    elif sight_of(o) not in _MAPPED:
        return
    elif destinations is Destinations.NOT_OFFERED:
        text = "cannot be told: the server names no second port."
        yield _note("mapping-untold", f"Whether each destination sees the same port {text}")
    elif destinations is Destinations.SAME:
        text = "One port of ours was seen as the same by two ports of the server, at one address."
        yield _good("mapping-same", text)
    elif destinations is Destinations.DIFFERENT:
        text = "One port of ours was seen as two by two ports of the server: each destination"
        yield _bad("mapping-differs", f"{text} has a mapping of its own.")
    elif destinations is Destinations.NOT_TRIED:
        text = "cannot be told: the server's second port was not asked."
        yield _note("mapping-untold", f"Whether each destination sees the same port {text}")
    else:
        text = "cannot be told: the attempt by the server's second port came to nothing."
        yield _note("mapping-untold", f"Whether each destination sees the same port {text}")


def _stray(o: Observations) -> Iterator[Finding]:
    stray = o.stray
    if stray is None:
        if o.sightings and STRAY_SYN not in o.late:
            text = "What a SYN from outside gets that nobody asked for cannot be told here."
            yield _note("stray-untold", text)
        return
    tested = f"A SYN from inside to {stray.target}, a mapping of ours,"
    if stray.answer is StrayAnswer.CONNECTED:
        yield _good("hairpin", f"{tested} comes back to us: the NAT hairpins.")
    elif stray.answer is StrayAnswer.REFUSED:
        text = "One from outside may fare otherwise."
        yield _note("stray-refused", f"{tested} is refused: {stray.detail}. {text}")
    elif stray.answer is StrayAnswer.SILENT:
        text = "One from outside may fare otherwise."
        yield _note("stray-silent", f"{tested} gets no answer: it is dropped. {text}")
    else:
        yield _bad(
            "stray-elsewhere", f"{tested} is taken by somebody else: the mapping is not ours."
        )


def _connections(o: Observations) -> Iterator[Finding]:
    relayed, direct = _times(o.relayed), _times(o.direct)
    if relayed:
        text = f"Through the relay our two roles connect in {_time(median(relayed))}"
        yield _good("relay", f"{text} (median of {len(relayed)}).")
    ways = [meeting.peer for meeting in o.direct if meeting.seconds is not None]
    if o.direct and all(not m.is_relay for m in o.direct) and direct:
        text = f"Directly they connect in {_time(median(direct))} (median of {len(direct)})"
        yield _good("direct", f"{text}, by {ways[0]}; that never left this host.")
    elif direct:
        yield _bad("direct-none", "Given this host's own addresses they still took the relay.")
    yield from _failures("relay", "by the relay", o.relayed if relayed else ())
    yield from _failures("direct", "with this host's own addresses", o.direct)
    yield from _throughput(o)


def _failures(key: str, how: str, meetings: Sequence[Meeting]) -> Iterator[Finding]:
    for meeting in meetings:
        if meeting.failure is not None:
            text = f"One of {_count(len(meetings), 'meeting')} {how} came to nothing"
            yield _bad(f"{key}-failed", f"{text}: {meeting.failure.text}.")


def _throughput(o: Observations) -> Iterator[Finding]:
    if o.throughput is None:
        return
    amount, took = o.throughput.bytes, o.throughput.seconds
    if not amount:
        text = f"Nothing of what was sent through the relay arrived, in {_time(took)}."
        yield _bad("throughput", text)
        return
    # What has come in one piece has taken no time that could be measured.
    text = f"The relay carries {amount / took / 1e6:.3g} MB/s" if took > 0 else "The relay works"
    text += f" from this host to itself, up and down the same line ({amount / 1e6:.3g} MB)."
    yield _note("throughput", text)
    if o.throughput.broken:
        yield _bad("relay-broke", "The relayed connection broke while it was filled.")


def _left_out(o: Observations) -> Iterator[Finding]:
    if o.late:
        yield _note("late", f"For want of time, not observed: {', '.join(o.late)}.")


def _times(meetings: Iterable[Meeting]) -> list[float]:
    return [meeting.seconds for meeting in meetings if meeting.seconds is not None]


def _time(seconds: float) -> str:
    """In milliseconds, to three digits."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
