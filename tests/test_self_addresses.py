"""
What the kernel reports about interfaces and routes, in the test's own network namespace.
"""

from __future__ import annotations

import os
import shutil

from twisted.trial.unittest import SkipTest, TestCase

from tests.processes import PYTHON, Program

LAPTOP = """
set -e
ip link set lo up
for n in 17 18 19 20 21 22 23 24 25 26 27 28; do
    ip link add br$n type bridge
    ip link set br$n address 02:00:00:00:00:$n  # as Docker does; from then on it has no carrier
    ip address add 172.$n.0.1/16 dev br$n
    ip link set br$n up
done
ip address add 203.0.113.9/24 dev br17

cable() {
    ip link add $1 type veth peer name $1-far
    ip link set $1-far up
    ip link set $1 up
}
cable member
ip link add living type bridge
ip link set member master living
ip address add 172.30.0.1/16 dev living
ip link set living up

cable unused
ip address add 10.9.0.1/24 dev unused
ip link set dev unused down
cable wire
ip address add 10.1.0.2/24 dev wire
cable radio
ip address add 192.168.1.16/24 dev radio
ip address add 2001:db8:1::8/64 dev radio nodad preferred_lft 0
ip address add 2001:db8:1::7/64 dev radio nodad
ip route add default via 192.168.1.1
ip route add unreachable 198.51.100.0/25
ip route add prohibit 198.51.100.128/25
ip -6 route add default via 2001:db8:1::1
ip -6 route add blackhole 2001:db8:2::/64
"""

WANTED = """
192.168.1.16:4000
[2001:db8:1::7]:4000
10.1.0.2:4000
172.30.0.1:4000
[2001:db8:1::8]:4000
203.0.113.9:4000
127.0.0.1:4000
[::1]:4000
"""


class LaptopTests(TestCase):
    """A host with a dozen unused bridges, and few networks that matter."""

    timeout = 60

    async def run_in(self, network: str, program: str) -> list[str]:
        """Run a Python program in a namespace that ``network`` has made; the lines it writes."""
        if os.geteuid() != 0:
            raise SkipTest("needs root for a network namespace")
        if not (unshare := shutil.which("unshare")) or not shutil.which("ip"):
            raise SkipTest("needs unshare and ip")
        able = Program(self, unshare, "--net", "true")
        if await able.ended:
            raise SkipTest(f"cannot make a network namespace: {able.report()}")
        script = network + 'exec "$0" -c "$1"'
        inside = Program(self, unshare, "--net", "sh", "-c", script, PYTHON, program)
        self.assertEqual(await inside.ended, 0, inside.report())
        return inside.stdout.decode().split()

    async def test_self_addresses(self) -> None:
        """Link-local ones aside, whose number and names are the kernel's business."""
        told = await self.run_in(
            LAPTOP,
            "from rdv.client.reach.self_addresses import own_addresses\n"
            "for address in own_addresses(4000):\n"
            "    if not address.ip.is_link_local: print(address)",
        )
        self.assertEqual(told, WANTED.split())

    async def test_routes(self) -> None:
        told = await self.run_in(
            LAPTOP,
            "from rdv.addresses import parse_ip\n"
            "from rdv._system.interfaces import route_to\n"
            "for to in '9.9.9.9 10.1.0.9 172.17.0.9 198.51.100.1 198.51.100.200 127.0.0.1'.split():"
            "    print(route_to(parse_ip(to)))\n"
            "for to in '2620:fe::9 2001:db8:2::1 fe80::1 ::1'.split():"
            "    print(route_to(parse_ip(to)))",
        )
        wanted = "192.168.1.16 10.1.0.2 172.17.0.1 None None 127.0.0.1 2001:db8:1::7 None None ::1"
        self.assertEqual(told, wanted.split())

    async def test_host_without_network(self) -> None:
        """Not even loopback; neither is an error."""
        told = await self.run_in(
            "set -e\n",
            "from rdv.addresses import parse_ip\n"
            "from rdv._system.interfaces import route_to\n"
            "from rdv.client import own_addresses\n"
            "print(len(own_addresses(1)))\n"
            "for to in '9.9.9.9', '2620:fe::9', '127.0.0.1', '::1':\n"
            "    print(route_to(parse_ip(to)))",
        )
        self.assertEqual(told, ["0", "None", "None", "None", "None"])
