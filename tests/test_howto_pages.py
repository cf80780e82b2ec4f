"""
The shorter pages of ``docs/howto`` do what they say: identity, policy, ports and testing.
"""

from __future__ import annotations

import shutil
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase
from twisted.web.server import Site

from rdv import Secret
from rdv.addresses import AddressSpace
from rdv.client import Client
from rdv.client.trace import What
from rdv.errors import ServerRefused
from rdv.server import Pair
from rdv.testing import MemoryRendezvous
from tests.documents import REACTOR, SECRET, Shell, execute, named_block, replaced, runs, serve
from tests.servers import LISTENING

IDENTITY, POLICY, PORTS, TESTING = (
    f"docs/howto/{name}.rst" for name in ("identity", "policy", "ports", "testing")
)


class CertificateTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.shell = Shell(self)

    async def make(self, certificates: str) -> None:
        if shutil.which("openssl") is None:
            raise SkipTest("openssl is not installed")
        program = self.shell.script(certificates)
        self.assertEqual(await program.ended, 0, program.report())

    async def greet(self, accept: str, dial: str) -> list[str]:
        """What the two sides say."""
        url = serve(self).removesuffix("/rdv")
        here = ("http://127.0.0.1:8080", url), (SECRET, Secret.generate().reveal())
        sides = [self.shell.start(replaced(command, *here)) for command in (accept, dial)]
        for side in sides:
            self.assertEqual(await side.ended, 0, side.report())
        return [side.stdout.decode().strip() for side in sides]

    @runs(IDENTITY, "-days 3650", "authenticated.py accept", "authenticated.py dial", "alice says")
    async def test_pinned(self, certificates: str, accept: str, dial: str, output: str) -> None:
        """Two who know each other's certificates, and one with the right name in another."""
        await self.make(certificates)
        self.assertEqual((await self.greet(accept, dial))[1], output)
        await self.make(f"mkdir other && cd other\n{certificates}")
        said = await self.greet(accept, replaced(dial, ("bob.pem", "other/bob.pem")))
        self.assertNotIn("says", "".join(said))

    @runs(
        IDENTITY, "-CA authority", "authenticated.py accept", "authenticated.py dial", "alice says"
    )
    async def test_authority(self, certificates: str, accept: str, dial: str, output: str) -> None:
        """Two whose certificates have the same signature, and one who is not who was expected."""
        await self.make(certificates)
        accept = replaced(accept, ("bob.crt", "authority.pem"))
        dial = replaced(dial, ("alice.crt", "authority.pem"))
        self.assertEqual((await self.greet(accept, dial))[1], output)
        said = await self.greet(accept, replaced(dial, ("bob.pem", "alice.pem")))
        self.assertTrue(said[0].startswith("this is not bob"), said)


class ModuleTests(TestCase):
    """Each module as it is, and with a mistake."""

    timeout = 120

    def setUp(self) -> None:
        self.shell = Shell(self)

    def save(self, name: str, source: str) -> None:
        (self.shell.folder / f"{name}.py").write_text(source)

    async def check(self, command: str, source: str, tests: int, mistake: tuple[str, str]) -> None:
        """The tests pass, and one fails with the mistake."""
        name = command.split()[-1]
        for text, status in ((source, 0), (replaced(source, mistake), 1)):
            self.save(name, text)
            program = self.shell.start(command)
            self.assertEqual(await program.ended, status, program.report())
            self.assertIn(b"Ran %d tests" % tests, program.stdout)

    @runs(TESTING, "class PairTests", "twisted.trial test_pair")
    async def test_pair(self, module: str, command: str) -> None:
        """Two that have found each other; what is left open is found."""
        await self.check(command, module, 1, ("dialer.loseConnection()", "pass"))

    @runs(TESTING, "class MisfortuneTests", "twisted.trial test_misfortune")
    async def test_misfortune(self, module: str, command: str) -> None:
        self.save("test_pair", named_block(TESTING, "class PairTests"))
        await self.check(command, module, 5, ("block_direct_paths", "flush"))

    @runs(TESTING, "class DoublerTests", "twisted.trial test_doubler")
    async def test_doubler(self, module: str, command: str) -> None:
        await self.check(command, module, 1, ("2 * number", "3 * number"))

    @runs(TESTING, "class SocketTests", "twisted.trial test_sockets")
    async def test_sockets(self, module: str, command: str) -> None:
        await self.check(command, module, 1, ('(b"hello")', '(b"hi")'))


class HookTests(SynchronousTestCase):
    @runs(POLICY, "MemoryRendezvous(serve")
    def test_refused(self, source: str) -> None:
        """The client gets what the hook says."""

        class Policy:
            def serve(self, pair: Pair) -> None:
                pair.reject(403, f"no such account: {pair.token.decode()}")

        said: list[str] = []
        running = Deferred.fromCoroutine(execute(source, policy=Policy(), report=said.append))
        self.successResultOf(running)["rendezvous"].assert_nothing_left()
        self.assertEqual(len(said), 1)
        self.assertIn("no such account: mallory-1", said[0])


class PolicyTests(TestCase):
    timeout = 120

    @runs(POLICY, "class Realm")
    async def test_behind_a_guard(self, source: str) -> None:
        """The hook knows who has logged in."""
        checker = InMemoryUsernamePasswordDatabaseDontUse(alice=b"one", bob=b"two")
        names = await execute(source, reactor=REACTOR, checker=checker)
        site = Site(names["guard"], timeout=5)
        port = REACTOR.listenTCP(0, site, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(names["rendezvous"].close)
        url = f"http://127.0.0.1:{port.getHost().port}"
        alice, bob = ("alice", "one"), ("bob", "two")
        client = Client(REACTOR, spaces=AddressSpace.NONE)

        async def refusal(*logins: tuple[str, str]) -> str:
            """Two come; what the dialer is told."""
            accepting = client.accept(url, "a token", auth=logins[0])
            dialling = client.dial(url, "a token", auth=logins[1])
            try:
                (await dialling).abortConnection()
            except ServerRefused as refused:
                accepting.addErrback(lambda _: None)
                accepting.cancel()
                return f"{refused.status} {refused.reason}"
            (await accepting).abortConnection()
            return ""

        self.assertEqual(await refusal(alice, alice), "")
        self.assertEqual(await refusal(alice, bob), "403 this token belongs to another user")
        self.assertIn("401", await refusal(alice, ("bob", "one")))

    @runs(POLICY, "--serve my_policy:serve")
    async def test_loaded(self, command: str) -> None:
        """By a server of its own."""
        shell = Shell(self)
        source = "def serve(pair):\n    pair.reject(403, 'never')\n"
        (shell.folder / "my_policy.py").write_text(source)
        server = shell.start(replaced(command, ("8080", "127.0.0.1:0")))
        url = f"http://127.0.0.1:{(await server.line(LISTENING))[1]}"
        client = Client(REACTOR)
        coming = [client.accept(url, "a token"), client.dial(url, "a token")]
        for each in coming:
            with self.assertRaises(ServerRefused):
                await each


class Router:
    """A router that forwards ports. :ivar forwarded: the ports that it currently forwards."""

    def __init__(self) -> None:
        self.forwarded: list[int] = []

    def forward(self, port: int) -> Deferred[str]:
        """Begin."""
        self.forwarded.append(port)
        return succeed("203.0.113.9")

    def forget(self, port: int) -> Deferred[None]:
        """End."""
        self.forwarded.remove(port)
        return succeed(None)


class MappingTests(SynchronousTestCase):
    @runs(PORTS, "asynccontextmanager")
    def test_mapping(self, source: str) -> None:
        """The peer is told, and the router forgets it afterwards."""
        rendezvous, router = MemoryRendezvous(), Router()
        names: dict[str, Any] = {"router": router, "Client": Client}
        running = Deferred.fromCoroutine(execute(source, reactor=rendezvous.host(), **names))
        client: Client = self.successResultOf(running)["client"]
        events: list[Any] = []
        accepting = client.accept(rendezvous.url, "t")
        rendezvous.flush()
        (port,) = router.forwarded
        dialling = rendezvous.client(trace=events.append).dial(rendezvous.url, "t")
        rendezvous.flush()
        (met,) = [event for event in events if event.what is What.MET]
        self.assertIn(f"203.0.113.9:{port}", map(str, met.fields["peer_addresses"]))
        self.assertEqual(router.forwarded, [])
        for connecting in (accepting, dialling):
            self.successResultOf(connecting).abortConnection()
        rendezvous.assert_nothing_left()
