"""
Where to dial: which of the peer's addresses, which ports next to them, in which order, how often.

A peer can name any address. The host behind it has not asked for SYNs, and a remote peer must not
learn what listens in our own network. An address is therefore dialled repeatedly only where the
peer is known to be: at the address at which the server observes it, and within a network that both
are in. Other addresses get only a few dials. The exception is IPv6 if the server has met the peer
over IPv4 and therefore cannot know its IPv6 address: the first one is dialled as often as the
observed one.
"""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import NamedTuple, TypeAlias

from rdv.addresses import Address, AddressSpace, is_local, space_of
from rdv.wire import Answer

__all__ = [
    "OFTEN",
    "SELDOM",
    "Target",
    "behind_proxy",
    "is_global",
    "observed_peer",
    "ports_change",
    "same_site",
    "targets",
]

IP: TypeAlias = IPv4Address | IPv6Address

#: How often an address that refuses is redialled: one at which the peer is known to be, one that
#: only the peer claims, and one with a guessed port.
OFTEN, SELDOM, _GUESSED = 330, 5, 10

#: How far past the observed port the next mappings of a NAT with sequential ports may be.
_AHEAD = range(1, 5)
_LAST_PORT = 0xFFFF
#: Between a carrier's NAT and those of its customers (RFC 6598).
_SHARED = ip_network("100.64.0.0/10")
#: Bits of an IPv6 address that the hosts of a network have in common (RFC 4291, 2.5.1).
_PREFIX = 64


class Target(NamedTuple):
    """
    :ivar guessed: whether the port is predicted.
    :ivar redials: how often it may be dialled again.
    :ivar claimed: whether only the peer claims to be at this address.
    :ivar foreign: whether, in addition, the address may be in our own network and the peer is not:
        a remote peer must not see the results of these dials.
    """

    address: Address
    guessed: bool = False
    redials: int = OFTEN
    claimed: bool = False
    foreign: bool = False


def behind_proxy(answer: Answer) -> Answer:
    """
    The usable part of an answer that came through our proxy. The server has observed the proxy,
    which shows nothing about our NAT; if the peer has the same address, it shows nothing about the
    peer's.
    """
    peers = list(answer.peer_addresses)
    if peers and answer.observed is not None and peers[-1].ip == answer.observed.ip:
        peers.pop()
    return Answer(None, peers)


def same_site(answer: Answer) -> bool:
    """Whether the peer seems to be behind the same NAT: the server sees it at our own address."""
    observed = answer.observed
    return observed is not None and any(a.ip == observed.ip for a in answer.peer_addresses)


def observed_peer(answer: Answer) -> Address | None:
    """
    The address at which the server has met the peer. None if the server does not see its clients'
    addresses, as far as it reports that.
    """
    return answer.peer_addresses[-1] if answer.observed and answer.peer_addresses else None


def is_global(ip: IP) -> bool:
    """Whether it is the address of one host, or NAT, of the internet."""
    return not is_local(Address(ip, 0)) and ip not in _SHARED


def targets(
    answer: Answer,
    own: Collection[Address],
    local_port: int,
    spaces: AddressSpace,
    lowest_port: int,
) -> list[Target]:
    """
    The addresses to dial, in order.

    A NAT that changes ports can be recognized: the port that the server observes is not one that
    the client has reported. If the peer's does, the ports after the observed one are dialled too.
    If ours does as well, each of our dials leaves from the next port: the ports after the observed
    one then come first and in order, as the peer's do, so that the n-th dial of each side meets the
    n-th of the other.

    :param own: the addresses that we have reported; they are not dialled.
    :param local_port: from which we dial.
    """
    wanted = [
        address
        for address in dict.fromkeys(answer.peer_addresses)
        if space_of(address.ip) & spaces and address.port >= lowest_port and address not in own
    ]
    found = _graded(wanted, answer, own)
    seen = _stepped(answer)
    if seen is None or seen not in wanted:
        return found
    guesses = [
        Target(Address(seen.ip, seen.port + step), guessed=True, redials=_GUESSED)
        for step in _AHEAD
        if seen.port + step <= _LAST_PORT
    ]
    guesses = [each for each in guesses if each.address not in {*wanted, *own}]
    observed = found.pop(wanted.index(seen))
    ours_steps = _ours_steps(answer, own, local_port)
    first = [*guesses, observed] if ours_steps else [observed, *guesses]
    return first + found


def _graded(wanted: Collection[Address], answer: Answer, own: Collection[Address]) -> list[Target]:
    """Tell the addresses at which the peer is known to be from claimed and foreign ones."""
    observed, at_home = observed_peer(answer), same_site(answer)
    if observed is None:  # the server does not know the peer's address
        return [Target(address, redials=SELDOM, claimed=True) for address in wanted]
    ours, theirs = {_network(address.ip) for address in own} - {None}, _network(observed.ip)
    unseen = OFTEN if theirs is None else SELDOM  # for the first IPv6 address
    found = []
    for address in wanted:
        network = _network(address.ip)
        is_near = network in ours or not is_global(address.ip)
        if address == observed or (is_near and at_home) or (network and network == theirs):
            found.append(Target(address))
        elif is_near or network is None:
            found.append(Target(address, redials=SELDOM, claimed=True, foreign=is_near))
        else:
            found.append(Target(address, redials=unseen, claimed=True))
            unseen = SELDOM
    return found


def _network(ip: IP) -> int | None:
    """The network of a global IPv6 address; None for other addresses."""
    return int(ip) >> (128 - _PREFIX) if ip.version == 6 and is_global(ip) else None


def ports_change(answer: Answer, own: Collection[Address], local_port: int) -> bool:
    """
    Whether there is a NAT that changes ports, at the peer or here. The arguments are those of
    :func:`targets`.
    """
    return _stepped(answer) is not None or _ours_steps(answer, own, local_port)


def _ours_steps(answer: Answer, own: Collection[Address], local_port: int) -> bool:
    named = {local_port, *(address.port for address in own)}
    return answer.observed is not None and answer.observed.port not in named


def _stepped(answer: Answer) -> Address | None:
    """The peer's observed address, if its NAT has changed the port."""
    if len(answer.peer_addresses) < 2:
        return None
    *named, last = answer.peer_addresses
    ports = {address.port for address in named}
    changed = len(ports) == 1 and last.port not in ports
    return last if changed and not is_local(last) else None
