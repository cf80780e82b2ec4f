"""
A network without a route to the internet, except through an HTTP proxy.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.natlab.case import PATIENCE, Case
from tests.natlab.lab import Host, Lab
from tests.natlab.programs import Server
from tests.natlab.topologies import TOPOLOGIES
from tests.proxies import TINYPROXY, installed

ROOT = Path(__file__).resolve().parents[2]
PORT = 3128
#: Seconds for a meeting, on a busy machine.
MEETING = 30.0


class ProxyTests(Case):
    """Both peers are in one LAN, whose router forwards nothing: tinyproxy runs there."""

    def setUp(self) -> None:
        tinyproxy = installed("tinyproxy")
        self.lab = self.build(TOPOLOGIES["lan"])
        self.server = Server(self.lab)
        for peer in (self.lab.dialer, self.lab.acceptor):
            route = peer.namespace.run("ip", "route", "show", "default").split()
            self.router = route[route.index("via") + 1]
            peer.namespace.run("ip", "route", "delete", "default")
        config = Path(self.mktemp()).absolute()
        config.write_text(TINYPROXY.format(address="0.0.0.0", port=PORT, more=""))
        argv = [tinyproxy, "-d", "-c", str(config)]
        proxy = self.lab.shared[0].popen(argv, stdout=subprocess.PIPE)
        assert proxy.stdout is not None
        for line in proxy.stdout:
            if b"Accepting connections" in line:
                break

    def start(
        self,
        host: Host,
        *words: str,
        environment: Mapping[str, str],
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[Any]:
        return host.namespace.popen(
            [sys.executable, "-m", "rdv", *words],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            text=True,
            env={**os.environ, **environment},
        )

    def meet(self, *options: str, environment: Mapping[str, str]) -> list[str]:
        """What both say of their connection."""
        lab: Lab = self.lab
        words = (lab.url, "a token")
        start = self.server.log.mark()
        acceptor = self.start(lab.acceptor, "accept", *options, *words, environment=environment)
        self.assertTrue(self.server.await_acceptor(start, PATIENCE))
        dialer = self.start(
            lab.dialer,
            "dial",
            *options,
            *words,
            environment=environment,
            stdin=subprocess.PIPE,
        )
        _, told = dialer.communicate("hello", timeout=MEETING)
        got, heard = acceptor.communicate(timeout=MEETING)
        self.assertEqual((got, dialer.returncode, acceptor.returncode), ("hello", 0, 0))
        lines = f"{told}\n{heard}".splitlines()
        said = [line for line in lines if line.startswith("CONNECTED: ")]
        self.assertEqual(len(said), 2)
        return said

    def test_meetings(self) -> None:
        """
        By the relay, and directly: the peers dial each other at their own addresses as ever,
        though the server sees both at the proxy's.
        """
        environment = {"http_proxy": f"http://{self.router}:{PORT}"}
        for line in self.meet("-r", environment=environment):
            self.assertRegex(line, rf"^CONNECTED: relay {self.router}:{PORT}, ")
        dialer, acceptor = self.meet(environment=environment)
        self.assertRegex(dialer, rf"^CONNECTED: p2p {self.lab.acceptor.addresses[0]}:")
        self.assertRegex(acceptor, rf"^CONNECTED: p2p {self.lab.dialer.addresses[0]}:")
        # And if there is none, or it is not for this server:
        excepted = {**environment, "no_proxy": "198.51.100.0/24"}
        words = ("dial", self.lab.url, "a token")
        programs = [
            self.start(self.lab.dialer, *words, environment=each) for each in ({}, excepted)
        ]
        for program in programs:
            _, stderr = program.communicate(timeout=MEETING)
            self.assertEqual(program.returncode, 1, stderr)
            self.assertIn(f"cannot reach {self.lab.url}: network is unreachable", stderr)
