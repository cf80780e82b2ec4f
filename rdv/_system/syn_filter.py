"""
A listening socket that leaves the SYNs of some addresses unanswered.

While we redial an address, its own SYN may arrive at a moment without a dial of ours. The listener
would answer it with a sequence number that is new to the NAT on the path, which remembers the
refused dial: the connection would be dead, or die after its first bytes. If the SYN is left
unanswered, our next dial meets it, and both NATs see a simultaneous open.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv6Address
from itertools import chain

from rdv._system.interfaces import route_to
from rdv.addresses import Address

__all__ = ["ignore_syns"]

# linux/filter.h: code, jump if true, jump if false, operand. A packet's TCP header is at 0, its IP
# header at SKF_NET_OFF.
_NETWORK = 0xFFF00000
_LOAD_WORD, _LOAD_HALF, _LOAD_BYTE = 0x20, 0x28, 0x30
_AND, _SHIFT, _EQUAL, _RETURN = 0x54, 0x74, 0x15, 0x06
_DROP = (_RETURN, 0, 0, 0)
_PASS = (_RETURN, 0, 0, 0xFFFFFFFF)
_SYN, _SYN_OR_ACK = 0x02, 0x12

# asm-generic/socket.h; not all architectures have these numbers, and the rest do without.
_ATTACH, _DETACH = 26, 27

_Instruction = tuple[int, int, int, int]


def ignore_syns(sock: object, addresses: Collection[Address]) -> bool:
    """
    Let the listening ``sock`` drop SYNs from ``addresses``, and from no others, to the address from
    which this host dials them. A SYN to another of our addresses may belong to the only path.

    :return: whether this system can do it.
    """
    if sys.platform != "linux" or not isinstance(sock, socket.socket):
        return False
    try:
        if not addresses:
            sock.setsockopt(socket.SOL_SOCKET, _DETACH, 0)
            return True
        program = filter_program((address, route_to(address.ip)) for address in addresses)
        code = struct.pack("HBBI" * len(program), *chain.from_iterable(program))
        where = ctypes.cast(ctypes.c_char_p(code), ctypes.c_void_p).value
        sock.setsockopt(socket.SOL_SOCKET, _ATTACH, struct.pack("HP", len(program), where))
    except OSError:
        return not addresses  # there was no filter to detach
    return True


def filter_program(
    ignored: Iterable[tuple[Address, IPv4Address | IPv6Address | None]],
) -> list[_Instruction]:
    """
    The classic BPF program for :func:`ignore_syns`.

    :param ignored: where a SYN comes from, and where it goes; None for anywhere.
    """
    program: list[_Instruction] = [
        (_LOAD_BYTE, 0, 0, 13),  # TCP flags
        (_AND, 0, 0, _SYN_OR_ACK),
        (_EQUAL, 1, 0, _SYN),
        _PASS,
    ]
    for (ip, port), destination in ignored:
        checks: list[tuple[_Instruction, ...]] = [
            ((_LOAD_BYTE, 0, 0, _NETWORK), (_SHIFT, 0, 0, 4), (_EQUAL, 0, 0, ip.version)),
        ]
        start = 12 if isinstance(ip, IPv4Address) else 8
        # The destination follows the source in both headers.
        packed = ip.packed + (destination.packed if destination is not None else b"")
        for place in range(0, len(packed), 4):
            word = int.from_bytes(packed[place : place + 4], "big")
            load = (_LOAD_WORD, 0, 0, _NETWORK + start + place)
            checks.append((load, (_EQUAL, 0, 0, word)))
        checks.append(((_LOAD_HALF, 0, 0, 0), (_EQUAL, 0, 0, port)))
        block = [instruction for check in checks for instruction in check]
        for place, (code, _, _, operand) in enumerate(block):
            if code == _EQUAL:  # if not equal, skip the rest of this block
                program.append((code, 0, len(block) - place, operand))
            else:
                program.append((code, 0, 0, operand))
        program.append(_DROP)
    program.append(_PASS)
    return program
