"""
The plain programs among themselves: what they are trusted with in the interoperability tests.
"""

from __future__ import annotations

from random import Random
from typing import cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from tests.plain_peer import LAST_WORDS
from tests.processes import PYTHON, Program

MEGABYTE = 1024 * 1024


def noise(seed: int, size: int) -> bytes:
    """Bytes in which no two places look alike."""
    return Random(seed).randbytes(size)


class RawClient(Protocol):
    """A client that says what the test wants."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.head: Deferred[bytes] = Deferred()
        self.closed: Deferred[bytes] = Deferred()

    @property
    def port(self) -> int:
        """Where the server sees it."""
        assert self.transport is not None
        return cast(IPv4Address, self.transport.getHost()).port

    def say(self, data: bytes) -> None:
        """Write."""
        assert self.transport is not None
        self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        """Collect the answer, and tell when its head is there."""
        self.data += data
        if b"\r\n\r\n" in self.data and not self.head.called:
            self.head.callback(bytes(self.data))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Hand over the whole answer."""
        self.closed.callback(bytes(self.data))


class PlainTestCase(TestCase):
    """A plain server, and what it takes to start clients of it."""

    timeout = 60

    async def start_server(self, *options: str) -> Program:
        """Start a server and wait until it listens."""
        server = Program(self, PYTHON, "-m", "tests.plain_server", "--port", "0", *options)
        self.port = int((await server.line(r"^listening 127\.0\.0\.1:(\d+)$"))[1])
        return server

    def peer(
        self, role: str, *options: str, token: str = "a token", stdin: int | None = None
    ) -> Program:
        """Start a peer."""
        url = f"http://127.0.0.1:{self.port}/rdv"
        module = "tests.plain_peer"
        return Program(self, PYTHON, "-m", module, role, url, token, *options, stdin=stdin)

    async def ask(self, first: str, **changes: str) -> RawClient:
        """Send a good request, but for its first line and the changes."""
        headers = {
            "Host": "x",
            "Connection": "upgrade",
            "Upgrade": "rdv/1",
            "Rdv_Token": "t",
            "Rdv_Self_Addrs": "10.0.0.1:5000, [2001:db8::7]:5000",
        }
        endpoint = TCP4ClientEndpoint(cast(IReactorTCP, reactor), "127.0.0.1", self.port)
        client: RawClient = await connectProtocol(endpoint, RawClient())
        assert client.transport is not None
        self.addCleanup(client.transport.loseConnection)
        lines = [
            f"{name.replace('_', '-')}: {value}" for name, value in (headers | changes).items()
        ]
        client.say("\r\n".join([first, *lines, "", ""]).encode())
        return client


class PeerTests(PlainTestCase):
    """A dialer and an acceptor."""

    async def check_half_close(self, dialer: Program, acceptor: Program, path: str) -> None:
        """Send much one way and the end; then, after that has arrived, much the other way."""
        there, back = noise(1, 2 * MEGABYTE), noise(2, MEGABYTE)
        for peer in (dialer, acceptor):
            await peer.line(rf"^CONNECTED: {path} 127\.0\.0\.1:\d+$")
        dialer.write(there)
        dialer.close_stdin()
        self.assertEqual(await acceptor.received(len(there)), there)
        acceptor.write(back)
        acceptor.close_stdin()
        self.assertEqual([await acceptor.ended, await dialer.ended], [0, 0])
        self.assertEqual(acceptor.stdout, there)
        self.assertEqual(dialer.stdout, back)

    async def test_direct(self) -> None:
        """Loopback addresses that the peers report themselves lead to a direct connection."""
        await self.start_server()
        acceptor = self.peer("accept", "--spaces", "loopback")
        dialer = self.peer("dial", "--spaces", "loopback")
        await self.check_half_close(dialer, acceptor, "p2p")

    async def test_direct_by_observed_address(self) -> None:
        """The address that the server has seen is enough, and the roles may come in any order."""
        server = await self.start_server()
        dialer = self.peer("dial")
        await server.line(r"^joined: DIAL")
        acceptor = self.peer("accept")
        await self.check_half_close(dialer, acceptor, "p2p")

    async def test_relayed(self) -> None:
        """With no address space on one side the bytes of both go through the server."""
        await self.start_server()
        there, back = noise(3, 2 * MEGABYTE), noise(4, MEGABYTE)
        acceptor = self.peer("accept", "--spaces", "loopback")
        dialer = self.peer("dial", "--relay")
        for peer in (dialer, acceptor):
            await peer.line(rf"^CONNECTED: relay 127\.0\.0\.1:{self.port}$")
        dialer.write(there)
        acceptor.write(back)
        self.assertEqual(await acceptor.received(len(there)), there)
        self.assertEqual(await dialer.received(len(back)), back)
        # The end of one direction ends both, in the original's relay.
        dialer.close_stdin()
        self.assertEqual(await dialer.ended, 0)
        acceptor.close_stdin()
        self.assertEqual(await acceptor.ended, 0)
        self.assertEqual((acceptor.stdout, dialer.stdout), (there, back))

    async def test_full_close(self) -> None:
        """One that closes at the end of its stdin, while the other sends, has lost nothing."""
        await self.start_server()
        there = noise(5, 8 * MEGABYTE)
        with open("/dev/zero", "rb") as zeros:
            acceptor = self.peer("accept", "--spaces", "loopback", stdin=zeros.fileno())
        dialer = self.peer("dial", "--spaces", "loopback", "--full-close")
        await dialer.line("^CONNECTED: p2p ")
        dialer.write(there)
        dialer.close_stdin()
        # It ends though the acceptor never would, and that is an error for the acceptor.
        self.assertEqual([await dialer.ended, await acceptor.ended], [0, 3])
        self.assertEqual(acceptor.stdout, there)

    async def test_leave(self) -> None:
        """A dialer that leaves at once has left its message."""
        await self.start_server()
        acceptor = self.peer("accept", "--relay")
        dialer = self.peer("dial", "--leave")
        await acceptor.line("^CONNECTED: relay ")
        self.assertEqual(await dialer.ended, 0)
        await acceptor.received(len(LAST_WORDS))
        acceptor.close_stdin()
        self.assertEqual(await acceptor.ended, 0)
        self.assertEqual(acceptor.stdout, LAST_WORDS)


class ServerTests(PlainTestCase):
    """What the server answers when there is no pair."""

    async def test_replaced(self) -> None:
        """The older of two with one role gets a 409."""
        server = await self.start_server()
        older = self.peer("dial")
        await server.line("^joined: DIAL")
        newer = self.peer("dial")
        await older.line("^ERR: HTTP/1.1 409 Conflict: replaced by another conn$")
        self.assertEqual(await older.ended, 1)
        self.assertIsNone(newer.exit_code)

    async def test_lobby_timeout(self) -> None:
        """One who waits in vain gets a 408."""
        await self.start_server("--lobby-timeout", "0.05")
        lonely = self.peer("accept")
        await lonely.line("^ERR: HTTP/1.1 408 Request Timeout: no matching peer found$")
        self.assertEqual(await lonely.ended, 1)

    async def test_shutdown(self) -> None:
        """One who waits when the server is stopped gets a 503."""
        server = await self.start_server()
        waiting = self.peer("accept")
        await server.line("^joined: ACCEPT")
        server.signal("TERM")
        await waiting.line("^ERR: HTTP/1.1 503 Service Unavailable: shutting down, try again$")
        self.assertEqual([await server.ended, await waiting.ended], [0, 1])

    async def test_tokens_apart(self) -> None:
        """Clients with different tokens do not meet."""
        server = await self.start_server()
        self.peer("dial", token="one")
        await server.line("^joined: DIAL")
        self.peer("accept", token="two")
        await server.line("^joined: ACCEPT")
        self.assertNotIn(b"matched", server.stderr)

    async def test_bad_requests(self) -> None:
        """Everything that the original refuses gets its status, and is then forgotten."""
        cases: list[tuple[int, str, dict[str, str]]] = [
            (426, "DIAL / HTTP/1.0", {}),
            (426, "DIAL / HTTP/1.1", {"Connection": "keep-alive, Upgrade"}),
            (426, "DIAL / HTTP/1.1", {"Connection": "close"}),
            (426, "DIAL / HTTP/1.1", {"Upgrade": "rdv/1, rdv/2"}),
            (426, "DIAL / HTTP/1.1", {"Upgrade": "rdv/2"}),
            (400, "GET / HTTP/1.1", {}),
            (400, "DIAL / HTTP/1.1", {"Rdv_Token": ""}),
            (400, "DIAL / HTTP/1.1", {"Rdv_Self_Addrs": "10.0.0.1"}),
            (400, "DIAL / HTTP/1.1", {"Rdv_Self_Addrs": "10.0.0.1:65536"}),
            (400, "DIAL / HTTP/1.1", {"Rdv_Self_Addrs": ", ".join(["10.0.0.1:1"] * 10)}),
        ]
        server = await self.start_server()
        for status, first, changes in cases:
            answer = await (await self.ask(first, **changes)).head
            self.assertEqual(answer[:13], b"HTTP/1.1 %d " % status, (first, changes, answer))
            self.assertEqual(answer.count(b"Upgrade: rdv/1\r\n"), status == 426)
        self.assertEqual(server.stderr, b"")

    def assert_too_early(self, answer: bytes) -> None:
        """It is a 400 of the kind that comes after the upgrade."""
        head, _, body = answer.partition(b"\r\n\r\n")
        self.assertEqual(
            head.split(b"\r\n")[:5],
            [
                b"HTTP/1.1 400 Bad Request",
                b"Connection: close",
                b"Connection: Upgrade",
                b"Upgrade: rdv/1",
                b"Content-Type: text/plain; charset=utf-8",
            ],
        )
        self.assertNotIn(b"content-length", head.lower())
        self.assertTrue(body)

    async def test_early_bytes(self) -> None:
        """A client that talks before the answer gets a 400 and meets nobody."""
        server = await self.start_server()
        waiting = await self.ask("DIAL / HTTP/1.1", Connection="Upgrade", Upgrade="RDV/1")
        await server.line("^joined: DIAL")
        hasty = await self.ask("ACCEPT / HTTP/1.1", Rdv_Last="x\r\n\r\nearly")
        self.assert_too_early(await hasty.closed)
        self.assertEqual(waiting.data, b"")
        waiting.say(b"x")
        self.assert_too_early(await waiting.closed)
        self.assertNotIn(b"matched", server.stderr)

    async def meet(self) -> tuple[RawClient, RawClient]:
        """Let two clients meet, up to their 101."""
        await self.start_server()
        dialer = await self.ask("DIAL / HTTP/1.1")
        acceptor = await self.ask("ACCEPT / HTTP/1.1", Rdv_Self_Addrs="")
        await dialer.head
        await acceptor.head
        return dialer, acceptor

    async def test_switching(self) -> None:
        """The 101 says to each where it was seen, and where the other is."""
        dialer, acceptor = await self.meet()
        here, there = dialer.port, acceptor.port
        own = "10.0.0.1:5000, [2001:db8::7]:5000, "
        cases = [(dialer, here, f"127.0.0.1:{there}"), (acceptor, there, f"{own}127.0.0.1:{here}")]
        for client, port, addresses in cases:
            expected = (
                "HTTP/1.1 101 Switching Protocols\r\n"
                "Connection: Upgrade\r\n"
                f"Rdv-Observed-Addr: 127.0.0.1:{port}\r\n"
                f"Rdv-Peer-Addrs: {addresses}\r\n"
                "Upgrade: rdv/1\r\n\r\n"
            )
            self.assertEqual(client.data.decode(), expected)

    async def test_relay_checks_lines(self) -> None:
        """A wrong byte in the one line of either side closes both."""
        for wrong in (b"rdv/1 HELLO u\r\n", b"rdv/1 CONFIRM u\r\n"):
            dialer, acceptor = await self.meet()
            talker = acceptor if b"HELLO" in wrong else dialer
            talker.say(wrong)
            for client in (dialer, acceptor):
                self.assertTrue((await client.closed).endswith(b"\r\n\r\n"))
