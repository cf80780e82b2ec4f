"""
Silent connections through NATs that forget them after four seconds. Keepalive comes sooner: for a
direct connection, for a relayed one, and for a client that waits for a peer.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.natlab.case import PATIENCE, Case
from tests.natlab.lab import Host
from tests.natlab.programs import Server
from tests.natlab.topologies import TOPOLOGIES

ROOT = Path(__file__).resolve().parents[2]
#: The command, with a keepalive for such NATs.
WAKEFUL = """
import sys
from rdv._system import sockets
from rdv.commands.cli import main
sockets.KEEPALIVE_IDLE = sockets.KEEPALIVE_INTERVAL = 1
sys.exit(main())
"""
#: Do not pick up a forgotten connection in the middle, as Linux does by default.
FORGETFUL = {"timeout_established": "4", "loose": "0"}
#: Seconds for programs to start and to connect, on a busy machine.
STARTED = 30.0
#: Where a connection without keepalive goes to.
CONTROL = 9000


class IdleTests(Case):
    def setUp(self) -> None:
        self.lab = self.build(TOPOLOGIES["silent"])
        self.router = self.lab.dialer.boxes[0]
        for router in (self.router, self.lab.acceptor.boxes[0]):
            for name, value in FORGETFUL.items():
                path = f"/proc/sys/net/netfilter/nf_conntrack_tcp_{name}"
                router.run("tee", path, text=value)
        self.server = Server(self.lab)

    def start(self, host: Host, *words: str) -> subprocess.Popen[bytes]:
        return host.namespace.popen(
            [sys.executable, "-c", WAKEFUL, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd=ROOT,
        )

    def accept(self, *options: str, token: str) -> subprocess.Popen[bytes]:
        """One that is in the lobby."""
        start = self.server.log.mark()
        acceptor = self.start(self.lab.acceptor, "accept", *options, self.lab.url, token)
        self.assertTrue(self.server.await_acceptor(start, STARTED))
        return acceptor

    def dial(self, *options: str, token: str) -> subprocess.Popen[bytes]:
        return self.start(self.lab.dialer, "dial", *options, self.lab.url, token)

    def say(self, source: Any, target: Any, text: bytes) -> None:
        """What one gets, the other has."""
        source.stdin.write(text)
        ready, _, _ = select.select([target.stdout], [], [], STARTED)
        self.assertTrue(ready, text)
        self.assertEqual(os.read(target.stdout.fileno(), 100), text)

    def wait_until_forgotten(self) -> None:
        """Long enough for a connection that says nothing from now on."""
        listener = self.listen(self.lab.server, CONTROL)
        control = self.open(self.lab.dialer)
        control.connect((self.lab.server.addresses[0], CONTROL))
        accepted, _ = listener.accept()  # this one stays open
        self.addCleanup(accepted.close)
        end = time.monotonic() + PATIENCE
        while f"dport={CONTROL}" in self.router.run("cat", "/proc/net/nf_conntrack"):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_kept(self) -> None:
        ways = ((), "a token"), (("-r",), "another")
        pairs = []
        for options, token in ways:
            acceptor = self.accept(*options, token=token)
            pairs.append((self.dial(*options, token=token), acceptor))
        waiting = self.accept("-r", token="a third")
        for dialer, acceptor in pairs:
            self.say(dialer, acceptor, b"one")
        self.wait_until_forgotten()
        for dialer, acceptor in pairs:
            self.say(acceptor, dialer, b"two")
            self.say(dialer, acceptor, b"three")
        self.say(self.dial("-r", token="a third"), waiting, b"one")
