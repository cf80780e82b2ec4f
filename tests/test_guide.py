"""
The guide does what it says: each of its blocks is run against a server on this host.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.iweb import IRequest

from rdv import Secret
from rdv.addresses import AddressSpace
from rdv.client import Client
from rdv.errors import NoConnection
from rdv.server import Rendezvous
from rdv.testing import MemoryRendezvous
from tests.documents import (
    REACTOR,
    SECRET,
    Shell,
    execute,
    raw_request,
    replaced,
    runs,
    serve,
    shape,
)
from tests.processes import Program
from tests.talker import talk_to

GUIDE = "docs/guide.rst"
HERE = "http://127.0.0.1:8080"
FACTORY = Factory.forProtocol(Protocol)


class ShellTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.shell = Shell(self)

    async def check_programs(self, url: str, *commands: str) -> list[Program]:
        """Run the commands at the same time; all end well."""
        programs = [self.shell.start(replaced(command, (HERE, url))) for command in commands]
        for program in programs:
            self.assertEqual(await program.ended, 0, program.report())
        return programs

    @runs(GUIDE, "rdv -v serve", "rdv token", "echo.py accept", "echo.py dial", "connected to")
    async def test_echo(self, server: str, token: str, accept: str, dial: str, output: str) -> None:
        """A server, a secret, and the two sides of an echo."""
        made = self.shell.start(token)
        self.assertEqual(await made.ended, 0, made.report())
        secret = (SECRET, made.stdout.decode().strip())
        program = self.shell.start(replaced(server, ("127.0.0.1:8080", "127.0.0.1:0")))
        port = (await program.line(r"LISTENING: .*?(\d+)\W*$"))[1]
        sides = (replaced(command, secret) for command in (accept, dial))
        _, dialer = await self.check_programs(f"http://127.0.0.1:{port}", *sides)
        # On a busy host it begins on the relay.
        said = dialer.stdout.decode().replace("the relay", "a direct path")
        self.assertEqual(shape(said), shape(output))

    @runs(GUIDE, "pip install")
    def test_install(self, command: str) -> None:
        self.assertEqual(command, "pip install .")

    @runs(GUIDE, "class GreeterTests", "twisted.trial test_greeter")
    async def test_testing(self, module: str, command: str) -> None:
        """A test of one's own passes, and fails when the protocol is wrong."""
        test = self.shell.folder / "test_greeter.py"
        for source, status in ((module, 0), (replaced(module, ('(b"hello")', '(b"hi")')), 1)):
            test.write_text(source)
            program = self.shell.start(command)
            self.assertEqual(await program.ended, status, program.report())
            self.assertIn(b"Ran 1 tests", program.stdout)


class EndpointTests(SynchronousTestCase):
    """The parts on endpoints, in memory."""

    @runs(GUIDE, "RendezvousServerEndpoint(client")
    def test_endpoints(self, source: str) -> None:
        """One listens, and the other connects."""
        rendezvous = MemoryRendezvous()
        names: dict[str, Any] = {
            "url": rendezvous.url,
            "secret": Secret.generate(),
            "factory": FACTORY,
        }
        running = Deferred.fromCoroutine(execute(source, client=rendezvous.client(), **names))
        rendezvous.flush()
        defined = self.successResultOf(running)
        self.assertIsInstance(defined["protocol"], Protocol)
        defined["protocol"].transport.loseConnection()
        defined["port"].stopListening()
        rendezvous.assert_nothing_left()


class PythonTests(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.said: list[Any] = []
        self.client = Client(REACTOR, spaces=AddressSpace.NONE)

    @runs(GUIDE, "except ServerRefused")
    async def test_errors(self, source: str) -> None:
        """Each of the four cases says what it is."""
        names = {"report": self.said.append, "client": self.client}
        await execute(source, url=serve(self, closed_rendezvous()), secret="t", **names)
        url = serve(self)
        dialling = Deferred.fromCoroutine(execute(source, url=url, secret="t", **names))
        acceptor = await talk_to(self, urlsplit(url).port or 0)
        acceptor.write(raw_request("ACCEPT").encode())
        await acceptor.head()
        acceptor.close()
        await dialling
        await execute(source, url=url, secret="", **names)
        secret, impostor = Secret.generate(), Secret.generate()
        impostor.server_token = secret.server_token
        accepting = self.client.accept(url, impostor)
        await execute(source, url=url, secret=secret, **names)
        await self.assertFailure(accepting, NoConnection)
        refused, failed, bad, stranger = self.said
        self.assertEqual(refused, "the server answers 503: shutting down, try again")
        self.assertRegex(failed, "^the peer is there, but there is no path to it: .*relay")
        self.assertEqual(bad, "the token is empty")
        self.assertEqual(stranger, "a client without the secret took the place of the peer")

    @runs(GUIDE, "auth=(")
    async def test_request(self, source: str) -> None:
        """The server gets what treq is told to send."""
        asked: list[Any] = []

        def observed(request: IRequest) -> None:
            asked.append(request)

        url = serve(self, observed_address=observed)
        names = {"client": self.client, "password": "xyzzy", "trace_id": "4711", "session": "s1"}
        accepting = Deferred.fromCoroutine(execute(source, url=url, secret="t", **names))
        dialer = await self.client.dial(url, "t")
        acceptor = (await accepting)["connection"]
        for connection in (acceptor, dialer):
            connection.abortConnection()
        accept = next(request for request in asked if request.method == b"ACCEPT")
        headers = accept.requestHeaders
        self.assertEqual(headers.getRawHeaders("X-Trace"), ["4711"])
        self.assertEqual(headers.getRawHeaders("Cookie"), ["session=s1"])
        self.assertEqual((accept.getUser(), accept.getPassword()), (b"alice", b"xyzzy"))


def closed_rendezvous() -> Rendezvous:
    rendezvous = Rendezvous(REACTOR)
    rendezvous.close()
    return rendezvous
