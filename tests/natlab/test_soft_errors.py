"""
ICMP errors in the middle of a stream: TCP survives them, and so does the stream.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from rdv import Secret
from rdv.test.certificates import Authority
from tests.natlab.case import PATIENCE, Case, topology
from tests.natlab.lab import Host
from tests.natlab.namespaces import Namespace
from tests.natlab.programs import Server
from tests.servers import MEGABYTE, noise

ROOT = Path(__file__).resolve().parents[2]
CONTENT = noise(8, 16 * MEGABYTE)
#: Where the server is.
SERVER = "198.51.100.1"
#: Seconds of errors that are enough for everything that checks from time to time.
LONG_ENOUGH = 0.7

REJECTED = """
table inet soft {
  chain forward {
    type filter hook forward priority 0;
    meta l4proto tcp reject with icmp type host-unreachable
  }
}
"""


def rejected(core: Namespace) -> Callable[[], object]:
    """Somebody between refuses every packet."""
    core.run("nft", "-f", "-", text=REJECTED)
    return lambda: core.run("nft", "delete", "table", "inet", "soft")


def unplugged(core: Namespace) -> Callable[[], object]:
    """The router before the acceptor has lost its link."""
    route = core.run("ip", "route", "show", "dev", "site2").strip().splitlines()
    core.run("ip", "route", "replace", "unreachable", "default")
    core.run("ip", "link", "set", "site2", "down")

    def plugged() -> None:
        core.run("ip", "link", "set", "site2", "up")
        for line in route:
            core.run("ip", "route", "replace", *line.split(), "dev", "site2", "onlink")

    return plugged


class SoftErrorTests(Case):
    """
    A file transfer; after a part of it, nothing gets through, and each attempt is answered by an
    ICMP error.
    """

    def start(self, host: Host, *arguments: str, stdin: int) -> subprocess.Popen[bytes]:
        """One of the two commands."""
        argv = [sys.executable, "-m", "rdv", *arguments]
        # Its output is also read from the descriptor, which would miss data in a buffer.
        return host.namespace.popen(
            argv,
            bufsize=0,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )

    def opened(self, path: str, content: bytes | None = None) -> int:
        """A descriptor to read from."""
        if content is not None:
            Path(path).write_bytes(content)
        fd = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, fd)
        return fd

    def check(
        self,
        cut: Callable[[Namespace], Callable[[], object]],
        *options: str,
        answer: bytes = b"",
        token: str = "a token",
        served: Sequence[str] = (),
        tls_port: int = 0,
    ) -> None:
        """
        The file is whole, and both end with 0.

        :param served: options of the server.
        :param tls_port: where it speaks TLS, if the peers are to come by that.
        """
        lab = self.build(topology())
        core = lab.internet.core
        assert core is not None
        with core.entered():
            Path("/proc/sys/net/ipv4/icmp_ratelimit").write_text("0")
        server = Server(lab, options=served)
        server_url = f"https://{lab.server.addresses[0]}:{tls_port}/" if tls_port else lab.url
        url = (*options, server_url, token)
        input_ = self.opened(self.mktemp(), answer)
        acceptor = self.start(lab.acceptor, "accept", *url, stdin=input_)
        self.assertTrue(server.await_acceptor(0, PATIENCE))
        dialer = self.start(lab.dialer, "dial", *url, stdin=self.opened(self.mktemp(), CONTENT))
        assert acceptor.stdout is not None
        received = sha256(acceptor.stdout.read(MEGABYTE))
        sender = lab.server if "-r" in options else lab.dialer
        errors = self.open(sender, kind=socket.SOCK_RAW, protocol=socket.IPPROTO_ICMP)
        mend = cut(core)
        self.await_errors(errors, acceptor.stdout.fileno(), received.update)
        mend()
        while data := acceptor.stdout.read(MEGABYTE):
            received.update(data)
        self.assertEqual((acceptor.wait(PATIENCE), dialer.wait(PATIENCE)), (0, 0))
        self.assertEqual(received.hexdigest(), sha256(CONTENT).hexdigest())

    def await_errors(
        self, errors: socket.socket, output: int, update: Callable[[bytes], object]
    ) -> None:
        """Read what still comes, so that the sender goes on, until there were errors for a time."""
        until = None
        while until is None or time.monotonic() < until:
            ready, _, _ = select.select([errors.fileno(), output], [], [], PATIENCE)
            self.assertTrue(ready)
            if output in ready:
                update(os.read(output, MEGABYTE))
            if errors.fileno() in ready:
                errors.recv(1 << 16)
                until = until or time.monotonic() + LONG_ENOUGH

    def test_rejected(self) -> None:
        self.check(rejected)

    def test_rejected_on_the_way_to_the_server(self) -> None:
        self.check(rejected, "-r")

    def test_rejected_on_the_way_to_workers(self) -> None:
        self.check(rejected, "-r", served=("--workers", "2"))

    def test_rejected_and_tls(self) -> None:
        """The same where the server speaks TLS."""
        authority = Authority()
        files = []
        for content in (authority.pem, authority.issue(SERVER)):
            files.append(Path(self.mktemp()).absolute())
            files[-1].write_bytes(content)
        ca, pem = files
        served = ("-l", f"ssl:8443:privateKey={pem}:certKey={pem}")
        self.check(rejected, "-r", "--ca", str(ca), served=served, tls_port=8443)

    def test_rejected_and_secured(self) -> None:
        """The same with records, on either path."""
        for options in ((), ("-r",)):
            self.check(rejected, *options, token=Secret.generate().reveal())

    def test_rejected_while_the_sender_looks(self) -> None:
        """The peer has ended its own direction, so only a look tells whether it is there."""
        self.check(rejected, "--json", answer=b"x")

    def test_unplugged(self) -> None:
        self.check(unplugged, answer=b"x")
