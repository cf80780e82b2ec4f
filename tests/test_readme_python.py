"""
The pieces of Python in README, run against a server in this process.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from rdv import Secret
from rdv.addresses import AddressSpace
from rdv.client import Client, Connection
from rdv.errors import ServerRefused
from rdv.server import Rendezvous
from rdv.test.certificates import Authority
from tests.documents import (
    REACTOR,
    Shell,
    execute,
    listening_port,
    meet,
    meet_and_part,
    replaced,
    runs,
    serve,
)

README, SERVER, CLIENT = "README.rst", "docs/server.rst", "docs/client.rst"
LOG_TO_STDOUT = "import sys; from twisted.python import log; log.startLogging(sys.stdout)\n"


class Words(Protocol):
    """Sends a word of five letters, and closes when it has received one."""

    def __init__(self, word: bytes = b"hello") -> None:
        self.word = word
        self.heard = b""
        self.ended: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self.word)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        if len(self.heard) == 5:
            assert self.transport is not None
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(None)


class Known(Words):
    """
    The same under TLS.

    :ivar peer: the name in the peer's certificate.
    """

    def dataReceived(self, data: bytes) -> None:
        self.peer = Certificate.peerFromTransport(self.transport).getSubject().commonName
        super().dataReceived(data)


class PythonTests(TestCase):
    """Each piece of Python does what README says of it."""

    timeout = 60

    async def converse(self, one: Words, other: Words) -> None:
        """Wait until both have ended; both have to have heard the other."""
        await gatherResults([one.ended, other.ended])
        self.assertEqual([one.heard, other.heard], [other.word, one.word])

    @runs(SERVER, "root.putChild")
    async def test_server(self, source: str) -> None:
        """A server in a site, at the path that it was given."""
        here = ("8080, Site(root)", '0, Site(root), interface="127.0.0.1"')
        program = Shell(self).python(LOG_TO_STDOUT + replaced(source, here))
        url = f"http://127.0.0.1:{await listening_port(program)}"
        await meet_and_part(f"{url}/rdv")
        client = Client(REACTOR, spaces=AddressSpace.NONE)
        error: Any = await self.assertFailure(client.dial(url, "t"), ServerRefused)
        self.assertEqual(error.status, 404)

    @runs(SERVER, "async def serve(pair)")
    async def test_hook(self, source: str) -> None:
        """The hook refuses one token, and counts what the dialer sends with another."""
        seen: list[bytes] = []

        async def may_connect(token: bytes) -> bool:
            return token == b"good"

        names: dict[str, Any] = {"may_connect": may_connect, "count_bytes": seen.append}
        names = await execute(source, reactor=REACTOR, Rendezvous=Rendezvous, **names)
        url = serve(self, names["rendezvous"])
        client = Client(REACTOR, spaces=AddressSpace.NONE)
        for attempt in [client.accept(url, "bad"), client.dial(url, "bad")]:
            error: Any = await self.assertFailure(attempt, ServerRefused)
            self.assertEqual((error.status, error.reason), (403, "not with this token"))
        acceptor, dialer = await meet(url, "good")
        words = Words(b"eight"), Words(b"seven")
        acceptor.attach(words[0])
        dialer.attach(words[1])
        await self.converse(*words)
        self.assertEqual(seen, [b"seven"])

    @runs(README, "client = Client(reactor)")
    async def test_client(self, source: str) -> None:
        words: list[Words] = []

        def my_protocol() -> Words:
            words.append(Words())
            return words[-1]

        program = replaced(
            source,
            ("Client(reactor)", "Client(reactor, spaces=AddressSpace.LOOPBACK)"),
            ("https://example.com/rdv", serve(self)),
        )
        names: dict[str, Any] = {
            "reactor": REACTOR,
            "AddressSpace": AddressSpace,
            "secret": Secret.generate(),
        }
        sides = [program, replaced(program, ("client.dial", "client.accept"))]
        both = [Deferred.fromCoroutine(execute(s, MyProtocol=my_protocol, **names)) for s in sides]
        for defined in await gatherResults(both):
            self.assertFalse(defined["connection"].is_relay)
            self.assertTrue(defined["connection"].is_secure)
        await self.converse(*words)

    @runs(CLIENT, "serverFromString")
    async def test_endpoints(self, source: str) -> None:
        """Both ends, from one description."""
        words = Words(b"serve"), Words(b"knock")
        path = self.mktemp()
        Path(path).write_text(Secret.generate().reveal())
        url = serve(self).replace(":", r"\:")
        defined = await execute(
            replaced(
                source, (r"https\://example.com/rdv", url), ("secret.txt", f"{path}:relay=yes")
            ),
            reactor=REACTOR,
            my_server_factory=Factory.forProtocol(lambda: words[0]),
            my_client_factory=Factory.forProtocol(lambda: words[1]),
        )
        self.assertIs(defined["protocol"], words[1])
        await self.converse(*words)
        await defined["port"].stopListening()

    @runs(CLIENT, "tell_the_peer")
    async def test_secret(self, source: str) -> None:
        """Who is told the secret is the peer."""
        client, url = Client(REACTOR, spaces=AddressSpace.NONE), serve(self)
        dialling: list[Deferred[Connection]] = []

        def tell_the_peer(text: str) -> None:
            dialling.append(client.dial(url, Secret.parse(text), secure=True))

        names = {"client": client, "url": url, "tell_the_peer": tell_the_peer}
        connection = (await execute(source, **names))["connection"]
        words = Words(b"serve"), Words(b"knock")
        connection.attach(words[0])
        (await dialling[0]).attach(words[1])
        await self.converse(*words)

    @runs(CLIENT, "TLSMemoryBIOFactory")
    async def test_tls_inside(self, source: str) -> None:
        """The dialer's program, and the acceptor's, which differs as its comments say."""
        authority = Authority()
        folder = Path(self.mktemp())
        folder.mkdir()
        for name, pem in (
            ("authority", authority.pem),
            ("bob", authority.issue("bob")),
            ("alice", authority.issue("alice")),
        ):
            (folder / f"{name}.pem").write_bytes(pem)
        comment = source.partition("# the acceptor: ")[2].partition("\n")[0]
        acceptors = replaced(
            source,
            ('optionsForClientTLS("alice", authority, own)', comment),
            ("(options, True,", "(options, False,"),
            ("bob.pem", "alice.pem"),
        )
        words = Known(), Known()
        connections = await meet(serve(self), Secret.generate())
        for program, connection, each in zip((acceptors, source), connections, words, strict=True):
            await execute(
                program,
                connection=connection,
                MyProtocol=lambda each=each: each,
                Path=folder.joinpath,
            )
        await self.converse(*words)
        self.assertEqual([each.peer for each in words], [b"bob", b"alice"])
