"""
Builds a topology.
"""

from __future__ import annotations

import atexit
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType

from tests.natlab.model import Box, Conditions, Site, Topology
from tests.natlab.namespaces import LabError, Namespace, remove_stale, run
from tests.natlab.places import NETWORKS, Internet, Lan, Place
from tests.natlab.rules import COUNTERS, box_rules, meter_rules

__all__ = ["PORT", "Host", "Lab"]

#: Where the server listens, for the peers.
PORT = 8080
_NAME = "server.test"


@dataclass
class Host:
    """
    A peer, or the server.

    :ivar addresses: its own addresses, IPv4 first, without those of dead interfaces.
    :ivar boxes: the routers between it and the internet, or the shared ones; the outermost first.
    """

    namespace: Namespace
    addresses: list[str] = field(default_factory=list)
    boxes: list[Namespace] = field(default_factory=list)

    def counters(self) -> dict[str, int]:
        """
        How many packets each of :data:`tests.natlab.rules.COUNTERS` has seen since the last call.

        For peers only.
        """
        text = self.namespace.run("nft", "-j", "reset", "counters", "table", "inet", "meters")
        entries = (entry.get("counter") for entry in json.loads(text)["nftables"])
        found = {entry["name"]: int(entry["packets"]) for entry in entries if entry}
        return {name: found[name] for name in COUNTERS}


class Lab:
    """
    Built at once. It is removed by :meth:`close`, at the end of a ``with`` statement, or at the
    latest when the interpreter ends.

    :param conditions: of the internet; by default there is neither delay nor loss.
    :ivar dialer: a host, as ``acceptor`` and ``server``.
    :ivar neighbours: the hosts beside the peers, by the names of these.
    :ivar shared: the routers that both peers are behind.
    :ivar internet: what connects the borders.
    :ivar url: of the server, for the peers.
    """

    def __init__(self, topology: Topology, conditions: Conditions | None = None) -> None:
        self.topology = topology
        self.conditions = conditions or Conditions()
        self._closed = False
        self._homes = 0
        self.neighbours: dict[str, Host] = {}
        self._links: list[str] = []
        self._namespaces: list[Namespace] = []
        self._lans: list[Lan] = []
        self._filters: list[tuple[Namespace, Box, str | None]] = []
        self.internet = Internet(self._links, self.conditions)
        atexit.register(self.close)
        try:
            remove_stale()
            self._plan()
            self._realize()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """
        Remove everything, and end what runs in it. Nothing happens the second time.

        It may be called from any thread: whatever waits for a program in the lab gets its end.

        :raises LabError: when something resists; the rest is removed.
        """
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        with ExitStack() as stack:
            for namespace in self._namespaces:
                stack.callback(namespace.remove)
            stack.callback(self.internet.stop)

    @property
    def url(self) -> str:
        """By name when the server has both IPv4 and IPv6."""
        addresses = self.server.addresses
        host = addresses[0] if len(addresses) == 1 else _NAME
        return f"http://[{host}]:{PORT}/" if ":" in host else f"http://{host}:{PORT}/"

    # Planning the lab.

    def _plan(self) -> None:
        topology, plan = self.topology, self.topology.server
        sites = (topology.dialer, topology.acceptor)
        v4, v6 = any(site.v4 for site in sites), any(site.v6 for site in sites)
        if self.conditions.ideal:
            self.internet.core = self._namespace("internet", router=True, v6=True)
        self.server = Host(self._namespace("server", v6=plan.v6))
        outside: Place | None = None
        self.shared: list[Namespace] = []
        if topology.shared:
            carrier = any(site.boxes for site in sites)
            outside, self.shared = self._behind("shared", topology.shared, None, v4, v6, carrier)
        lan = outside if plan.in_lan else self.internet.at("server")
        if lan is None:
            raise LabError("the server is to be in a LAN that is not there")
        self.server.addresses = lan.attach(self.server.namespace, v4=plan.v4, v6=plan.v6)
        self.dialer = self._peer("dialer", topology.dialer, outside)
        self.acceptor = self._peer("acceptor", topology.acceptor, outside)
        for namespace, box, wan4 in self._filters:
            rules = box_rules(box, wan4=wan4, server=self.server.addresses, port=PORT)
            namespace.rules.append(rules)
        for host in (self.dialer, self.acceptor):
            host.namespace.rules.append(meter_rules(self.server.addresses))

    def _namespace(self, label: str, *, router: bool = False, v6: bool = False) -> Namespace:
        namespace = Namespace(label, router=router, v6=v6)
        self._namespaces.append(namespace)
        return namespace

    def _peer(self, name: str, site: Site, outside: Place | None) -> Host:
        host = Host(self._namespace(name, v6=site.v6))
        if site.boxes:
            outside, host.boxes = self._behind(
                name, site.boxes, outside, site.v4, site.v6, carrier=False
            )
        place = outside or self.internet.at(name)
        hosts = [host]
        if site.neighbour:
            if outside is None:
                raise LabError(f"the {name} is to have a neighbour, and has no LAN")
            self.neighbours[name] = Host(self._namespace(f"{name}'s neighbour", v6=site.v6))
            hosts.append(self.neighbours[name])
        # Twins get the same addresses the other way round.
        for each in hosts if name == "dialer" else hosts[::-1]:
            each.addresses = place.attach(each.namespace, v4=site.v4, v6=site.v6)
        return host

    def _behind(
        self,
        name: str,
        boxes: Sequence[Box],
        place: Place | None,
        v4: bool,
        v6: bool,
        carrier: bool,
    ) -> tuple[Place, list[Namespace]]:
        """
        The network behind some routers, and the routers, the outermost first.

        :param carrier: whether there will be routers in it, and not hosts.
        """
        if v6 and (len(boxes) > 1 or carrier):
            raise LabError("IPv6 goes through one router only")
        start4, start6 = NETWORKS[name]
        inside: Place = place or self.internet.at(name)
        routers = []
        for number, box in enumerate(reversed(boxes), 1):
            router = self._namespace(f"{name}'s router {number}", router=True, v6=v6)
            routers.append(router)
            got = inside.attach(router, v4=v4, v6=v6)
            self._filters.append((router, box, got[0] if v4 else None))
            if box.nat is None:
                net4 = f"{start4}128/25"
            else:
                self._homes += 1
                innermost = number == len(boxes) and not carrier
                home = 1 if self.topology.twins else self._homes
                net4 = f"192.168.{home}.0/24" if innermost else f"100.64.{self._homes}.0/24"
            net6 = f"{start6}1::" if v6 else None
            inside = lan = Lan(self._links, router, net4 if v4 else None, net6)
            self._lans.append(lan)
        return inside, routers

    # Building it.

    def _realize(self) -> None:
        run(["ip", "-batch", "-"], "".join(f"netns add {n.name}\n" for n in self._namespaces))
        for namespace in self._namespaces:
            namespace.prepare()
        for host, site in (
            (self.dialer, self.topology.dialer),
            (self.acceptor, self.topology.acceptor),
        ):
            if site.clutter:
                _add_clutter(host.namespace)
            if len(self.server.addresses) > 1:
                host.namespace.hosts({_NAME: self.server.addresses})
        run(["ip", "-batch", "-"], "\n".join(self._links) + "\n")
        self.internet.start()
        for namespace in self._namespaces:
            namespace.configure()
        # A device without a carrier drops packets, and the kernel notifies a bridge of a carrier up
        # to a second late, unless it was there from the start.
        for namespace in self._namespaces:
            namespace.await_carriers()
        for lan in self._lans:
            lan.open()
        self.internet.await_start()


def _add_clutter(namespace: Namespace) -> None:
    """Interfaces as on a developer's machine, made before the real one."""
    later, namespace.addresses = namespace.addresses, []
    namespace.addresses += [
        "link add down0 type bridge",  # down, and nothing behind it
        "addr add 172.16.0.1/16 dev down0",
        "link add dead0 type bridge",  # up without a carrier, as one whose containers have ended
        "addr add 172.17.0.1/16 dev dead0",
        "link add plug type veth peer name gone",
        "link set plug master dead0",
        "link set dead0 up",
    ]
    for number in range(12):
        namespace.addresses += [
            f"link add plug{number} type veth peer name guest{number}",
            f"link set guest{number} up",
            f"link set plug{number} up",
            f"link add br{number} type bridge",
            f"addr add 172.{18 + number}.0.1/16 dev br{number}",
        ]
    namespace.configure()
    namespace.await_carriers()
    for number in range(12):
        namespace.addresses += [
            f"link set plug{number} master br{number}",
            f"link set br{number} up",
        ]
    namespace.configure()
    namespace.addresses = later
