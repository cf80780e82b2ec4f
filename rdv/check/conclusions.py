"""
What the observations mean, one sentence for each thing, and nothing beyond them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median

from rdv.addresses import AddressSpace, space_of
from rdv.check.finding import Finding, bad, count, good, note
from rdv.check.observations import HalfClose, Meeting, Observations, What
from rdv.check.translation import observed, ports, second, stray
from rdv.check.view import is_carriers

__all__ = ["findings"]

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


def findings(observations: Observations) -> list[Finding]:
    """All of them, in the order in which one would tell them."""
    parts = (_server, _tls, _own, observed, ports, second, stray, _connections, _left_out)
    return [finding for part in parts for finding in part(observations)]


def _server(o: Observations) -> Iterator[Finding]:
    if o.url is None:
        yield note("no-server", "No URL was given: this is a server of our own, on loopback.")
    if o.lookup_problem is not None:
        yield bad("server-lookup", f"The server's name leads nowhere: {o.lookup_problem}.")
    for dial in o.dials:
        family = f"IPv{dial.address.ip.version}"
        if dial.seconds is None:
            text = f"The server does not take a connection at {dial.address}: {dial.problem}."
            yield bad("server-unreachable", text)
        else:
            took = _time(dial.seconds)
            text = f"The server is reached at {dial.address} over {family}, in {took}."
            yield good("server-reached", text)
    failure = o.failure
    if failure is not None and (o.server is not None or not o.dials):
        yield bad(f"server-{failure.what}", f"{_FAILED[failure.what]}: {failure.text}.")


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
        yield bad("tls-failed", f"There is no TLS handshake: {tls.failure}.")
    else:
        name = f"{tls.version}, {tls.cipher}"
        holder = f"The certificate is for {tls.subject}, issued by {tls.issuer}"
        yield note("tls", f"TLS is {name}. {holder}, good until {tls.expires}.")
    for problem in tls.problems:
        yield bad("tls-untrusted", f"The certificate cannot be trusted: {problem}.")
    if not tls.problems and tls.failure is None and tls.days < _SOON:
        yield note("tls-expires", f"The certificate expires in {count(tls.days, 'day')}.")


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
        yield note("own-addresses", f"This host's own addresses: {'; '.join(listed)}.")
    else:
        yield bad("own-addresses", "This host has no address but those on loopback.")
        return
    if any(map(is_carriers, o.own)):
        text = "100.64.0.0/10 is for carriers: a NAT of the carrier stands between it and the rest."
        yield note("carrier", text)
    if AddressSpace.PUBLIC6 not in by_space:
        yield note("no-ipv6", "There is no public IPv6 address.")
    if not by_space.keys() & {AddressSpace.PUBLIC4, AddressSpace.PRIVATE4}:
        text = "There is no IPv4 address: peers that have no IPv6 are met through the relay only."
        yield note("no-ipv4", text)


def _connections(o: Observations) -> Iterator[Finding]:
    relayed, direct = _times(o.relayed), _times(o.direct)
    if relayed:
        text = f"Through the relay our two roles connect in {_time(median(relayed))}"
        yield good("relay", f"{text} (median of {len(relayed)}).")
    yield from _half_close(o)
    ways = [meeting.peer for meeting in o.direct if meeting.seconds is not None]
    if o.direct and all(not m.is_relay for m in o.direct) and direct:
        text = f"Directly they connect in {_time(median(direct))} (median of {len(direct)})"
        yield good("direct", f"{text}, by {ways[0]}; that never left this host.")
    elif direct:
        yield bad("direct-none", "Given this host's own addresses they still took the relay.")
    yield from _failures("relay", "by the relay", o.relayed if relayed else ())
    yield from _failures("direct", "with this host's own addresses", o.direct)
    yield from _throughput(o)


def _half_close(o: Observations) -> Iterator[Finding]:
    ends = "of a relayed connection ends its direction, "
    ways = sorted(set(o.half_close.values()))
    if ways == [HalfClose.PASSED]:
        yield good("half-close", f"When one side {ends}the other one goes on.")
        return
    if len(ways) == 1 and len(o.half_close) > 1:
        yield bad("half-close", f"When one side {ends}{_ENDED[ways[0]]}.")
        return
    for role, way in o.half_close.items():
        if way is not HalfClose.PASSED:
            yield bad("half-close", f"When the {role} {ends}{_ENDED[way]}.")


_ENDED = {
    HalfClose.BOTH: "the other one is ended too, and what was to come is lost",
    HalfClose.NOTHING: "nothing comes from the other one any more",
}


def _failures(key: str, how: str, meetings: Sequence[Meeting]) -> Iterator[Finding]:
    for meeting in meetings:
        if meeting.failure is not None:
            text = f"One of {count(len(meetings), 'meeting')} {how} came to nothing"
            yield bad(f"{key}-failed", f"{text}: {meeting.failure.text}.")


def _throughput(o: Observations) -> Iterator[Finding]:
    if o.throughput is None:
        return
    amount, took = o.throughput.bytes, o.throughput.seconds
    if not amount:
        text = f"Nothing of what was sent through the relay arrived, in {_time(took)}."
        yield bad("throughput", text)
        return
    # What has come in one piece has taken no time that could be measured.
    text, moved = "The relay works", f"{amount / 1e6:.3g} MB"
    if took > 0:
        text, moved = (
            f"The relay carries {amount / took / 1e6:.3g} MB/s",
            f"{moved} in {_time(took)}",
        )
    text += f" from this host to itself, up and down the same line ({moved})."
    yield note("throughput", text)
    if o.throughput.broken:
        yield bad("relay-broke", "The relayed connection broke while it was filled.")


def _left_out(o: Observations) -> Iterator[Finding]:
    if o.late:
        yield note("late", f"For want of time, not observed: {', '.join(o.late)}.")


def _times(meetings: Iterable[Meeting]) -> list[float]:
    return [meeting.seconds for meeting in meetings if meeting.seconds is not None]


def _time(seconds: float) -> str:
    """In milliseconds, to three digits."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
