"""
Each program in ``examples/`` is run, as the text at its head says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import treq
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from twisted.conch.ssh.keys import FingerprintFormats, Key
from twisted.trial.unittest import SynchronousTestCase, TestCase

from rdv.addresses import AddressSpace
from rdv.client import Client
from rdv.errors import ServerRefused
from rdv.test.certificates import Authority
from tests.documents import REACTOR, meet, serve
from tests.processes import PYTHON, ROOT, Program
from tests.talker import Parting

RELAYED, DIRECT = "none", "loopback"


class AllTests(SynchronousTestCase):
    def test_every_example_is_run(self) -> None:
        """An example that no test runs may be wrong; a long one is no example."""
        modules = sorted(Path(__file__).parent.glob("test_*.py"))
        text = "".join(module.read_text(encoding="utf-8") for module in modules)
        examples = sorted(ROOT.glob("examples/*"))
        self.assertNotEqual(examples, [])
        for path in examples:
            # The description used here, or the one on a page.
            self.assertRegex(text, rf'self\.run_example\("{path.stem}"|@runs\(.*\b{path.name}')
            self.assertLess(len(path.read_text(encoding="utf-8").splitlines()), 80, path)


class ExampleTestCase(TestCase):
    """Starts examples, and clients of those that serve."""

    timeout = 120

    def run_example(self, name: str, *arguments: str) -> Program:
        path = str(ROOT / "examples" / f"{name}.py")
        # A script's own folder is on its path, not the one in which it runs.
        return Program(self, PYTHON, path, *arguments, env={"PYTHONPATH": str(ROOT)})

    async def served_url(self, program: Program) -> str:
        port = (await program.line(r"^listening on port (\d+)$"))[1]
        return f"http://127.0.0.1:{port}"


class EmbeddedServerTests(ExampleTestCase):
    async def test_embedded_server(self) -> None:
        """Clients meet at one path, and another one tells about them."""
        program = self.run_example("embedded_server", "tcp:0:interface=127.0.0.1")
        url = await self.served_url(program)
        acceptor, dialer = await meet(f"{url}/rdv", "t")
        self.assertEqual(await self.page(url), "waiting: 0\npairs: 1\n")
        acceptor.abortConnection()
        dialer.abortConnection()

    async def page(self, url: str) -> str:
        """What the root of the site says."""
        response = await treq.get(url, persistent=False, reactor=REACTOR)
        return str(await response.text())


class EchoTests(ExampleTestCase):
    """``echo.py``; the guide runs it."""

    async def test_failure(self) -> None:
        """What goes wrong is one line."""
        program = self.run_example("echo", "dial", "http://127.0.0.1:1", "t")
        self.assertEqual(await program.ended, 1)
        self.assertEqual(program.stderr.count(b"\n"), 1, program.report())
        await program.line(r"^cannot reach http://127\.0\.0\.1:1: connection refused$")


class PolicyTests(ExampleTestCase):
    async def test_policy(self) -> None:
        """An unknown account is refused, and what a known one relays is counted."""
        program = self.run_example("policy", "tcp:0:interface=127.0.0.1", "alice", "bob")
        url = await self.served_url(program)
        client = Client(REACTOR, spaces=AddressSpace.NONE)
        for refused in [client.accept(url, "eve-1"), client.dial(url, "eve-1")]:
            error: Any = await self.assertFailure(refused, ServerRefused)
            self.assertEqual((error.status, error.reason), (403, "no such account: eve"))
        for total in (7, 14):
            acceptor, dialer = await meet(url, f"bob-{total}")
            talkers = Parting(), Parting()
            for talker, connection in zip(talkers, (dialer, acceptor), strict=True):
                connection.attach(talker)
                talker.write(b"1234" if connection is dialer else b"567")
                talker.end()
            for talker in talkers:
                await talker.gone()
            await program.line(f"^bob: relayed, 4 bytes there, 3 back, {total} in all$")


class AuthenticatedTests(ExampleTestCase):
    """``authenticated.py``; the page about identity has two peers that know each other."""

    def setUp(self) -> None:
        self.authority = Authority()
        self.url = serve(self)

    def pem(self, content: bytes) -> str:
        path = Path(self.mktemp()).absolute()
        path.write_bytes(content)
        return str(path)

    def side(
        self, role: str, issuer: Authority, name: str, peer: str, space: str = RELAYED
    ) -> Program:
        """
        Start one side.

        :param issuer: gives it its certificate.
        :param peer: whom it expects.
        """
        trusted, own = self.pem(self.authority.pem), self.pem(issuer.issue(name))
        return self.run_example("authenticated", role, self.url, "t", trusted, own, peer, space)

    async def test_strangers(self) -> None:
        """
        One of another name, in either role; or one with the right name, which anybody may have
        written. Neither hears anything of the other.
        """
        own = self.authority
        for authority, alice, bob, said in (
            (own, "mallory", "bob", ""),
            (own, "alice", "mallory", "^this is not bob$"),
            (Authority(), "alice", "bob", ""),
        ):
            sides = (
                self.side("accept", own, alice, "bob"),
                self.side("dial", authority, bob, "alice"),
            )
            for program in sides:
                self.assertEqual(await program.ended, 0, program.report())
                self.assertNotIn(b"says", program.stdout)
                await program.line("^end: ")
            await sides[0].line(said)


class EndpointTests(ExampleTestCase):
    """Examples that take an endpoint description; the others are on their pages."""

    async def test_amp(self) -> None:
        """Two questions at once, on each kind of path."""
        url = serve(self)
        for space in (RELAYED, DIRECT):
            where = described(url, space)
            serving = self.run_example("amp", "answer", where)
            program = self.run_example("amp", "ask", where, "13", "29")
            self.assertEqual(await program.ended, 0, program.report())
            lines = program.stdout.decode().splitlines()
            self.assertEqual(lines, ["the peer says: 42", "the peer says: -16"])
            serving.signal("INT")
            await serving.ended
            self.assertEqual(serving.stderr.decode(), "")

    async def test_ssh_session(self) -> None:
        """A line to ``twist manhole``; and nothing to one with another host key."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        (folder / "host.key").write_bytes(pem)
        shown: str = Key(private).fingerprint(FingerprintFormats.SHA256_BASE64)
        (folder / "users").write_text("alice:secret\n")
        where = described(serve(self), RELAYED)
        keys = ("--sshKeyDir", str(folder), "--sshKeyName", "host.key")
        argv = ("manhole", "--sshPort", where, "--passwd", str(folder / "users"), *keys)
        serving = Program(self, PYTHON, "-m", "twisted", *argv, env={"PYTHONPATH": str(ROOT)})
        login = (where, "alice", "secret")
        fingerprint = "SHA256:" + shown.rstrip("=")
        program = self.run_example("ssh_session", *login, fingerprint, "6 * 7")
        self.assertEqual(await program.ended, 0, program.report())
        self.assertIn("42", program.stdout.decode().splitlines())
        program = self.run_example("ssh_session", *login, "SHA256:other", "6 * 7")
        self.assertEqual(await program.ended, 1, program.report())
        self.assertEqual(program.stdout, b"")
        await program.line("^no session: ")
        serving.signal("TERM")
        await serving.ended


def described(url: str, space: str) -> str:
    """An endpoint, as on a command line."""
    escaped = url.replace(":", r"\:")
    return f"rdv:{escaped}:token=xyzzy-{space}:spaces={space}"
