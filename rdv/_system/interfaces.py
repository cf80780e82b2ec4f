"""
The addresses of this host's network interfaces, their properties, and which of them leads to
another host.

On Linux, the kernel is asked directly, by netlink: it knows which interface has no carrier, and no
library reports that. The files in ``/sys`` show it as well, but for another network namespace if
``/sys`` was mounted in that one.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from struct import Struct
from typing import NamedTuple

from rdv.addresses import parse_ip

__all__ = ["InterfaceAddress", "from_ifaddr", "from_netlink", "interface_addresses", "route_to"]


class InterfaceAddress(NamedTuple):
    """
    An address of an interface that is up.

    :ivar carrier: whether the interface can reach anything: a cable is plugged in, or a bridge has
        a member that is up.
    :ivar bridge: whether it is a bridge with a carrier, such as those of containers and virtual
        machines.
    :ivar deprecated: whether the address is about to expire: IPv6 opens no connection from it.
    """

    ip: IPv4Address | IPv6Address
    carrier: bool = True
    bridge: bool = False
    deprecated: bool = False


def interface_addresses() -> list[InterfaceAddress]:
    """
    All addresses, in the order in which the system lists them. Blocks for some microseconds: it
    queries the kernel, not the network.

    :raises OSError: if this process is not allowed to query them.
    """
    return list(from_netlink() if sys.platform == "linux" else from_ifaddr())


def from_ifaddr() -> Iterator[InterfaceAddress]:
    """The addresses on any system, without their properties."""
    import ifaddr

    for adapter in ifaddr.get_adapters():
        for entry in adapter.ips:
            # An IPv6 entry is (address, flow info, scope); link-local ones may carry their zone.
            text = entry.ip if isinstance(entry.ip, str) else entry.ip[0]
            yield InterfaceAddress(parse_ip(text.partition("%")[0]))


# From linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h and linux/if.h.
_MESSAGE = Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK = Struct("=BxHiII")  # ifinfomsg: family, device type, index, flags, change
_ADDRESS = Struct("=BBBBI")  # ifaddrmsg: family, prefix, flags, scope, index
_ATTRIBUTE = Struct("=HH")  # rtattr: length, type
_ERRNO = Struct("=i")
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_GETLINK, _RTM_GETADDR = 18, 22
_NLA_TYPE_MASK = 0x3FFF
_IFLA_LINKINFO, _IFLA_INFO_KIND = 18, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFF_UP, _IFF_LOOPBACK, _IFF_LOWER_UP = 0x1, 0x8, 0x10000
_IFA_F_DADFAILED, _IFA_F_DEPRECATED = 0x08, 0x20


def from_netlink() -> Iterator[InterfaceAddress]:
    """
    The addresses on Linux, with their properties.

    :raises OSError: if this process is not allowed to query them.
    """
    links = {}
    for link in _dump(_RTM_GETLINK, _LINK):
        _, _, index, flags, _ = _LINK.unpack_from(link)
        if flags & _IFF_UP:
            carrier = bool(flags & _IFF_LOWER_UP)
            links[index] = carrier, carrier and not flags & _IFF_LOOPBACK and _is_bridge(link)
    for address in _dump(_RTM_GETADDR, _ADDRESS):
        _, _, flags, _, index = _ADDRESS.unpack_from(address)
        # One that failed duplicate address detection belongs to another host.
        if index in links and not flags & _IFA_F_DADFAILED:
            attributes = dict(_attributes(address, _ADDRESS.size))
            # On a point-to-point interface the address is the peer's, and only ``local`` ours.
            packed = attributes.get(_IFA_LOCAL) or attributes[_IFA_ADDRESS]
            ip = IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)
            yield InterfaceAddress(ip, *links[index], bool(flags & _IFA_F_DEPRECATED))


def _is_bridge(link: bytes) -> bool:
    # About fifty attributes come before it, so this does not copy them with ``_attributes``.
    offset, end = _LINK.size, len(link)
    while offset < end:
        length, kind = _ATTRIBUTE.unpack_from(link, offset)
        if kind & _NLA_TYPE_MASK == _IFLA_LINKINFO:
            info = link[offset + _ATTRIBUTE.size : offset + length]
            return dict(_attributes(info, 0)).get(_IFLA_INFO_KIND) == b"bridge\0"
        offset += (length + 3) & ~3
    return False


def _dump(what: int, head: Struct) -> Iterator[bytes]:
    """Request a table, and yield the bodies of the messages in the response."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asking:
        request = _NLM_F_REQUEST | _NLM_F_DUMP
        size = _MESSAGE.size + head.size
        asking.send(_MESSAGE.pack(size, what, request, 1, 0) + bytes(head.size))
        while True:
            # The kernel fills at most 32 KiB at a time, so nothing is cut off.
            answer = asking.recv(0x10000)
            while answer:
                length, kind, *_ = _MESSAGE.unpack_from(answer)
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    (number,) = _ERRNO.unpack_from(answer, _MESSAGE.size)
                    raise OSError(-number, "netlink")
                yield answer[_MESSAGE.size : length]
                answer = answer[_aligned(length) :]


def _attributes(message: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    while offset < len(message):
        length, kind = _ATTRIBUTE.unpack_from(message, offset)
        yield kind & _NLA_TYPE_MASK, message[offset + _ATTRIBUTE.size : offset + length]
        offset += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def route_to(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address | None:
    """
    The address from which this host would reach ``ip``; None if there is no route to it. It takes
    some ten microseconds, and sends nothing.
    """
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            # ``str`` of an IPv6 address takes longer than all the rest.
            probe.connect((socket.inet_ntop(family, ip.packed), 9))  # "discard"; any port would do
            source = parse_ip(probe.getsockname()[0])
    except OSError:
        # ENETUNREACH or EHOSTUNREACH; but special routes give EACCES or EINVAL, and a host without
        # IPv6 gives EAFNOSUPPORT or EADDRNOTAVAIL.
        return None
    return None if source.is_unspecified else source
