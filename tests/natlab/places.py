"""
Where a host or a router can be connected: the internet, or the network behind a router.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Protocol

from tests.natlab.model import Conditions
from tests.natlab.namespaces import LabError, Namespace, end
from tests.natlab.rules import core_rules

__all__ = ["NETWORKS", "Internet", "Lan", "Place"]

#: The networks of each site on the internet: the beginnings of its IPv4 and IPv6 addresses.
NETWORKS = {
    "dialer": ("203.0.113.", "2001:db8:a:"),
    "acceptor": ("192.0.2.", "2001:db8:b:"),
    "shared": ("203.0.113.", "2001:db8:a:"),
    "server": ("198.51.100.", "2001:db8:5:"),
}

#: The numbers of plugs, high ones: if a pair of devices has the same number in both namespaces, the
#: kernel takes them for one device, and reports its carrier a second late.
_INDEX = 1000
_ROOT = Path(__file__).resolve().parents[2]
_TUNSETIFF = 0x400454CA
_IFF_TUN = 0x0001
_IFF_NO_PI = 0x1000


class Place(Protocol):
    """Something to be connected to."""

    def attach(self, namespace: Namespace, *, v4: bool, v6: bool) -> list[str]:
        """
        Connect a host or a router through its device ``wan``, with a default route.

        :return: the addresses that it got, IPv4 first.
        """


class Lan:
    """
    The network behind a router: its device ``lan``, a bridge.

    :param links: takes commands that connect namespaces.
    :param net4: such as ``192.168.1.128/25``, or none.
    :param net6: the beginning of its IPv6 addresses, up to ``::``, or none.
    """

    def __init__(
        self, links: list[str], router: Namespace, net4: str | None, net6: str | None
    ) -> None:
        self._links = links
        self._router = router
        self._net6 = net6
        self._count = 0
        router.addresses.append("link add lan type bridge mcast_snooping 0")
        self._start4 = None
        if net4:
            ip, _, self._length4 = net4.partition("/")
            self._start4, _, first = ip.rpartition(".")
            self._first4 = int(first) + 1
            router.addresses.append(f"addr add {self._ip4(0)}/{self._length4} dev lan")
        if net6:
            router.addresses.append(f"addr add {net6}1/64 dev lan nodad")

    def _ip4(self, number: int) -> str:
        return f"{self._start4}.{self._first4 + number}"

    def attach(self, namespace: Namespace, *, v4: bool, v6: bool) -> list[str]:
        self._count += 1
        plug = f"lan{self._count}"
        self._links.append(
            f"link add {plug} index {_INDEX + self._count} netns {self._router.name} type veth "
            f"peer name wan netns {namespace.name}"
        )
        self._router.addresses.append(f"link set {plug} up")
        namespace.addresses.append("link set wan up")
        got = []
        if v4 and self._start4:
            got.append(self._ip4(self._count))
            namespace.addresses += [
                f"addr add {got[-1]}/{self._length4} dev wan",
                f"route add default via {self._ip4(0)}",
            ]
        if v6 and self._net6:
            got.append(f"{self._net6}{self._count + 1}")
            namespace.addresses += [
                f"addr add {got[-1]}/64 dev wan nodad",
                f"route add default via {self._net6}1",
            ]
        return got

    def open(self) -> None:
        """Let packets through. To be called when all that was attached has its carrier."""
        plugs = range(1, self._count + 1)
        self._router.addresses += [f"link set lan{number} master lan" for number in plugs]
        self._router.addresses.append("link set lan up")
        self._router.configure()


class Internet:
    """
    Connects the borders of the sites. Without delay and loss the kernel of one more namespace does
    it, else :mod:`tests.natlab.forwarder`.

    :param links: takes commands that connect namespaces.
    :ivar core: that namespace; none with a forwarder. To be set before anything is connected.
    :ivar forwarder: while it runs.
    """

    def __init__(self, links: list[str], conditions: Conditions) -> None:
        self.core: Namespace | None = None
        self._links = links
        self._conditions = conditions
        self._sites: list[tuple[str, Namespace]] = []
        self.forwarder: subprocess.Popen[bytes] | None = None

    def at(self, site: str) -> Place:
        """The place for the border of a site, one of :data:`NETWORKS`."""
        return _Border(self, site)

    def connect(self, site: str, namespace: Namespace, *, v4: bool, v6: bool) -> list[str]:
        """Make ``namespace`` the border of ``site``."""
        start4, start6 = NETWORKS[site]
        number = len(self._sites)
        self._sites.append((site, namespace))
        got = [f"{start4}1"] if v4 else []
        got += [f"{start6}:1"] if v6 else []
        namespace.addresses.append("link set wan up")
        for ip in got:
            length = "128 nodad" if ":" in ip else "32"
            namespace.addresses.append(f"addr add {ip}/{length} dev wan")
        if self.core is None:
            routes = {"0.0.0.0/0": v4, "::/0": v6}
            namespace.addresses += [f"route add {to} dev wan" for to in routes if routes[to]]
        else:
            self._plug(self.core, number, namespace, site, got)
        return got

    def _plug(
        self, core: Namespace, number: int, namespace: Namespace, site: str, got: list[str]
    ) -> None:
        """Connect a border with the core, whose addresses are of no other use."""
        plug = f"site{number}"
        self._links.append(
            f"link add {plug} index {_INDEX + number} netns {core.name} type veth "
            f"peer name wan netns {namespace.name}"
        )
        core.addresses += [
            f"link set {plug} up",
            f"addr add 169.254.0.1/32 dev {plug}",
            f"addr add fe80::1/64 dev {plug} nodad",
        ]
        start4, start6 = NETWORKS[site]
        for ip in got:
            if ":" in ip:
                namespace.addresses += [
                    "addr add fe80::2/64 dev wan nodad",
                    "route add ::/0 via fe80::1 dev wan",
                ]
                core.addresses.append(f"route add {start6}:/48 via fe80::2 dev {plug}")
            else:
                namespace.addresses.append("route add 0.0.0.0/0 via 169.254.0.1 dev wan onlink")
                core.addresses.append(f"route add {start4}0/24 via {ip} dev {plug} onlink")

    def start(self) -> None:
        """
        Begin to forward. To be called when the namespaces exist, and before they are configured.

        :raises LabError: when the system lets nobody make TUN devices.
        """
        networks = [
            [f"{NETWORKS[site][0]}0/24", f"{NETWORKS[site][1]}:/48"] for site, _ in self._sites
        ]
        if self.core is not None:
            self.core.addresses += ["route add blackhole 0.0.0.0/0", "route add blackhole ::/0"]
            plugs = [(f"site{number}", networks[number]) for number in range(len(networks))]
            self.core.rules.append(core_rules(plugs))
            return
        fds: list[int] = []
        try:
            for _, namespace in self._sites:
                fds.append(_open_tun(namespace, "wan"))
            config = {
                "sites": [
                    {"fd": fd, "networks": texts} for fd, texts in zip(fds, networks, strict=True)
                ],
                "delays": [
                    [self._conditions.between(a, b) / 1000 for b, _ in self._sites]
                    for a, _ in self._sites
                ],
                "jitter": self._conditions.jitter / 1000,
                "loss": self._conditions.loss / 100,
                "seed": self._conditions.seed,
            }
            self.forwarder = subprocess.Popen(
                [sys.executable, "-m", "tests.natlab.forwarder", json.dumps(config)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=fds,
                cwd=_ROOT,
            )
        finally:
            for fd in fds:
                os.close(fd)

    def await_start(self) -> None:
        """
        Wait until packets are forwarded.

        :raises LabError: when the forwarder has ended.
        """
        if self.forwarder is not None:
            assert self.forwarder.stdout is not None
            if not self.forwarder.stdout.readline():
                raise LabError("the forwarder did not start")

    def stop(self) -> None:
        """End the forwarder."""
        if self.forwarder is not None:
            end(self.forwarder)
            self.forwarder = None


class _Border:
    def __init__(self, internet: Internet, site: str) -> None:
        self._internet = internet
        self._site = site

    def attach(self, namespace: Namespace, *, v4: bool, v6: bool) -> list[str]:
        return self._internet.connect(self._site, namespace, v4=v4, v6=v6)


def _open_tun(namespace: Namespace, device: str) -> int:
    """A descriptor for the packets of a new TUN device; it goes with its last descriptor."""
    with namespace.entered():
        try:
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise LabError(f"no TUN devices: {error}") from error
        try:
            request = struct.pack("16sH22x", device.encode(), _IFF_TUN | _IFF_NO_PI)
            fcntl.ioctl(fd, _TUNSETIFF, request)
        except OSError as error:
            os.close(fd)
            raise LabError(f"no TUN device in {namespace}: {error}") from error
    return fd
