"""
The packet filters of the lab, as text for ``nft -f``.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.natlab.model import Box, Nat, Stray

__all__ = ["COUNTERS", "MARK", "box_rules", "core_rules", "meter_rules"]

#: Each message of a meeting begins with it, so that counters can tell the application's packets.
MARK = b"RdVn"

#: The packets that are counted at each peer: ``data``, with the application's bytes; ``payload``,
#: with any bytes for a user of TCP; ``server``, from or to the server; ``other``, anybody else.
COUNTERS = (
    "syn_server",
    "syn_other",
    *(
        f"{kind}_{way}_{whom}"
        for kind in ("data", "payload")
        for way in ("in", "out")
        for whom in ("server", "other")
    ),
)

_FIRST_PORT = 20000
_PORTS = 4096

_ANSWERS = {
    Stray.SILENT: "drop",
    Stray.RESET: "reject with tcp reset",
    Stray.PORT_UNREACHABLE: "reject with icmpx port-unreachable",
    Stray.PROHIBITED: "reject with icmpx admin-prohibited",
    # Without a filter the packet reaches the router itself, and nobody listens there. To a host
    # behind a firewall there is no such thing; the nearest is a reset.
    Stray.OWN_RESET: "reject with tcp reset",
}


def box_rules(box: Box, *, wan4: str | None, server: Sequence[str], port: int) -> str:
    """
    The rules of a router with the devices ``wan`` and ``lan``.

    :param wan4: its outer IPv4 address.
    :param server: the server's addresses, for one that lets nothing else through.
    """
    return _filter(box, wan4, server, port) + (_nat(box, wan4) if box.nat and wan4 else "")


def _filter(box: Box, wan4: str | None, server: Sequence[str], port: int) -> str:
    answer = _ANSWERS[box.stray]
    stray = f"meta l4proto tcp {answer}"
    if box.only_server:
        outward = (
            "\n".join(
                f'iifname "lan" {"ip6" if ":" in ip else "ip"} daddr {ip} tcp dport {port} accept'
                for ip in server
            )
            + f'\niifname "lan" {stray}'
        )
    else:
        outward = 'iifname "lan" accept'
    # Behind NAT, only the router's own address can be reached: packets for addresses inside are
    # dropped.
    inward = "" if box.nat else f'iifname "wan" {stray}'
    inward6 = f'iifname "wan" meta nfproto ipv6 {stray}'
    own = "" if box.stray is Stray.OWN_RESET or not wan4 else f"ip daddr {wan4} {stray}"
    return f"""
table inet box {{
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state invalid drop
    ct state established,related accept
    {outward}
    {inward}
    {inward6}
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    {"" if box.stray is Stray.OWN_RESET else "ct state invalid drop"}
    ct state established,related accept
    {own}
  }}
}}
"""


def _nat(box: Box, wan4: str | None) -> str:
    if box.nat is Nat.RANDOM:
        translate = "masquerade fully-random"
    elif box.nat is Nat.SEQUENTIAL:
        # A number in a packet has another byte order than a computed one, so a table has to
        # translate it.
        ports = ", ".join(f"{n} : {_FIRST_PORT + n}" for n in range(_PORTS))
        translate = f"snat ip to {wan4} : numgen inc mod {_PORTS} map {{ {ports} }}"
    else:
        translate = "masquerade"
    hairpin_in = hairpin_out = remember = ""
    if box.hairpin:
        # A host that has sent from a port is reached through it, as long as ports are preserved.
        remember = 'oifname "wan" meta l4proto tcp update @inside { tcp sport : ip saddr }'
        hairpin_in = f'iifname "lan" ip daddr {wan4} dnat ip to tcp dport map @inside'
        hairpin_out = f'iifname "lan" oifname "lan" ct status dnat snat ip to {wan4}'
    return f"""
table ip nat {{
  map inside {{ type inet_service : ipv4_addr; size 65535; flags dynamic,timeout; timeout 1h; }}
  chain prerouting {{
    type nat hook prerouting priority dstnat;
    {hairpin_in}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat;
    {remember}
    {hairpin_out}
    oifname "wan" meta l4proto tcp {translate}
    oifname "wan" masquerade
  }}
}}
"""


def core_rules(sites: Sequence[tuple[str, Sequence[str]]]) -> str:
    """
    The internet lets nobody send from an address that is not theirs.

    :param sites: the device to each, and the networks there.
    """
    lines = []
    for device, networks in sites:
        for family, version in (("ip", "ipv4"), ("ip6", "ipv6")):
            own = ", ".join(text for text in networks if (":" in text) == (family == "ip6"))
            unless = f"{family} saddr != {{ {own} }} " if own else ""
            lines.append(f'iifname "{device}" meta nfproto {version} {unless}drop')
    rules = "\n    ".join(lines)
    return f"""
table inet core {{
  chain forward {{
    type filter hook forward priority filter;
    {rules}
  }}
}}
"""


def meter_rules(server: Sequence[str]) -> str:
    """
    Counters in a peer's own namespace.

    :param server: the addresses at which the peers reach the server.
    """
    chains = []
    for way, hook, device, side in (
        ("in", "input", "iifname", "saddr"),
        ("out", "output", "oifname", "daddr"),
    ):
        to_server = "\n    ".join(
            f"{'ip6' if ':' in ip else 'ip'} {side} {ip} goto {way}_server" for ip in server
        )
        chains.append(f"""
  chain {hook} {{
    type filter hook {hook} priority raw;
    {device} "lo" return
    meta l4proto != tcp return
    {to_server}
    goto {way}_other
  }}""")
        for whom in ("server", "other"):
            syns = f"tcp flags & (syn | ack) == syn counter name syn_{whom}" if way == "out" else ""
            # A comparison that is true for any byte is false if there is no byte.
            chains.insert(
                0,
                f"""
  chain {way}_{whom} {{
    {syns}
    @ih,0,8 >= 0 counter name payload_{way}_{whom}
    @ih,0,32 {int.from_bytes(MARK)} counter name data_{way}_{whom}
  }}""",
            )
    counters = "".join(f"\n  counter {name} {{ }}" for name in COUNTERS)
    return f"\ntable inet meters {{{counters}{''.join(chains)}\n}}\n"
