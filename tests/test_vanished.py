"""
Peers that vanish while data is in flight to them: real programs whose packets are dropped from a
certain moment on. They have little patience.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from rdv.test.certificates import Authority
from tests import natlab
from tests.natlab import Host, Lab
from tests.natlab.case import topology
from tests.natlab.lab import PORT
from tests.processes import PYTHON, Program
from tests.servers import MEGABYTE, noise

#: More than all buffers on the path to a reader that never reads.
MUCH = noise(1, 8 * MEGABYTE)
GONE = "the other side stopped responding"
#: A target that answers each line, and a program that sends it lines and reports the answers.
TARGET = """
import socket
with socket.create_server(("127.0.0.1", 9000)) as listener:
    print("listening", flush=True)
    while True:
        sock, _ = listener.accept()
        while line := sock.recv(100):
            sock.sendall(line)
"""
CLIENT = """
import socket, sys
sock = socket.create_connection(("127.0.0.1", 9001))
for line in sys.stdin.buffer:
    sock.sendall(line)
    try:
        print(sock.recv(100), flush=True)
    except ConnectionResetError:
        print("reset", flush=True)
"""
_DROP = "type filter hook {} priority -10; policy drop;\n"


def _drop_all() -> str:
    """Rules for a host that vanishes."""
    chains = "".join(f"chain {hook} {{\n{_DROP.format(hook)}}}\n" for hook in ("input", "output"))
    return f"table inet gone {{\n{chains}}}\n"


class VanishedTestCase(TestCase):
    """
    Two hosts and a server, all public.

    :cvar module: the command.
    :cvar listen: where the server does.
    :ivar url: of the server.
    :ivar trust: the options with which a client trusts it.
    """

    module = "tests.impatient"
    listen = str(PORT)
    timeout = 60
    skip = natlab.unavailable()

    async def setUp(self) -> None:  # type: ignore[override]
        self.lab: Lab = await deferToThread(Lab, topology())
        self.addCleanup(deferToThread, self.lab.close)
        self.url = self.lab.url
        self.trust: tuple[str, ...] = ()
        server = self.rdv(self.lab.server, "serve", "-v", "-l", self.listen)
        await server.line("^LISTENING: ")

    def rdv(self, host: Host, *arguments: str, **options: Any) -> Program:
        """Start the command on that host; ``options`` are those of :class:`Program`."""
        return self.python(host, "-m", self.module, *arguments, **options)

    def python(self, host: Host, *arguments: str, **options: Any) -> Program:
        ip = shutil.which("ip")
        assert ip is not None
        inside = ("netns", "exec", host.namespace.name, PYTHON)
        return Program(self, ip, *inside, *arguments, **options)

    async def pair(self, *options: str) -> tuple[Program, Program]:
        """
        A dialer, and an acceptor to which bytes have come.

        :param options: of both.
        """
        arguments = (*options, *self.trust, self.url, "token")
        accepting = self.rdv(self.lab.acceptor, "accept", *arguments)
        dialling = self.rdv(self.lab.dialer, "dial", *arguments)
        dialling.write(b"here")
        await accepting.received(4)
        return dialling, accepting

    async def stalled_pair(self, host: Host, *options: str) -> tuple[Program, Program, int]:
        """
        A dialer with more to send than there is room for, an acceptor on ``host``, and the pipe
        from which nobody reads what has come.
        """
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        accepting = self.rdv(host, "accept", *options, self.lab.url, "stalled", stdout=writer)
        os.close(writer)
        dialling = self.rdv(self.lab.dialer, "dial", *options, self.lab.url, "stalled")
        dialling.write(MUCH)
        for program in (dialling, accepting):
            program.close_stdin()
            await program.line("CONNECTED")
        return dialling, accepting, reader

    def vanish(self, host: Host) -> None:
        """No packet leaves it any more, nor comes to it."""
        host.namespace.run("nft", "-f", "-", text=_drop_all())

    async def assert_broken(self, program: Program, why: str) -> None:
        """It ends, and says why."""
        self.assertEqual(await program.ended, 3, program.report())
        self.assertIn(f"the stream broke: {why}", program.stderr.decode())

    async def check_gone(self, said: str, path: str, *options: str, server: bool = False) -> None:
        """A peer vanishes in the middle, or the server does; what the other one says of it."""
        dialling, _ = await self.pair(*options)
        await dialling.line(f"CONNECTED: {path}")
        self.vanish(self.lab.server if server else self.lab.acceptor)
        dialling.write(b"to nobody")
        await self.assert_broken(dialling, said)


class RelayedTests(VanishedTestCase):
    """``dial`` and ``accept`` through a server."""

    async def test_peer(self) -> None:
        """It is the server that sees it, and tells the one that is left."""
        await self.check_gone("", "relay", "-r")

    async def test_server(self) -> None:
        await self.check_gone(GONE, "relay", "-r", server=True)


class DirectTests(VanishedTestCase):
    """The same without a server; and readers that stall."""

    async def test_peer(self) -> None:
        await self.check_gone(GONE, "p2p")

    async def test_without_room(self) -> None:
        """The reader stalls, then his host vanishes."""
        dialling, *_ = await self.stalled_pair(self.lab.acceptor)
        self.vanish(self.lab.acceptor)
        await self.assert_broken(dialling, GONE)

    async def check_stalled(self, *options: str) -> None:
        """
        Somebody does not read for longer than it takes to see that somebody else has vanished;
        then he reads on.
        """
        *stalled, reader = await self.stalled_pair(self.lab.server, *options)
        dialling, _ = await self.pair()
        self.vanish(self.lab.acceptor)
        dialling.write(b"to nobody")
        await self.assert_broken(dialling, GONE)
        cat = Program(self, "/bin/cat", stdin=reader)
        for program in (*stalled, cat):
            self.assertEqual(await program.ended, 0, program.report())
        self.assertTrue(cat.stdout == MUCH)

    async def test_stalled(self) -> None:
        await self.check_stalled()

    async def test_stalled_behind_the_relay(self) -> None:
        await self.check_stalled("-r")


class TLSTests(RelayedTests):
    """The server uses TLS, so nothing bypasses the transports."""

    async def setUp(self) -> None:  # type: ignore[override]
        authority = Authority()
        own, trusted = self.mktemp(), self.mktemp()
        for path, pem in ((own, authority.issue("198.51.100.1")), (trusted, authority.pem)):
            Path(path).write_bytes(pem)
        path = os.path.abspath(own)
        self.listen = f"ssl:{PORT}:privateKey={path}:certKey={path}"
        await super().setUp()
        self.url = self.url.replace("http:", "https:")
        self.trust = ("--ca", os.path.abspath(trusted))


class BlackHoleTests(VanishedTestCase):
    """
    Packets over 1300 bytes are silently dropped on the direct path to the acceptor: the handshake
    gets through, but a file does not.
    """

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        filtering = "type filter hook input priority -10;"
        dropping = f"ip saddr {self.lab.dialer.addresses[0]} meta length > 1300 drop"
        rules = f"table inet hole {{\nchain input {{\n{filtering}\n{dropping}\n}}\n}}\n"
        self.lab.acceptor.namespace.run("nft", "-f", "-", text=rules)

    async def test_from_the_start(self) -> None:
        """The relay, which is there still, takes the direct path's place."""
        self.module = "rdv"
        arguments = (self.url, "token")
        accepting = self.rdv(self.lab.acceptor, "accept", *arguments)
        dialling = self.rdv(self.lab.dialer, "dial", *arguments)
        dialling.write(MUCH)
        for program in dialling, accepting:
            program.close_stdin()
            await program.line("CONNECTED: p2p")
        for program in dialling, accepting:
            self.assertEqual(await program.ended, 0, program.report())
        self.assertTrue(accepting.stdout == MUCH)

    async def test_sender(self) -> None:
        """And its peer sees a reset, which is small."""
        dialling, accepting = await self.pair()
        await dialling.line("CONNECTED: p2p")
        dialling.write(MUCH)
        await self.assert_broken(dialling, GONE)
        await self.assert_broken(accepting, "")

    async def test_both_send(self) -> None:
        """It does not help that something comes all the time."""
        reader, writer = os.pipe()
        talk = "while echo there; do sleep 0.1; done"
        Program(self, "/bin/sh", "-c", talk, stdout=writer)
        accepting = self.rdv(self.lab.acceptor, "accept", self.lab.url, "token", stdin=reader)
        for fd in reader, writer:
            os.close(fd)
        dialling = self.rdv(self.lab.dialer, "dial", self.lab.url, "token")
        await dialling.line("CONNECTED: p2p")
        dialling.write(MUCH)
        await self.assert_broken(dialling, GONE)
        await self.assert_broken(accepting, "")


class ForwardTests(VanishedTestCase):
    async def check(self, *options: str) -> Program:
        """
        A local program speaks to a target, whose host vanishes.

        :return: who forwards what the local program says.
        """
        target = self.python(self.lab.acceptor, "-c", TARGET)
        await target.line("listening")
        peer = (self.lab.url, "token")
        self.rdv(self.lab.acceptor, "-v", "expose", *options, *peer, "9000")
        connecting = self.rdv(self.lab.dialer, "-v", "connect", *options, *peer, "-l", "9001")
        await connecting.line("LISTENING")
        client = self.python(self.lab.dialer, "-c", CLIENT)
        for _ in range(2):  # the first may still be copied
            client.write(b"here\n")
            await client.line("here")
        self.vanish(self.lab.acceptor)
        client.write(b"to nobody\n")
        await client.line("^reset$")
        return connecting

    async def test_direct(self) -> None:
        await (await self.check()).line(f"ENDED 1: .*broken: {GONE}")

    async def test_relayed(self) -> None:
        await (await self.check("-r")).line("ENDED 1: .*broken: ")
