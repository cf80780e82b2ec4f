"""
Meetings in the laboratory, its command line, and what is left when it is killed.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests import natlab
from tests.natlab.case import Case, topology
from tests.natlab.model import Proxy, Server
from tests.natlab.programs import AgentPeer
from tests.natlab.programs import Server as ServerProgram
from tests.plain_client import PlainPeer

ROOT = Path(__file__).resolve().parents[2]


class MeetingTests(SynchronousTestCase):
    skip = natlab.unavailable()

    def check(self, path: str, results: list[natlab.Result]) -> None:
        for result in results:
            self.assertEqual((result.path, result.ok), (path, True), result.line())
            for report in result.dialer, result.acceptor:
                self.assertEqual(report.is_relay, path == "relay")
            self.assertFalse(result.half_dead)

    def test_direct(self) -> None:
        """Nothing is left of one meeting in the next."""
        results = natlab.meet("silent", runs=3)
        self.check("direct", results)
        for result in results:
            self.assertRegex(result.dialer.peer, r"^192\.0\.2\.1:")
            self.assertRegex(result.acceptor.peer, r"^203\.0\.113\.1:")
            self.assertEqual(result.dialer_counters["syn_server"], 1)
            self.assertEqual(result.dialer_counters["data_out_server"], 0)

    def test_counted(self) -> None:
        """What the peers sent before does not count."""
        with natlab.Meetings(topology()) as meetings:
            lab = meetings.lab
            for _ in range(100):
                with lab.dialer.namespace.entered(), socket.socket() as sock:
                    sock.connect_ex((lab.acceptor.addresses[0], 9999))
            self.assertLess(meetings.meet().dialer_counters["syn_other"], 100)

    def test_interrupted(self) -> None:
        """Nobody has to wait for a peer that waits for the other."""
        meetings = natlab.Meetings(topology())
        self.addCleanup(meetings.close)

        def interrupt(start: int) -> bool:
            raise KeyboardInterrupt

        self.patch(meetings.server, "await_acceptor", interrupt)
        self.assertRaises(KeyboardInterrupt, meetings.meet)
        self.assertFalse(meetings.lab.acceptor.namespace.path.exists())

    def test_relay(self) -> None:
        """As the programs are told, or because there is no other way."""
        spaces = {"spaces": ["none"]}
        results = natlab.meet("public", dialer_options=spaces, acceptor_options=spaces)
        self.check("relay", results)
        self.check("relay", natlab.meet("no-path", dialer_options={"penalty": 0.1}))

    def test_distance(self) -> None:
        """No byte is faster than the internet: to the server, back twice, and from the peer."""
        for result in natlab.meet("public", natlab.Conditions.named("20")):
            self.assertGreaterEqual(result.seconds or 0, 0.06)

    def test_plain(self) -> None:
        """Each program can be a plain one."""
        for dialer, acceptor, server in (
            ("plain", "plain", "plain"),
            ("plain", "rdv", "rdv"),
            ("rdv", "plain", "rdv"),
        ):
            results = natlab.meet("public", dialer=dialer, acceptor=acceptor, server=server)
            self.check("direct", results)

    def test_hidden(self) -> None:
        """
        What the server believes to be its clients' addresses, behind each kind of proxy. What is
        relayed goes through the proxy, with its end.
        """
        for proxy, expected in (
            (None, r"from 203\.0\.113\.1:"),
            (Proxy.LOOPBACK, r"from 127\.0\.0\.1:"),
            (Proxy.PUBLIC, r"from 198\.51\.100\.1:"),
            (Proxy.UNKNOWN, r"from unknown,"),
        ):
            plan = topology(server=Server(proxy=proxy))
            with natlab.Meetings(plan, dialer_options={"spaces": ["none"]}) as meetings:
                self.check("relay", [meetings.meet()])
                found = meetings.server.log.find(r"dialer .*" + expected, 5)
                self.assertIsNotNone(found, meetings.server.log.text())


class AgentTests(Case):
    """What an agent reports of a meeting that fails."""

    def start(self) -> tuple[natlab.Lab, AgentPeer]:
        lab = self.build(topology())
        ServerProgram(lab)
        return lab, AgentPeer(lab.dialer)

    def test_nobody_comes(self) -> None:
        lab, agent = self.start()
        report = agent.meet("dial", lab.url, "token", 0.2, 5)
        self.assertRegex(report.error, "^AttemptTimeout: ")
        self.assertIsNone(report.connected)
        self.assertFalse(report.half_dead)

    def test_half_dead(self) -> None:
        """A connection without a byte is seen, and the agent goes on with the next."""
        lab, agent = self.start()
        silent = PlainPeer(is_dialer=False, url=lab.url, token=b"token")

        def accept() -> object:
            with lab.acceptor.namespace.entered():
                return asyncio.run(silent.connect()).sock

        for _ in range(2):
            with ThreadPoolExecutor(1) as pool:
                accepting = pool.submit(accept)
                report = agent.meet("dial", lab.url, "token", 20, 0.2)
                self.addCleanup(accepting.result().close)  # type: ignore[attr-defined]
            self.assertTrue(report.half_dead)
            self.assertFalse(report.complete)
            self.assertEqual(report.error, "nothing more came for 0.2 s, after 0 messages")


class KilledTests(SynchronousTestCase):
    """A laboratory whose process is killed."""

    skip = natlab.unavailable()

    def test_killed(self) -> None:
        """What it leaves, programs too, the next one removes."""
        program = (
            "import sys, time; from tests import natlab;"
            "lab = natlab.Lab(natlab.TOPOLOGIES['v6-firewall']);"
            "sleeper = lab.dialer.namespace.popen(['sleep', '1000'], stdout=-3, stderr=-3);"
            "print(sleeper.pid, flush=True); time.sleep(1000)"
        )
        argv = [sys.executable, "-c", program]
        with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            self.addCleanup(process.kill)
            assert process.stdout is not None
            sleeper = Path("/proc", process.stdout.readline().strip())
            process.kill()
        namespaces = f"natlab{process.pid}-*"
        self.assertEqual(len([*Path("/run/netns").glob(namespaces)]), 6)
        self.assertTrue(sleeper.exists())
        natlab.Lab(topology()).close()
        self.assertEqual([*Path("/run/netns").glob(namespaces)], [])
        self.assertEqual([*Path("/etc/netns").glob(f"natlab{process.pid}-*")], [])
        # The process that inherits it may not have noticed yet.
        stat = (sleeper / "stat").read_text().split()[2] if sleeper.exists() else "Z"
        self.assertEqual(stat, "Z")
