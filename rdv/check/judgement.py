"""
The kind of network, and what to change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rdv.addresses import AddressSpace, space_of
from rdv.check.observations import Cause, HalfClose, Observations
from rdv.check.texts import Advice, advice, key_of, verdict_text
from rdv.check.view import (
    Destinations,
    Mapping,
    Sight,
    destinations_of,
    is_public,
    mapping_of,
    sight_of,
    steps_of,
)

__all__ = ["Verdict", "verdict"]

#: How many ports beyond the observed one a peer dials; see :mod:`rdv.client.dial.targets`.
_GUESSED = 4
#: Days before its end at which a certificate should be renewed.
_SOON = 7

#: What to do about a server that cannot be used.
_REMEDIES = {
    "no-name": "check-name",
    "no-name/proxy": "check-proxy",
    "unreachable/proxy": "check-proxy",
    "no-answer/proxy": "check-server",
    "no-tls": "check-scheme",
    "no-tls/untrusted": "trust",
    "no-tls/untrusted/incomplete": "whole-chain",
    "unreachable": "check-server",
    "no-time": "more-time",
    "no-answer": "check-url/port",
    "not-rdv": "check-url",
    "never-met": "affinity",
    "no-path": "pass-upgrade/after",
    "no-relay": "try-direct",
}
_STATUSES = {
    **dict.fromkeys(range(300), "check-url/web"),
    **dict.fromkeys(range(300, 400), "check-url/moved"),
    **dict.fromkeys((400, 405, 426, 501), "pass-upgrade"),
    **dict.fromkeys((401, 407), "credentials"),
    403: "credentials/forbidden",
    404: "check-path",
    **dict.fromkeys((408, 503, 504), "try-later"),
    429: "too-many",
}
_MAPPINGS = {
    Mapping.KEPT: "nat-keeps-ports",
    Mapping.MOSTLY_KEPT: "nat-mostly-keeps-ports",
    Mapping.CHANGED: "nat-changes-ports",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    :ivar key: identifies the verdict, for a program.
    :ivar usable: whether peers can connect, even if only through the relay.
    """

    key: str
    usable: bool
    text: str
    advice: tuple[Advice, ...] = ()


def verdict(observations: Observations) -> Verdict:
    """The verdict, from the observations alone."""
    o = observations
    if not o.connected:
        return _unusable(o)
    name = _network(o)
    texts = [verdict_text(name, guessed=_GUESSED), *_remarks(o, name)]
    if destinations_of(o) is Destinations.UNREACHABLE and sight_of(o) is not Sight.SAME_HOST:
        name = "perhaps-filtered"
        texts.insert(0, verdict_text(name))
    return Verdict(key_of(name), True, " ".join(texts), tuple(_advice(o, name)))


# No connection.


def _unusable(o: Observations) -> Verdict:
    tls, failure = o.tls, o.failure
    if o.lookup_problem is not None:
        name = "no-name"
    elif tls is not None and (tls.failure or tls.problems):
        name = "no-tls" if tls.failure else "no-tls/untrusted"
        name += "/incomplete" * tls.incomplete
    elif o.server is None and o.dials:
        name = "unreachable"
    elif failure is None:
        name = "no-time"
    else:
        name = "no-answer" if failure.what is Cause.UNREACHABLE else failure.what
    status = (failure and failure.status) or 0
    if name == Cause.PROXY:
        remedy = "proxy-credentials" if status in (401, 407) else "ask-proxy"
    elif o.proxy is not None and f"{name}/proxy" in _REMEDIES:
        remedy = _REMEDIES[name := f"{name}/proxy"]
    else:
        remedy = _REMEDIES.get(name) or _STATUSES.get(status, "ask-operator")
    remedies = (advice(remedy), *_bypass(o))
    return Verdict(key_of(name), False, verdict_text(name, status=status), remedies)


# The kind of network.


def _network(o: Observations) -> str:
    """The name of the verdict on a server that can be used."""
    sight = sight_of(o)
    if o.url is None:
        return "no-server"
    if sight is Sight.OWN:
        public = all(each.observed and is_public(each.observed.ip) for each in o.sightings)
        return "no-nat" if public else "same-network"
    if sight in (Sight.NAT, Sight.NOTHING):
        return _nat(o)
    return "hidden" if sight is Sight.UNTOLD else key_of(sight.value)


def _nat(o: Observations) -> str:
    mapping, destinations = mapping_of(o.sightings), destinations_of(o)
    if mapping is Mapping.SEQUENTIAL:
        guessed = max(steps_of(o.sightings)) <= _GUESSED
        return "nat-sequential" if guessed else "nat-sequential/busy"
    if destinations is Destinations.SAME and mapping is not Mapping.KEPT:
        return "nat-same-mapping"
    if destinations is Destinations.DIFFERENT:
        return "nat-random"
    return _MAPPINGS.get(mapping, "nat")


def _remarks(o: Observations, name: str) -> Iterator[str]:
    """Additions to the text of the verdict."""
    if name in ("proxied", "hidden", "perhaps-hidden"):
        public = [str(ip) for ip in o.own if is_public(ip)]
        yield verdict_text(
            f"hidden/{'public' if public else 'private'}", addresses=", ".join(public)
        )
    if o.url is None or sight_of(o) is not Sight.NAT:
        return
    told = (Destinations.SAME, Destinations.DIFFERENT)
    if mapping_of(o.sightings) is not Mapping.SEQUENTIAL and destinations_of(o) not in told:
        yield verdict_text("nat/unsure")
    if _ipv6_works(o):
        yield verdict_text("nat/ipv6")


def _has_ipv6(o: Observations) -> bool:
    return any(space_of(ip) is AddressSpace.PUBLIC6 for ip in o.own)


def _ipv6_works(o: Observations) -> bool:
    reached = any(dial.address.ip.version == 6 and dial.seconds is not None for dial in o.dials)
    return reached and _has_ipv6(o)


# What to change.


def _advice(o: Observations, name: str) -> Iterator[Advice]:
    if name in ("hidden", "perhaps-hidden"):
        yield advice("tell-server")
    yield from _bypass(o)
    if name == "no-server":
        yield advice("give-url")
    if destinations_of(o) is Destinations.UNREACHABLE:
        yield advice("allow-ports")
    if any(way is not HalfClose.PASSED for way in o.half_close.values()):
        yield advice("half-close" if o.proxy is None else "half-close/proxy")
    if sight_of(o) is Sight.NAT:
        if _has_ipv6(o):
            yield advice("peers-ipv6" if _ipv6_works(o) else "peers-ipv6/unseen")
        else:
            yield advice("ipv6")
        if _wants_forwarding(mapping_of(o.sightings), destinations_of(o)):
            yield advice("forward")
        if destinations_of(o) is Destinations.NOT_OFFERED:
            yield advice("second-port")
    if o.tls is not None and not o.tls.problems and o.tls.days < _SOON:
        yield advice("renew", expires=o.tls.expires)


def _bypass(o: Observations) -> Iterator[Advice]:
    if any(dial.seconds is not None for dial in o.without_proxy):
        yield advice("without-proxy")


def _wants_forwarding(mapping: Mapping, destinations: Destinations) -> bool:
    if mapping is Mapping.SEQUENTIAL or destinations is Destinations.SAME:
        return False
    return mapping is not Mapping.KEPT or destinations is Destinations.DIFFERENT
