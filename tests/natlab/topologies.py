"""
The named topologies.
"""

from __future__ import annotations

from tests.natlab.model import Box, Expected, Nat, Proxy, Server, Site, Stray, Topology

__all__ = ["TOPOLOGIES"]

_HOST = Site()
_SILENT = Box()
_RESET = Box(stray=Stray.RESET)
_UNREACHABLE = Box(stray=Stray.PORT_UNREACHABLE)
_PROHIBITED = Box(stray=Stray.PROHIBITED)
_OWN = Box(stray=Stray.OWN_RESET)
_RANDOM = Box(nat=Nat.RANDOM)
_SEQUENTIAL = Box(nat=Nat.SEQUENTIAL)
_HAIRPIN = Box(hairpin=True)
_FIREWALL = Box(nat=None)
_REFUSING = Box(nat=None, stray=Stray.RESET)
_PROHIBITING = Box(nat=None, stray=Stray.PROHIBITED)
_HOME = Site((_SILENT,))
_DUAL = Server(v6=True)

_DIRECT, _PREDICTED, _LUCK, _RELAY = Expected


def _pair(text: str, dialer: Box, acceptor: Box, expected: Expected = _DIRECT) -> Topology:
    return Topology(text, expected, Site((dialer,)), Site((acceptor,)))


def _v6(box: Box) -> Site:
    return Site((box,), v4=False, v6=True)


def _dual(box: Box) -> Site:
    return Site((box,), v6=True)


TOPOLOGIES: dict[str, Topology] = {
    "lan": Topology("Both in one LAN behind a NAT.", _DIRECT, shared=(_SILENT,)),
    "lan-hairpin": Topology(
        "Both in one LAN behind a NAT that hairpins too.", _DIRECT, shared=(_HAIRPIN,)
    ),
    "lan-server": Topology(
        "Both in one LAN, and the server too.",
        _DIRECT,
        shared=(_SILENT,),
        server=Server(in_lan=True),
    ),
    "public": Topology("Both have public addresses.", _DIRECT),
    "nat-dialer": Topology("The dialer is behind a NAT, the acceptor public.", _DIRECT, _HOME),
    "nat-acceptor": Topology(
        "The acceptor is behind a NAT, the dialer public.", _DIRECT, acceptor=_HOME
    ),
    # Two NATs, by what they do with stray SYNs.
    "silent": _pair("Two NATs that drop stray SYNs.", _SILENT, _SILENT),
    "reset": _pair("Two NATs that reset stray SYNs.", _RESET, _RESET),
    "unreachable": _pair(
        "Two NATs that answer stray SYNs by ICMP port unreachable.", _UNREACHABLE, _UNREACHABLE
    ),
    "prohibited": _pair(
        "Two NATs that answer stray SYNs by ICMP admin-prohibited.", _PROHIBITED, _PROHIBITED
    ),
    "own-reset": _pair("Two NATs without a filter: their own TCP resets stray SYNs.", _OWN, _OWN),
    "silent-reset": _pair("The dialer's NAT is silent, the acceptor's resets.", _SILENT, _RESET),
    "reset-silent": _pair("The dialer's NAT resets, the acceptor's is silent.", _RESET, _SILENT),
    "reset-unreachable": _pair(
        "The dialer's NAT resets, the acceptor's answers by ICMP.", _RESET, _UNREACHABLE
    ),
    "unreachable-reset": _pair(
        "The dialer's NAT answers by ICMP, the acceptor's resets.", _UNREACHABLE, _RESET
    ),
    # Two NATs, by how they map ports.
    "random-dialer": _pair(
        "The dialer's NAT takes a random port for each destination.", _RANDOM, _SILENT, _LUCK
    ),
    "random-acceptor": _pair(
        "The acceptor's NAT takes a random port for each destination.", _SILENT, _RANDOM, _LUCK
    ),
    "random": _pair("Both NATs take random ports.", _RANDOM, _RANDOM, _RELAY),
    "random-public": Topology(
        "The dialer's NAT takes random ports, but the acceptor is public.",
        _DIRECT,
        Site((_RANDOM,)),
    ),
    "public-random": Topology(
        "The acceptor's NAT takes random ports, but the dialer is public.",
        _DIRECT,
        acceptor=Site((_RANDOM,)),
    ),
    "sequential-dialer": _pair(
        "The dialer's NAT counts its ports up.", _SEQUENTIAL, _SILENT, _PREDICTED
    ),
    "sequential-acceptor": _pair(
        "The acceptor's NAT counts its ports up.", _SILENT, _SEQUENTIAL, _PREDICTED
    ),
    "sequential": _pair("Both NATs count their ports up.", _SEQUENTIAL, _SEQUENTIAL, _PREDICTED),
    # More than one NAT.
    "double-dialer": Topology(
        "The dialer's home NAT is behind a carrier's, the acceptor behind one NAT.",
        _DIRECT,
        Site((_SILENT, _SILENT)),
        _HOME,
    ),
    "double-acceptor": Topology(
        "The acceptor's home NAT is behind a carrier's, the dialer behind one NAT.",
        _DIRECT,
        _HOME,
        Site((_SILENT, _SILENT)),
    ),
    "double": Topology(
        "Two home NATs, each behind its own carrier's.",
        _DIRECT,
        Site((_SILENT, _SILENT)),
        Site((_SILENT, _SILENT)),
    ),
    "double-reset": Topology(
        "Two home NATs, each behind its own carrier's; all reset stray SYNs.",
        _DIRECT,
        Site((_RESET, _RESET)),
        Site((_RESET, _RESET)),
    ),
    "carrier-hairpin": Topology(
        "Two homes behind one carrier's NAT that hairpins.", _DIRECT, _HOME, _HOME, (_HAIRPIN,)
    ),
    "carrier-hairpin-reset": Topology(
        "Two homes behind one carrier's NAT that hairpins; the homes reset stray SYNs.",
        _DIRECT,
        Site((_RESET,)),
        Site((_RESET,)),
        (_HAIRPIN,),
    ),
    "carrier": Topology(
        "Two homes behind one carrier's NAT without hairpin.", _RELAY, _HOME, _HOME, (_SILENT,)
    ),
    # Firewalls without NAT.
    "firewall": _pair("Two stateful firewalls that drop stray SYNs.", _FIREWALL, _FIREWALL),
    "firewall-reset": _pair("Two stateful firewalls that reset.", _REFUSING, _REFUSING),
    "firewall-prohibited": _pair(
        "Two stateful firewalls that answer by ICMP.", _PROHIBITING, _PROHIBITING
    ),
    # IPv6.
    "v6-firewall": Topology(
        "IPv6 behind silent firewalls; IPv4 behind NATs with random ports.",
        _DIRECT,
        _dual(_RANDOM),
        _dual(_RANDOM),
        server=_DUAL,
    ),
    "v6-firewall-v4-server": Topology(
        "IPv6 behind silent firewalls; IPv4 behind NATs with random ports; an IPv4-only server.",
        _DIRECT,
        _dual(_RANDOM),
        _dual(_RANDOM),
    ),
    "v6-firewall-reset": Topology(
        "IPv6 behind firewalls that reset; IPv4 behind NATs with random ports.",
        _DIRECT,
        _dual(Box(nat=Nat.RANDOM, stray=Stray.RESET)),
        _dual(Box(nat=Nat.RANDOM, stray=Stray.RESET)),
        server=_DUAL,
    ),
    "v6-firewall-prohibited": Topology(
        "IPv6 behind firewalls that answer by ICMPv6; IPv4 behind NATs with random ports.",
        _DIRECT,
        _dual(Box(nat=Nat.RANDOM, stray=Stray.PROHIBITED)),
        _dual(Box(nat=Nat.RANDOM, stray=Stray.PROHIBITED)),
        server=_DUAL,
    ),
    "v6-only": Topology(
        "IPv6-only peers behind silent firewalls, and an IPv6-only server.",
        _DIRECT,
        _v6(_FIREWALL),
        _v6(_FIREWALL),
        server=Server(v4=False, v6=True),
    ),
    "v6-only-public": Topology(
        "IPv6-only peers with nothing before them, and an IPv6-only server.",
        _DIRECT,
        Site(v4=False, v6=True),
        Site(v4=False, v6=True),
        server=Server(v4=False, v6=True),
    ),
    "v6-only-dialer": Topology(
        "The dialer has only IPv6, the acceptor both, as the server; all behind silent boxes.",
        _DIRECT,
        _v6(_FIREWALL),
        _dual(_SILENT),
        server=_DUAL,
    ),
    "v6-only-acceptor": Topology(
        "The acceptor has only IPv6, the dialer both, as the server; all behind silent boxes.",
        _DIRECT,
        _dual(_SILENT),
        _v6(_FIREWALL),
        server=_DUAL,
    ),
    "v4-only-dialer": Topology(
        "The dialer has only IPv4, the acceptor both, as the server; both behind NATs.",
        _DIRECT,
        _HOME,
        _dual(_SILENT),
        server=_DUAL,
    ),
    "v4-only-acceptor": Topology(
        "The acceptor has only IPv4, the dialer both, as the server; both behind NATs.",
        _DIRECT,
        _dual(_SILENT),
        _HOME,
        server=_DUAL,
    ),
    "v4-v6": Topology(
        "The dialer has only IPv4, the acceptor only IPv6; the server has both.",
        _RELAY,
        _HOME,
        _v6(_FIREWALL),
        server=_DUAL,
    ),
    # No direct path.
    "no-path": _pair(
        "Routers drop whatever is not for the server.",
        Box(only_server=True),
        Box(only_server=True),
        _RELAY,
    ),
    "no-path-prohibited": _pair(
        "Routers answer by ICMP whatever is not for the server.",
        Box(only_server=True, stray=Stray.PROHIBITED),
        Box(only_server=True, stray=Stray.PROHIBITED),
        _RELAY,
    ),
    # A server that cannot see its clients.
    "proxy-public": Topology(
        "A proxy hides the peers from the server, but their own addresses are public.",
        _DIRECT,
        server=Server(proxy=Proxy.LOOPBACK),
    ),
    "proxy-wrong-public": Topology(
        "As before, and the server takes the proxy's public address for the peers'.",
        _DIRECT,
        server=Server(proxy=Proxy.PUBLIC),
    ),
    "proxy-unknown-public": Topology(
        "As before, and the server reports no address.",
        _DIRECT,
        server=Server(proxy=Proxy.UNKNOWN),
    ),
    "proxy-nat": Topology(
        "A proxy hides two NATs from the server.",
        _RELAY,
        _HOME,
        _HOME,
        server=Server(proxy=Proxy.LOOPBACK),
    ),
    "proxy-wrong-nat": Topology(
        "As before, and the server takes the proxy's public address for the peers'.",
        _RELAY,
        _HOME,
        _HOME,
        server=Server(proxy=Proxy.PUBLIC),
    ),
    "proxy-unknown-nat": Topology(
        "As before, and the server reports no address.",
        _RELAY,
        _HOME,
        _HOME,
        server=Server(proxy=Proxy.UNKNOWN),
    ),
    # Hosts with many addresses.
    "clutter-lan": Topology(
        "Both in one LAN; the dialer has dead interfaces and a dozen bridges.",
        _DIRECT,
        Site(clutter=True),
        shared=(_SILENT,),
    ),
    "clutter-lan-acceptor": Topology(
        "Both in one LAN; the acceptor has dead interfaces and a dozen bridges.",
        _DIRECT,
        acceptor=Site(clutter=True),
        shared=(_SILENT,),
    ),
    "clutter-nat": Topology(
        "Two NATs; the dialer has dead interfaces and a dozen bridges.",
        _DIRECT,
        Site((_SILENT,), clutter=True),
        _HOME,
    ),
    "clutter-nat-acceptor": Topology(
        "Two NATs; the acceptor has dead interfaces and a dozen bridges.",
        _DIRECT,
        _HOME,
        Site((_SILENT,), clutter=True),
    ),
}
