"""
``rdv check`` in the laboratory: on the dialer's host, it reports the truth about its network.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from subprocess import PIPE
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests import natlab
from tests.natlab import TOPOLOGIES, Conditions, Lab
from tests.natlab.case import topology
from tests.natlab.model import Box, Site, Topology
from tests.natlab.programs import Server

#: Seconds for the command, which promises to end in 15 and a little.
PATIENCE = 60.0
TWO_PORTS = ("-l", "8090")


class _Checked:
    """What the command reported."""

    def __init__(self, status: int, described: dict[str, Any]) -> None:
        self.status = status
        self.verdict = described["verdict"]
        self.text = described["text"]
        self.advice = [each["key"] for each in described["advice"]]
        self.texts = {each["key"]: each["text"] for each in described["findings"]}
        self.seen = described["observations"]


class NetworkTestCase(TestCase):
    """Runs the command on the dialer's host of a laboratory, in a thread."""

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
        """
        :param server: options for its command line; None for no server at all.
        :param delay: in milliseconds between the peers, the server halfway.
        :param options: for the command.
        """
        network = TOPOLOGIES[plan] if isinstance(plan, str) else plan

        def run() -> _Checked:
            with Lab(network, Conditions.named(delay, seed=1) if delay else None) as lab:
                if server is not None:
                    Server(lab, "rdv", server)
                command = ("rdv", "check", "--json", "--no-throughput", url(lab), *options)
                program = lab.dialer.namespace.fork(*command, stderr=PIPE)
                status = program.wait(PATIENCE)  # all its output fits into a pipe
                assert program.stdout is not None
                assert program.stderr is not None
                stdout, stderr = program.stdout.read(), program.stderr.read()
            if not stdout:
                raise AssertionError(f"exit {status}: {stderr.decode()}")
            return _Checked(status, json.loads(stdout))

        return deferToThread(run)


#: Networks; a plus is for a server with two ports. Then the verdict, the advice, some findings.
CASES = """
public+              no-nat             -                          no-nat stray-untold no-ipv6
firewall             no-nat             -                          no-nat stray-untold
v6-only              no-nat             -                          no-nat no-ipv4
lan-server           same-network       -                          no-nat
silent+              nat-keeps-ports    ipv6                       ports-kept mapping-same
reset                nat-keeps-ports    ipv6 second-port           ports-kept mapping-untold
prohibited           nat-keeps-ports    ipv6 second-port           stray-refused
lan-hairpin          nat-keeps-ports    ipv6 second-port           hairpin
random+              nat-random         ipv6 forward               ports-changed mapping-differs
random               nat-changes-ports  ipv6 forward second-port   ports-changed mapping-untold
sequential+          nat-sequential     ipv6                       ports-sequential mapping-differs
double+              nat-keeps-ports    ipv6                       nat mapping-same stray-silent
carrier              nat-keeps-ports    ipv6 second-port           nat carrier
v6-firewall+         nat-random         peers-ipv6 forward         ports-changed
no-path+             perhaps-filtered   allow-ports ipv6           second-port stray-silent
no-path-prohibited+  perhaps-filtered   allow-ports ipv6           second-port stray-refused
proxy-nat            hidden             tell-server                hidden ports-untold stray-untold
proxy-wrong-nat      perhaps-hidden     tell-server                perhaps-hidden ports-untold
proxy-unknown-public  hidden            tell-server                untold
"""
#: A finding in a network, or its verdict, and a part of its text.
TEXTS = {
    "public+": ("no-nat", "203.0.113.1"),
    "v6-only": ("server-reached", "over IPv6"),
    "silent+": ("stray-silent", "dropped"),
    "reset": ("stray-refused", "connection refused"),
    "prohibited": ("stray-refused", "no route to host"),
    "sequential+": ("ports-sequential", "each 1 above the last"),
    "v6-firewall+": ("verdict", "Over IPv6, which works here"),
    "proxy-unknown-public": ("verdict", "direct connections go to 203.0.113.1."),
}
#: A customer of a carrier, without a router.
CARRIER = topology(acceptor=Site((Box(),)), shared=(Box(),))


class EveryNetworkTests(NetworkTestCase):
    """Peers can be served, and the report on the network is true."""

    async def says(self, name: str, verdict: str, advice: str, found: str) -> None:
        plan = CARRIER if name == "carrier" else name.rstrip("+")
        # With some distance the order of the connections is that of their ports.
        delay = "20" if name == "sequential+" else None
        checked = await self.check(plan, TWO_PORTS if name[-1] == "+" else (), delay=delay)
        self.assertEqual((checked.verdict, checked.status), (verdict, 0), checked.texts)
        expected = {"server-reached", "relay", "direct", *found.split()}
        self.assertLessEqual(expected, set(checked.texts))
        self.assertEqual(" ".join(checked.advice) or "-", advice)
        self.assertEqual(checked.seen["late"], [])
        key, text = TEXTS.get(name, ("verdict", "."))
        self.assertIn(text, {**checked.texts, "verdict": checked.text}[key])


for line in CASES.strip().splitlines():
    case = re.split(" {2,}", line)
    name = re.sub(r"\W", "_", case[0].replace("+", "_two_ports"))
    setattr(EveryNetworkTests, f"test_{name}", lambda self, case=case: self.says(*case))


class FarTests(NetworkTestCase):
    """A distant server."""

    async def test_far(self) -> None:
        """A round trip takes 0.8 s, and so there is no time for everything."""
        checked = await self.check("silent", delay="800")
        self.assertEqual((checked.verdict, checked.status), ("nat-keeps-ports", 0), checked.texts)
        self.assertNotIn("relay-failed", checked.texts)

    async def test_too_far(self) -> None:
        """The time ends in the first meeting: nothing is said against the server."""
        checked = await self.check("silent", delay="200", options=("--timeout", "1"))
        self.assertEqual((checked.verdict, checked.status), ("no-time", 1), checked.texts)
        self.assertIn("relayed connections", checked.seen["late"])
        self.assertEqual([f for f in checked.texts if f.startswith("server-")], ["server-reached"])


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
