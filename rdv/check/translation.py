"""
What stands between this host and the server, and what it does with addresses and ports.
"""

from __future__ import annotations

from collections.abc import Iterator

from rdv.check.finding import Finding, bad, count, good, note
from rdv.check.observations import STRAY_SYN, Observations, StrayAnswer
from rdv.check.view import (
    Destinations,
    Mapping,
    Sight,
    destinations_of,
    is_here,
    mapping_of,
    sight_of,
    steps_of,
)

__all__ = ["observed", "ports", "second", "stray"]

#: Where it makes sense to speak of a mapping, as it is one on our side.
_MAPPED = (Sight.NAT, Sight.INSIDE, Sight.OTHER_PUBLIC)


def observed(o: Observations) -> Iterator[Finding]:
    """Where the server sees us, and what stands between."""
    sight = sight_of(o)
    seen = sorted({str(each.observed.ip) for each in o.sightings if each.observed is not None})
    where = ", ".join(seen)
    if sight is Sight.SAME_HOST:
        yield note("same-host", "The server is on this host: it sees nothing of the network.")
    elif sight is Sight.OWN:
        yield good("no-nat", f"The server sees {where}, an address of this host: there is no NAT.")
    elif sight is Sight.UNTOLD:
        text = "The server does not say from which address it sees us, as one does that was told of"
        yield bad("untold", f"{text} a proxy before it, which does not tell it either.")
    elif sight is Sight.OTHER_PORTS:
        whose = "an address of this host" if _is_ours(o) else "though we ask it on this host"
        text = f"The server sees {where}, {whose}, but not our ports: a proxy or a tunnel on"
        yield bad("hidden", f"{text} this host stands between, which hides us.")
    elif sight is Sight.MEANINGLESS:
        text = f"The server sees {where}, which is not ours and means nothing out there: it has"
        yield bad("hidden", f"{text} a proxy, or a NAT on its side, before it, which hides us.")
    elif sight is Sight.SERVERS:
        text = f"The server sees {where}, its own address: that is a proxy before it which hides us"
        yield bad("perhaps-hidden", f"{text}, unless it is behind the same router as this host.")
    elif sight is Sight.OTHER_PUBLIC:
        text = f"The server sees {where}, though we come from {o.source}, which is public as well"
        yield bad("perhaps-hidden", f"{text}: a proxy that hides us, or a NAT or VPN all the same.")
    elif sight is Sight.INSIDE:
        text = f"The server sees {where}, which is not ours but local like its own address"
        yield note("inside-nat", f"{text}: a NAT or a proxy within the network.")
    elif sight is Sight.NAT:
        text = (
            f"The server sees {where}, which is none of our addresses: there is a NAT, or several"
        )
        yield note("nat", f"{text}, or a proxy with a public address, which looks the same.")
    if len(seen) > 1 and sight is not Sight.OWN:
        text = "Not all of our connections have the same address there: peers may dial another one."
        yield bad("observed-several", text)


def _is_ours(o: Observations) -> bool:
    return all(s.observed is not None and is_here(s.observed, o) for s in o.sightings)


def ports(o: Observations) -> Iterator[Finding]:
    """What a NAT does with our ports."""
    sight, mapping = sight_of(o), mapping_of(o.sightings)
    tried = count(len(o.sightings), "fresh port")
    if sight in (Sight.UNTOLD, Sight.OTHER_PORTS, Sight.MEANINGLESS, Sight.SERVERS):
        yield note("ports-untold", "What a NAT does with our ports cannot be seen through that.")
    if sight not in _MAPPED:
        return
    if mapping is Mapping.KEPT:
        yield good("ports-kept", f"It keeps the port: of {tried} each was seen as it is.")
    elif mapping is Mapping.MOSTLY_KEPT:
        kept = sum(s.observed is not None and s.observed.port == s.local_port for s in o.sightings)
        yield note("ports-mostly-kept", f"It kept the port of {kept} of {tried}.")
    elif mapping is Mapping.SEQUENTIAL:
        steps = steps_of(o.sightings)
        by = f"{min(steps)} to {max(steps)}" if min(steps) < max(steps) else str(max(steps))
        text = f"It changes the port, and counts: each of {tried} was mapped {by} above the last."
        yield note("ports-sequential", text)
    elif mapping is Mapping.CHANGED:
        yield bad("ports-changed", f"It changes the port, by no rule that {tried} would show.")
    else:
        yield note("ports-unknown", "Whether it keeps ports cannot be told from one connection.")


def second(o: Observations) -> Iterator[Finding]:
    """Whether it does the same for another destination."""
    destinations = destinations_of(o)
    if not any(meeting.seconds is not None for meeting in o.relayed):  # nobody has told us of ports
        return
    if destinations is Destinations.UNREACHABLE:
        text = f"The server names port {o.other_ports[0]} as well, but there it cannot be reached"
        yield bad("second-port", f"{text}: something lets only some ports through.")
    elif sight_of(o) not in _MAPPED:
        return
    elif destinations is Destinations.NOT_OFFERED:
        text = "cannot be told: the server names no second port."
        yield note("mapping-untold", f"Whether each destination sees the same port {text}")
    elif destinations is Destinations.SAME:
        text = "One port of ours was seen as the same by two ports of the server, at one address."
        yield good("mapping-same", text)
    elif destinations is Destinations.DIFFERENT:
        text = "One port of ours was seen as two by two ports of the server: each destination"
        yield bad("mapping-differs", f"{text} has a mapping of its own.")
    elif destinations is Destinations.NOT_TRIED:
        text = "cannot be told: the server's second port was not asked."
        yield note("mapping-untold", f"Whether each destination sees the same port {text}")
    else:
        text = "cannot be told: the attempt by the server's second port came to nothing."
        yield note("mapping-untold", f"Whether each destination sees the same port {text}")


def stray(o: Observations) -> Iterator[Finding]:
    """What a SYN gets that nobody asked for."""
    stray = o.stray
    if stray is None:
        if o.sightings and STRAY_SYN not in o.late:
            text = "What a SYN from outside gets that nobody asked for cannot be told here."
            yield note("stray-untold", text)
        return
    tested = f"A SYN from inside to {stray.target}, a mapping of ours,"
    if stray.answer is StrayAnswer.CONNECTED:
        yield good("hairpin", f"{tested} comes back to us: the NAT hairpins.")
    elif stray.answer is StrayAnswer.REFUSED:
        text = "One from outside may fare otherwise."
        yield note("stray-refused", f"{tested} is refused: {stray.detail}. {text}")
    elif stray.answer is StrayAnswer.SILENT:
        text = "One from outside may fare otherwise."
        yield note("stray-silent", f"{tested} gets no answer: it is dropped. {text}")
    else:
        yield bad(
            "stray-elsewhere", f"{tested} is taken by somebody else: the mapping is not ours."
        )
