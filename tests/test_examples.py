"""
Each program in ``examples/`` is run, as the text at its head says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import treq
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from rdv.addresses import AddressSpace
from rdv.client import Client, Connection
from rdv.errors import ServerRefused
from rdv.test.certificates import Authority
from tests.documents import REACTOR, serve
from tests.processes import PYTHON, ROOT, Program

RELAYED, DIRECT = "none", "loopback"


class Talk(Protocol):
    """Sends its piece and the end, and waits for the connection's."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece
        self.ended: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert isinstance(self.transport, Connection)
        self.transport.write(self._piece)
        self.transport.loseWriteConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(None)


class AllTests(SynchronousTestCase):
    """The folder."""

    def test_every_example_is_run(self) -> None:
        """An example that no test runs may be wrong; a long one is no example."""
        modules = sorted(Path(__file__).parent.glob("test_*examples.py"))
        text = "".join(module.read_text(encoding="utf-8") for module in modules)
        examples = sorted(ROOT.glob("examples/*"))
        self.assertNotEqual(examples, [])
        for path in examples:
            self.assertRegex(text, rf'self\.(run_example|both)\(\s*"{path.stem}"')
            self.assertLess(len(path.read_text(encoding="utf-8").splitlines()), 80, path)


class ExampleTestCase(TestCase):
    """Starts examples, and clients of those that serve."""

    timeout = 60

    def run_example(self, name: str, *arguments: str) -> Program:
        """Start an example."""
        path = str(ROOT / "examples" / f"{name}.py")
        # A script's own folder is on its path, not the one in which it runs.
        return Program(self, PYTHON, path, *arguments, env={"PYTHONPATH": str(ROOT)})

    async def served_url(self, program: Program) -> str:
        """Wait until it listens."""
        port = (await program.line(r"^listening on port (\d+)$"))[1]
        return f"http://127.0.0.1:{port}"

    async def meet(self, url: str, token: str) -> list[Connection]:
        """Connect an acceptor and a dialer through the relay."""
        client = Client(REACTOR, spaces=AddressSpace.NONE)
        return await gatherResults([client.accept(url, token), client.dial(url, token)])


class EmbeddedServerTests(ExampleTestCase):
    """``embedded_server.py``."""

    async def test_embedded_server(self) -> None:
        """Clients meet at one path, and another one tells about them."""
        program = self.run_example("embedded_server", "tcp:0:interface=127.0.0.1")
        url = await self.served_url(program)
        acceptor, dialer = await self.meet(f"{url}/rdv", "t")
        self.assertEqual(await self.page(url), "waiting: 0\npairs: 1\n")
        acceptor.abortConnection()
        dialer.abortConnection()

    async def page(self, url: str) -> str:
        """What the root of the site says."""
        response = await treq.get(url, persistent=False, reactor=REACTOR)
        return str(await response.text())


class EchoTests(ExampleTestCase):
    """``echo.py``."""

    async def check(self, space: str, path: str) -> None:
        """Run both sides."""
        url = serve(self)
        sides = [self.run_example("echo", role, url, "t", space) for role in ("accept", "dial")]
        acceptor, dialer = sides
        for program in sides:
            self.assertEqual(await program.ended, 0, program.report())
            await program.line(rf"^connected to \S+:\d+ by {path}$")
        await dialer.line(r"^the peer says: Is anybody there\?$")
        self.assertNotIn(b"says", acceptor.stdout)

    async def test_direct(self) -> None:
        """On a direct path."""
        await self.check(DIRECT, "a direct path")

    async def test_relayed(self) -> None:
        """Through the relay."""
        await self.check(RELAYED, "the relay")

    async def test_failure(self) -> None:
        """What goes wrong is one line."""
        program = self.run_example("echo", "dial", "http://127.0.0.1:1", "t")
        self.assertEqual(await program.ended, 1)
        self.assertEqual(program.stderr.count(b"\n"), 1, program.report())
        await program.line(r"^cannot reach http://127\.0\.0\.1:1: connection refused$")


class PolicyTests(ExampleTestCase):
    """``policy.py``."""

    async def test_policy(self) -> None:
        """An unknown account is refused, and what a known one relays is counted."""
        program = self.run_example("policy", "tcp:0:interface=127.0.0.1", "alice", "bob")
        url = await self.served_url(program)
        client = Client(REACTOR, spaces=AddressSpace.NONE)
        for refused in [client.accept(url, "eve-1"), client.dial(url, "eve-1")]:
            error: Any = await self.assertFailure(refused, ServerRefused)
            self.assertEqual((error.status, error.reason), (403, "no such account: eve"))
        for total in (7, 14):
            acceptor, dialer = await self.meet(url, f"bob-{total}")
            ends = Talk(b"1234"), Talk(b"567")
            dialer.attach(ends[0])
            acceptor.attach(ends[1])
            await gatherResults([end.ended for end in ends])
            await program.line(f"^bob: relayed, 4 bytes there, 3 back, {total} in all$")


class AuthenticatedTests(ExampleTestCase):
    """``authenticated.py``."""

    def setUp(self) -> None:
        self.authority = Authority()
        self.url = serve(self)

    def pem(self, content: bytes) -> str:
        """A file."""
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

    async def check(self, space: str) -> None:
        """Both are who they should be: each hears the other."""
        alice = self.side("accept", self.authority, "alice", "bob", space)
        bob = self.side("dial", self.authority, "bob", "alice", space)
        self.assertEqual([await alice.ended, await bob.ended], [0, 0])
        await alice.line("^bob says: hello, alice$")
        await bob.line("^alice says: hello, bob$")

    async def test_direct(self) -> None:
        """On a direct path."""
        await self.check(DIRECT)

    async def test_relayed(self) -> None:
        """Through the relay."""
        await self.check(RELAYED)

    async def refuse(self, alice: Program, bob: Program) -> None:
        """Neither hears anything of the other."""
        for program in (alice, bob):
            self.assertEqual(await program.ended, 0, program.report())
            self.assertNotIn(b"says", program.stdout)
            await program.line("^end: ")

    async def test_acceptor_of_another_name(self) -> None:
        """The dialer goes on with nobody but alice."""
        mallory = self.side("accept", self.authority, "mallory", "bob")
        await self.refuse(mallory, self.side("dial", self.authority, "bob", "alice"))

    async def test_dialer_of_another_name(self) -> None:
        """The acceptor goes on with nobody but bob."""
        alice = self.side("accept", self.authority, "alice", "bob")
        await self.refuse(alice, self.side("dial", self.authority, "mallory", "alice"))
        await alice.line("^this is not bob$")

    async def test_dialer_of_another_authority(self) -> None:
        """A certificate with the right name is worth nothing if anybody may have made it."""
        alice = self.side("accept", self.authority, "alice", "bob")
        await self.refuse(alice, self.side("dial", Authority(), "bob", "alice"))
