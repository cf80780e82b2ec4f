"""
What kind of network it is, in a word, and what to change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rdv.addresses import AddressSpace, space_of
from rdv.check.observations import Failure, HalfClose, Observations, What
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

__all__ = ["Advice", "Verdict", "verdict"]

#: How many ports beyond the observed one a peer dials; see :mod:`rdv.client.dial.targets`.
_GUESSED = 4


@dataclass(frozen=True, slots=True)
class Advice:
    """
    Something to change.

    :ivar key: which one it is, for a program.
    """

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    :ivar key: which one it is, for a program.
    :ivar usable: whether peers can be served, if only by the relay.
    """

    key: str
    usable: bool
    text: str
    advice: tuple[Advice, ...] = ()


def verdict(observations: Observations) -> Verdict:
    """Concluded from the observations alone."""
    o = observations
    if not any(meeting.seconds is not None for meeting in o.relayed):
        return _unusable(o)
    key, text = _kind(o)
    if destinations_of(o) is Destinations.UNREACHABLE and sight_of(o) is not Sight.SAME_HOST:
        filtered = "From here only some ports of the server can be reached. If the reason is near,"
        filtered += " direct connections, which use any port, fail, and the relay is for all peers."
        key, text = "perhaps-filtered", f"{filtered} If not: {text}"
    return Verdict(key, True, text, tuple(_advice(o, key)))


# No connection.


def _unusable(o: Observations) -> Verdict:
    if o.lookup_problem is not None:
        advice = Advice("check-name", "Check the name in the URL, and this host's resolver.")
        text = "The server cannot be used: its name does not lead to an address."
        return Verdict("no-name", False, text, (advice,))
    if o.tls is not None and (o.tls.failure or o.tls.problems):
        text = "The server cannot be used: its TLS "
        text += "does not work." if o.tls.failure else "certificate cannot be trusted."
        return Verdict("no-tls", False, text, (_tls_advice(o),))
    failure = o.failure
    if failure is None or failure.what is What.UNREACHABLE:
        if o.server is None and o.dials:
            text = "The server cannot be used: it does not take connections from here."
            advice = Advice(
                "check-server",
                "See whether it runs and listens at that port, and what filters lie between.",
            )
            return Verdict("unreachable", False, text, (advice,))
        if failure is None:
            text = "The server could not be examined in the time that was given."
            advice = Advice("more-time", "Give it more: --timeout.")
            return Verdict("no-time", False, text, (advice,))
        text = "The server cannot be used: it takes connections, but did not answer the request."
        advice = Advice("check-url", "See whether it is an rdv server, and no other, at that port.")
        return Verdict("no-answer", False, text, (advice,))
    return _failed(failure)


def _tls_advice(o: Observations) -> Advice:
    if o.tls is not None and o.tls.failure:
        return Advice("check-scheme", "See whether that port speaks TLS, and which versions.")
    return Advice(
        "trust",
        "Give the server a certificate that is valid for its name, or name whom to trust (--ca).",
    )


def _failed(failure: Failure) -> Verdict:
    if failure.what is What.REFUSED:
        text = f"The server cannot be used: it answers with {failure.status}."
        return Verdict("refused", False, text, (_status_advice(failure.status or 0),))
    if failure.what is What.NEVER_MET:
        text = "The server cannot be used: both roles have asked it, and it answers neither."
        more = "If there are several servers, all clients of a token have to get to the same one."
        advice = Advice("affinity", f"See whether it is an rdv server. {more}")
        return Verdict("never-met", False, text, (advice,))
    if failure.what is What.NO_PATH:
        text = "The server cannot be used: behind its answer nothing gets through."
        advice = Advice("pass-upgrade", "A proxy before it has to pass on what follows a 101.")
        return Verdict("no-path", False, text, (advice,))
    text = "The server cannot be used: what it says is not rdv/1."
    return Verdict("not-rdv", False, text, (Advice("check-url", "See whether the URL is right."),))


def _status_advice(status: int) -> Advice:
    if status == 404:
        return Advice("check-path", "The path of the URL is probably not the server's --path.")
    if status in (401, 403, 407):
        return Advice("credentials", "It wants to know who asks: see --header and --cert.")
    if status in (400, 405, 426, 501):
        text = "Either it is no rdv server, or a proxy before it does not pass on the method, or"
        return Advice("pass-upgrade", f"{text} not the headers Connection and Upgrade.")
    if status < 300:
        return Advice("check-url", "That is a web server: see whether the URL is right.")
    if 300 <= status < 400:
        return Advice("check-url", "It is elsewhere; redirections are not followed.")
    if status in (408, 503, 504, 429):
        return Advice("try-later", "It, or a proxy before it, has no room or no time: try later.")
    return Advice("ask-operator", "Only the server's operator can know more, from its log.")


# What kind.


def _kind(o: Observations) -> tuple[str, str]:
    sight = sight_of(o)
    if o.url is None:
        text = "rdv works on this host. What network it is in cannot be told without a server"
        return "no-server", f"{text} outside: give a URL."
    if sight is Sight.SAME_HOST:
        text = "The server works. It is on this host, so that nothing can be told of the network."
        return "same-host", text
    if sight in (Sight.UNTOLD, Sight.OTHER_PORTS, Sight.MEANINGLESS):
        return "hidden", "The server cannot see where its clients are. " + _hidden(o)
    if sight in (Sight.SERVERS, Sight.OTHER_PUBLIC):
        return "perhaps-hidden", "Probably the server cannot see where its clients are. " + _hidden(
            o
        )
    if sight is Sight.OWN:
        if all(s.observed is not None and is_public(s.observed.ip) for s in o.sightings):
            text = "Nothing changes this host's address: direct connections are likely with most"
            text += " peers. Whether a firewall stands before it cannot be told from inside."
            return "no-nat", text
        text = "This host and the server are in one network: peers there are met directly."
        return "same-network", f"{text} What lies between it and the internet cannot be told."
    if sight is Sight.INSIDE:
        text = "Between this host and the server, which is near, is a NAT or a proxy. What lies"
        return "inside-nat", f"{text} between them and the internet cannot be told."
    return _nat(o)


def _hidden(o: Observations) -> str:
    public = [str(ip) for ip in o.own if is_public(ip)]
    if public:
        text = "This host tells its public address itself"
        return f"{text} ({', '.join(public)}): direct connections go there."
    return "This host has no public address to tell instead: peers elsewhere get the relay only."


def _ipv6_works(o: Observations) -> bool:
    reached = any(dial.address.ip.version == 6 and dial.seconds is not None for dial in o.dials)
    return reached and any(space_of(ip) is AddressSpace.PUBLIC6 for ip in o.own)


def _nat(o: Observations) -> tuple[str, str]:
    key, text = _nat_of_ipv4(o)
    if _ipv6_works(o):
        text += " Over IPv6, which works here, there is no NAT for peers that have it too."
    return key, text


def _nat_of_ipv4(o: Observations) -> tuple[str, str]:
    mapping, destinations = mapping_of(o.sightings), destinations_of(o)
    if mapping is Mapping.SEQUENTIAL:
        step = max(steps_of(o.sightings))
        text = "This host is behind a NAT that counts its ports up. "
        if step <= _GUESSED:
            text += "Peers dial those that come next: direct connections are likely with most."
        else:
            text += f"Peers dial the next {_GUESSED}, but others use it too: that takes luck."
        return "nat-sequential", text
    if destinations is Destinations.SAME and mapping is not Mapping.KEPT:
        text = "This host is behind a NAT that changes ports, but alike for all that was tried:"
        return "nat-same-mapping", f"{text} direct connections are likely with most peers."
    if destinations is Destinations.DIFFERENT:
        text = "This host is behind a NAT that takes another port for each destination. Directly it"
        text += " meets only peers that can be reached from anywhere: public ones without a"
        return "nat-random", f"{text} firewall, or with a forwarded port. The relay is for others."
    unsure = "" if destinations is Destinations.SAME else " " + _UNSURE
    if mapping is Mapping.KEPT:
        text = "This host is behind a NAT that keeps ports: direct connections are likely with most"
        return "nat-keeps-ports", f"{text} peers.{unsure}"
    if mapping is Mapping.MOSTLY_KEPT:
        text = "This host is behind a NAT that keeps some ports: direct connections come about when"
        return "nat-mostly-keeps-ports", f"{text} it does.{unsure}"
    if mapping is Mapping.CHANGED:
        text = "This host is behind a NAT that changes ports. If it takes another one for each"
        text += " destination, direct connections come about only with peers that can be reached"
        return "nat-changes-ports", f"{text} from anywhere.{unsure}"
    return "nat", f"This host is behind a NAT, of which nothing more is known.{unsure}"


_UNSURE = "Whether it maps a port alike for each destination cannot be told."


# What to change.


def _advice(o: Observations, key: str) -> Iterator[Advice]:
    if key in ("hidden", "perhaps-hidden"):
        text = "Have the server told its clients' addresses: by the PROXY protocol or a header"
        yield Advice("tell-server", f"{text} (--observed-header), see its page on operations.")
    if key == "no-server":
        yield Advice("give-url", "rdv check http://HOST:PORT/ asks a server that others can reach.")
    if destinations_of(o) is Destinations.UNREACHABLE:
        text = "If it is a filter near here, direct connections suffer too: allow all TCP ports out"
        yield Advice("allow-ports", f"{text}. If it is the server's, open that port there.")
    if any(way is not HalfClose.PASSED for way in o.half_close.values()):
        text = "Have TCP or TLS passed on to the server as it is (see its page on operations), or"
        text += " another server, if this one does that: through this relay, whoever answers when"
        yield Advice("half-close", f"{text} the other side has ended is cut off.")
    if sight_of(o) is Sight.NAT:
        yield from _nat_advice(o)
    if o.tls is not None and not o.tls.problems and o.tls.days < 7:
        yield Advice("renew", f"Have the server's certificate renewed before {o.tls.expires}.")


def _wants_forwarding(mapping: Mapping, destinations: Destinations) -> bool:
    if mapping is Mapping.SEQUENTIAL or destinations is Destinations.SAME:
        return False
    return mapping is not Mapping.KEPT or destinations is Destinations.DIFFERENT


def _nat_advice(o: Observations) -> Iterator[Advice]:
    if _ipv6_works(o):
        yield Advice("peers-ipv6", "Give the peers IPv6, which this host has: it has no NAT.")
    elif any(space_of(ip) is AddressSpace.PUBLIC6 for ip in o.own):
        text = "This host has an IPv6 address. Whether it gets anywhere was not seen; if so, peers"
        yield Advice("peers-ipv6", f"{text} that have IPv6 too are met without a NAT.")
    else:
        yield Advice("ipv6", "With IPv6 on both sides there is no NAT to pass.")
    if _wants_forwarding(mapping_of(o.sightings), destinations_of(o)):
        text = "Or have the router forward a TCP port to this host, use it (--local-port), and tell"
        yield Advice("forward", f"{text} peers the address outside (Client(self_addresses=...)).")
    if destinations_of(o) is Destinations.NOT_OFFERED:
        yield Advice("second-port", "A server with a second port (-l twice) would tell more.")
