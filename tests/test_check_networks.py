"""
``rdv check`` in the laboratory: on the dialer's host it says the true thing of its network.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests import natlab
from tests.natlab import TOPOLOGIES, Conditions, Lab
from tests.natlab.case import topology
from tests.natlab.model import Box, Site, Topology
from tests.natlab.programs import Server
from tests.processes import ROOT

#: Seconds for the command, which promises to end in 15 and a little.
PATIENCE = 60.0
TWO_PORTS = ("-l", "8090")


class _Checked:
    """
    What the command said.

    :ivar keys: of its findings.
    """

    def __init__(self, status: int, described: dict[str, Any]) -> None:
        self.status = status
        self.verdict = described["verdict"]
        self.text = described["text"]
        self.advice = [each["key"] for each in described["advice"]]
        self.texts = {each["key"]: each["text"] for each in described["findings"]}
        self.keys = set(self.texts)
        self.seen = described["observations"]

    def ports(self) -> list[tuple[int, int]]:
        """The local ports, and what was observed of them."""
        sightings = [each for meeting in self.seen["relayed"] for each in meeting["sightings"]]
        return [(s["local_port"], int(s["observed"].rpartition(":")[2])) for s in sightings]


def run(
    plan: Topology,
    delay: str | None,
    server: Sequence[str] | None,
    url: Callable[[Lab], str],
    options: Sequence[str] = (),
) -> _Checked:
    """
    Build a laboratory, run the command on the dialer's host, and remove it. Blocks.

    :param delay: in milliseconds between the peers, the server halfway.
    :param server: options for its command line; None for no server at all.
    :param options: for the command.
    """
    with Lab(plan, None if delay is None else Conditions.named(delay, seed=1)) as lab:
        if server is not None:
            Server(lab, "rdv", server)
        command = [sys.executable, "-m", "rdv", "check", "--json", "--no-throughput", url(lab)]
        command += options
        program = lab.dialer.namespace.popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
        )
        stdout, stderr = program.communicate(timeout=PATIENCE)
        if not stdout:
            raise AssertionError(f"exit {program.returncode}: {stderr.decode()}")
        return _Checked(program.returncode, json.loads(stdout))


class NetworkTestCase(TestCase):
    """Runs the command in a thread."""

    timeout = 120
    skip = natlab.unavailable()

    def check(
        self,
        plan: str | Topology,
        server: Sequence[str] | None = (),
        *,
        delay: str | None = None,
        url: Callable[[Lab], str] = lambda lab: lab.url,
        options: Sequence[str] = (),
    ) -> Deferred[_Checked]:
        found = TOPOLOGIES[plan] if isinstance(plan, str) else plan
        return deferToThread(run, found, delay, server, url, options)

    def assert_good(self, checked: _Checked, verdict: str, *keys: str) -> None:
        """Peers can be served, that is the kind of network, and this was found among others."""
        self.assertEqual((checked.verdict, checked.status), (verdict, 0), checked.texts)
        self.assertLessEqual({"server-reached", "relay", "direct", *keys}, checked.keys)
        self.assertEqual(checked.seen["late"], [])


class OpenTests(NetworkTestCase):
    """No NAT."""

    async def test_public(self) -> None:
        checked = await self.check("public", TWO_PORTS)
        self.assert_good(checked, "no-nat", "no-nat", "stray-untold", "no-ipv6")
        self.assertIn("203.0.113.1", checked.texts["no-nat"])
        self.assertEqual(checked.seen["stray"], None)
        self.assertEqual(checked.advice, [])

    async def test_firewall(self) -> None:
        """It leaves addresses alone, and cannot be seen from inside."""
        checked = await self.check("firewall")
        self.assert_good(checked, "no-nat", "no-nat", "stray-untold")
        self.assertIn("Cannot tell from inside whether there is a firewall.", checked.text)

    async def test_ipv6_only(self) -> None:
        checked = await self.check("v6-only")
        self.assert_good(checked, "no-nat", "no-nat", "no-ipv4")
        self.assertIn("over IPv6", checked.texts["server-reached"])

    async def test_server_in_the_lan(self) -> None:
        checked = await self.check("lan-server")
        self.assert_good(checked, "same-network", "no-nat")


class NatTests(NetworkTestCase):
    """One or more NATs."""

    async def test_silent(self) -> None:
        """It keeps ports, and drops what nobody asked for."""
        checked = await self.check("silent", TWO_PORTS)
        self.assert_good(
            checked, "nat-keeps-ports", "nat", "ports-kept", "mapping-same", "stray-silent"
        )
        self.assertEqual([local for local, _ in checked.ports()], [p for _, p in checked.ports()])

    async def test_reset(self) -> None:
        """It refuses that. The server has no second port."""
        checked = await self.check("reset")
        self.assert_good(
            checked, "nat-keeps-ports", "ports-kept", "mapping-untold", "stray-refused"
        )
        self.assertIn("connection refused", checked.texts["stray-refused"])
        self.assertIn("Cannot tell whether its mapping", checked.text)
        self.assertIn("second-port", checked.advice)

    async def test_prohibited(self) -> None:
        """It refuses that by ICMP."""
        checked = await self.check("prohibited")
        self.assert_good(checked, "nat-keeps-ports", "stray-refused")
        self.assertIn("no route to host", checked.texts["stray-refused"])

    async def test_hairpin(self) -> None:
        checked = await self.check("lan-hairpin")
        self.assert_good(checked, "nat-keeps-ports", "hairpin")

    async def test_random(self) -> None:
        """Another port for each destination."""
        checked = await self.check("random", TWO_PORTS)
        self.assert_good(checked, "nat-random", "nat", "ports-changed", "mapping-differs")
        self.assertEqual(checked.advice, ["ipv6", "forward"])

    async def test_random_with_one_server_port(self) -> None:
        """Then that is not known."""
        checked = await self.check("random")
        self.assert_good(checked, "nat-changes-ports", "ports-changed", "mapping-untold")

    async def test_sequential(self) -> None:
        """With some distance, so that the order of the connections is that of their ports."""
        checked = await self.check("sequential", TWO_PORTS, delay="20")
        self.assert_good(checked, "nat-sequential", "ports-sequential", "mapping-differs")
        self.assertIn("each 1 above the last", checked.texts["ports-sequential"])

    async def test_double(self) -> None:
        """How many there are is not seen."""
        checked = await self.check("double", TWO_PORTS)
        self.assert_good(checked, "nat-keeps-ports", "nat", "mapping-same", "stray-silent")
        self.assertIn("a NAT, or several", checked.texts["nat"])

    async def test_carrier(self) -> None:
        """A customer without a router."""
        plan = topology(acceptor=Site((Box(),)), shared=(Box(),))
        checked = await self.check(plan)
        self.assert_good(checked, "nat-keeps-ports", "nat", "carrier")
        self.assertTrue(checked.seen["own"][0]["address"].startswith("100.64."))

    async def test_ipv6_beside(self) -> None:
        """IPv4 behind random ports, but IPv6 without a NAT."""
        checked = await self.check("v6-firewall", TWO_PORTS)
        self.assert_good(checked, "nat-random", "ports-changed")
        self.assertIn("Over IPv6, which works here", checked.text)
        self.assertIn("peers-ipv6", checked.advice)
        self.assertNotIn("no-ipv6", checked.keys)

    async def test_filter(self) -> None:
        """Only one port of the server can be reached, and nothing else at all."""
        for name, stray in (("no-path", "stray-silent"), ("no-path-prohibited", "stray-refused")):
            checked = await self.check(name, TWO_PORTS)
            self.assert_good(checked, "perhaps-filtered", "second-port", stray)
            self.assertIn("allow-ports", checked.advice)


class FarTests(NetworkTestCase):
    """A long way to the server."""

    async def test_far(self) -> None:
        """A round trip takes 0.8 s, and so there is no time for everything."""
        checked = await self.check("silent", delay="800")
        self.assertEqual((checked.verdict, checked.status), ("nat-keeps-ports", 0), checked.texts)
        self.assertNotIn("relay-failed", checked.keys)

    async def test_too_far(self) -> None:
        """The time ends in the first meeting: nothing is said against the server."""
        checked = await self.check("silent", delay="200", options=("--timeout", "1"))
        self.assertEqual((checked.verdict, checked.status), ("no-time", 1), checked.texts)
        self.assertIn("relayed connections", checked.seen["late"])
        self.assertEqual([f for f in checked.keys if f.startswith("server-")], ["server-reached"])


class ProxyTests(NetworkTestCase):
    """A proxy hides clients from the server."""

    async def test_on_its_host(self) -> None:
        checked = await self.check("proxy-nat")
        self.assert_good(checked, "hidden", "hidden", "ports-untold", "stray-untold")
        self.assertIn("peers elsewhere get the relay.", checked.text)
        self.assertEqual(checked.advice, ["tell-server"])

    async def test_public(self) -> None:
        """With the server's own address: nearly certain."""
        checked = await self.check("proxy-wrong-nat")
        self.assert_good(checked, "perhaps-hidden", "perhaps-hidden", "ports-untold")

    async def test_known(self) -> None:
        """The server says nothing, but the host is public."""
        checked = await self.check("proxy-unknown-public")
        self.assert_good(checked, "hidden", "untold")
        self.assertIn("direct connections go to 203.0.113.1.", checked.text)


class NoServerTests(NetworkTestCase):
    """The server cannot be reached."""

    async def unreachable(self, why: str, **options: Any) -> None:
        checked = await self.check("silent", None, **options)
        self.assertEqual((checked.verdict, checked.status), ("unreachable", 1))
        self.assertIn(why, checked.texts["server-unreachable"])
        self.assertEqual(checked.advice, ["check-server"])

    async def test_nobody_listens(self) -> None:
        await self.unreachable("connection refused")

    async def test_no_answer(self) -> None:
        """An address of nobody."""
        other = re.compile(r"\.1:")
        await self.unreachable("no answer in time", url=lambda lab: other.sub(".77:", lab.url))
