"""
README, and the pages on client and server, do what they say: each of their blocks is run, with a
server on this host in place of example.com. This module has the commands; the pieces of Python are
in ``test_readme_python``.
"""

from __future__ import annotations

from random import Random

from twisted.internet.defer import gatherResults
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo
from twisted.trial.unittest import TestCase

from rdv.test.certificates import CertificateFiles
from tests import test_readme_python
from tests.documents import (
    REACTOR,
    SECRET,
    Shell,
    listening_port,
    made_by,
    raw_request,
    replaced,
    runs,
    shape,
)
from tests.processes import PYTHON, Program
from tests.proxies import start_nginx
from tests.talker import talk_to

README = test_readme_python.README
SERVER = test_readme_python.SERVER
CLIENT = test_readme_python.CLIENT
EXAMPLE = "http://example.com:8080"
LISTEN = ("8080", "127.0.0.1:0")
ROLES = ("accept", "dial")


class ShellTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.shell = Shell(self)

    async def start_server(self, command: str, *changes: tuple[str, str]) -> None:
        """Start a server as README does, but on a free port of this host."""
        self.port = await listening_port(self.shell.start(replaced(command, *changes)))

    @property
    def here(self) -> tuple[str, str]:
        """Replaces the server of README by that of the test."""
        return EXAMPLE, f"http://127.0.0.1:{self.port}"

    def client(self, command: str, *changes: tuple[str, str]) -> Program:
        """Start a client as README does, but for the addresses."""
        role = "dial" if "dial" in command else "accept"
        here = self.here, (role, f"{role} --spaces loopback")
        return self.shell.start(replaced(command, *here, *changes))

    @runs(README, "rdv demo", "server: http")
    async def test_demo(self, command: str, output: str) -> None:
        """
        The first command. That pip installs the package is not for a test to try, as it needs the
        network; CI does.
        """
        install, demo = command.split(" && ")
        self.assertEqual(install, "pip install .")
        program = self.shell.start(demo)
        self.assertEqual(await program.ended, 0, program.report())
        self.assertEqual(shape(program.stderr.decode()), shape(output))
        self.assertEqual(program.stdout, b"")

    @runs(README, "trial rdv tests")
    async def test_test_command(self, command: str) -> None:
        """The second command is the one that CI runs, and this test is run by it."""
        program = Program(self, PYTHON, "-B", ".ci/readme_command.py", README)
        self.assertEqual(await program.ended, 0, program.report())
        self.assertEqual(program.stdout.decode().strip(), command)
        self.assertIn("trial rdv tests", command)

    @runs(
        README,
        "twist rdv --port 8080",
        "rdv accept http://example.com:8080",
        "On the other side",
        "CONNECTED",
    )
    async def test_chat(self, serve: str, accept: str, other_side: str, connected: str) -> None:
        """
        One client says what to run elsewhere. Then both say how they are connected, and what each
        is told to say comes out there.
        """
        await self.start_server(serve, LISTEN)
        acceptor = self.client(accept)
        secret = SECRET, await made_by(acceptor)
        said = await acceptor.line("^On the other side: .*")
        as_here = self.here, secret, ("dial", "dial --spaces loopback")
        self.assertEqual(said[0], replaced(other_side, *as_here))
        # On a busy host it would begin on the relay.
        dialer = self.client(other_side.partition(": ")[2], secret, ("rdv ", "rdv --no-move "))
        for program, other in ((acceptor, dialer), (dialer, acceptor)):
            said = await program.line("^CONNECTED.*")
            self.assertEqual(shape(said[0]), shape(connected))
            other.write(b"hello\n")
            self.assertEqual(await program.received(6), b"hello\n")
        acceptor.close_stdin()
        dialer.close_stdin()
        self.assertEqual([await acceptor.ended, await dialer.ended], [0, 0], dialer.report())

    @runs(README, "received.tar", "photos.tar")
    async def test_file(self, receive: str, send: str) -> None:
        """A file arrives as it was, through the relay too when that is asked for."""
        content = Random(11).randbytes(3 << 20)
        (self.shell.folder / "photos.tar").write_bytes(content)
        await self.start_server("rdv serve -v -l 127.0.0.1:0")
        for option, path in ((" --no-move", "p2p"), (" -r", "relay")):
            acceptor = self.client(receive, (" <", f"{option} <"))
            dialer = self.client(send, (SECRET, await made_by(acceptor)), (" <", f"{option} <"))
            self.assertEqual([await acceptor.ended, await dialer.ended], [0, 0])
            await dialer.line(f"^CONNECTED: {path} ")
            self.assertEqual((self.shell.folder / "received.tar").read_bytes(), content)

    @runs(README, "rdv expose", "rdv connect")
    async def test_forwarding(self, expose: str, connect: str) -> None:
        """A server on this host is reached at another port of this host."""
        await self.start_server("rdv serve -v -l 127.0.0.1:0")
        target = REACTOR.listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
        self.addCleanup(target.stopListening)
        here = (EXAMPLE, f"--spaces loopback http://127.0.0.1:{self.port}")
        place = ("127.0.0.1:5432", f"127.0.0.1:{target.getHost().port}")
        exposing = self.shell.start(replaced(expose, here, place))
        secret = (SECRET, await made_by(exposing))
        await exposing.line("^WAITING: ")
        listen = ("--listen 5432", "--listen 0")
        connecting = self.shell.start(replaced(connect, here, secret, listen))
        port = int((await connecting.line(r"^LISTENING: 127\.0\.0\.1:(\d+)$"))[1])
        for _ in range(2):
            raw = await talk_to(self, port)
            raw.write(b"hello\r\n\r\n")
            self.assertEqual(await raw.head(), b"hello\r\n\r\n")

    @runs(README, "rdv check")
    async def test_check(self, check: str) -> None:
        await self.start_server("rdv serve -v -l 127.0.0.1:0")
        program = self.shell.start(replaced(check, (EXAMPLE, f"http://127.0.0.1:{self.port}")))
        self.assertEqual(await program.ended, 0, program.report())
        self.assertIn(b"on this host", program.stdout)

    @runs(README, "--explain ")
    async def test_explain(self, dial: str) -> None:
        """The picture has a row for the relay, and the connection goes on."""
        await self.start_server("rdv serve -v -l 127.0.0.1:0")
        acceptor = self.client(f"echo hello | rdv accept {EXAMPLE}")
        dialer = self.client(f"{dial} </dev/null", (SECRET, await made_by(acceptor)))
        await dialer.line("^relay ")
        self.assertEqual([await acceptor.ended, await dialer.ended], [0, 0])

    @runs(SERVER, "--tls 8443")
    async def test_tls(self, serve: str) -> None:
        """A server under TLS, whose certificate a client checks."""
        files = CertificateFiles(str(self.shell.folder / "live"))
        (self.shell.folder / "ca.pem").write_bytes(files.root.pem)
        here = ("fullchain", "live/chain"), ("privkey", "live/key")
        await self.start_server(serve, ("8443", "127.0.0.1:0"), *here)
        changes = ("http:", "https:"), ("MY_TOKEN", "MY_TOKEN -r --ca ca.pem")
        command = f"echo hello | rdv {{}} {EXAMPLE} MY_TOKEN"
        clients = [self.client(command.format(role), *changes) for role in ROLES]
        for client in clients:
            self.assertEqual(await client.ended, 0, client.report())
            await client.line("^CONNECTED: relay ")

    @runs(SERVER, "--port haproxy:tcp:8080")
    async def test_proxy_protocol(self, serve: str) -> None:
        """The address in a PROXY header is the one that the peer is told."""
        await self.start_server(serve, ("tcp:8080", "tcp:0:interface=127.0.0.1"))
        heads = []
        for role, source in (
            ("ACCEPT", "203.0.113.9 127.0.0.1 39841"),
            ("DIAL", "198.51.100.4 127.0.0.1 40112"),
        ):
            raw = await talk_to(self, self.port)
            raw.write(f"PROXY TCP4 {source} 8080\r\n{raw_request(role)}".encode())
            heads.append(raw.head())
        acceptor, dialer = [head.decode() for head in await gatherResults(heads)]
        self.assertIn("Rdv-Observed-Addr: 203.0.113.9:39841", acceptor)
        self.assertIn("Rdv-Peer-Addrs: 203.0.113.9:39841\r\n", dialer)

    @runs(SERVER, "NOTICE", "--observed-header", "location /rdv")
    async def test_http_proxy(self, notice: str, serve: str, nginx: str) -> None:
        """
        A server that is told to look into headers misses them when there is no proxy, and finds the
        client's own port in those of nginx; a file is whole there, though nginx closes both
        directions when one ends, and so is what is secured and comes back after the first end.
        """
        await self.start_server(serve, LISTEN)
        command = f"echo hello | rdv -v {{}} {EXAMPLE}/rdv MY_TOKEN"
        clients = [self.client(command.format(role)) for role in ROLES]
        for client in clients:
            await client.line(f"^{notice}$")
            self.assertEqual(await client.ended, 0)
        proxied = replaced(nginx, ("127.0.0.1:8080", f"127.0.0.1:{self.port}"))
        site = f"server {{ listen LISTEN; {proxied} }}"
        self.port = await start_nginx(self, site)
        acceptor, dialer = (self.client(command.format(role)) for role in ROLES)
        observed = (await dialer.line(r"observed as (127\.0\.0\.1:\d+)"))[1]
        # What the dialer has reported comes first, and what the server has observed comes last.
        await acceptor.line(rf"peer may be at \['{observed}', .*'{observed}'\]")
        for client in (acceptor, dialer):
            self.assertEqual(await client.ended, 0)
            self.assertNotIn(notice.encode(), client.stderr)
        content = Random(12).randbytes(5_000_000)
        (self.shell.folder / "sent").write_bytes(content)
        acceptor = self.client(f"rdv accept -r {EXAMPLE}/rdv MY_TOKEN </dev/null")
        dialer = self.client(f"rdv dial -r {EXAMPLE}/rdv MY_TOKEN <sent")
        self.assertEqual([await dialer.ended, await acceptor.ended], [0, 0])
        self.assertTrue(acceptor.stdout == content)
        # A plain stream would lose data that is sent after the dialer has ended.
        acceptor = self.client(f"rdv accept -r {EXAMPLE}/rdv <sent")
        dialer = self.client(f"echo hello | rdv dial -r {EXAMPLE}/rdv {await made_by(acceptor)}")
        self.assertEqual([await dialer.ended, await acceptor.ended], [0, 0])
        self.assertTrue(dialer.stdout == content)
