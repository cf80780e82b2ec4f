"""
The plain programs among themselves: what the interoperability tests rely on.
"""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from tests.processes import PYTHON, Program
from tests.talker import Talker, talk_to


class PlainTestCase(TestCase):
    """A plain server, with methods to start its clients."""

    timeout = 60

    async def start_server(self, *options: str) -> Program:
        server = Program(self, PYTHON, "-m", "tests.plain_server", "--port", "0", *options)
        self.port = int((await server.line(r"^listening 127\.0\.0\.1:(\d+)$"))[1])
        return server

    async def ask(self, first: str, **changes: str) -> Talker:
        """Send a good request, but for its first line and the changes."""
        headers = {
            "Host": "x",
            "Connection": "upgrade",
            "Upgrade": "rdv/1",
            "Rdv_Token": "t",
            "Rdv_Self_Addrs": "10.0.0.1:5000, [2001:db8::7]:5000",
        }
        client = await talk_to(self, self.port)
        lines = [
            f"{name.replace('_', '-')}: {value}" for name, value in (headers | changes).items()
        ]
        client.write("\r\n".join([first, *lines, "", ""]).encode())
        return client


class ServerTests(PlainTestCase):
    """What the server answers when there is no pair."""

    async def test_refused(self) -> None:
        """The older of two with one role, one who waits in vain, and one who waits at the end."""
        server = await self.start_server()
        older = await self.ask("DIAL / HTTP/1.1")
        await server.line("^joined: DIAL")
        newer = await self.ask("DIAL / HTTP/1.1")
        self.assert_refused(await older.over(), "409 Conflict", "replaced by another conn")
        # Another token, so that they do not meet.
        await self.ask("ACCEPT / HTTP/1.1", Rdv_Token="u")
        await server.line("^joined: ACCEPT")
        self.assertNotIn(b"matched", server.stderr)
        server.signal("TERM")
        said = ("503 Service Unavailable", "shutting down, try again")
        self.assert_refused(await newer.over(), *said)
        self.assertEqual(await server.ended, 0)
        await self.start_server("--lobby-timeout", "0.05")
        lonely = await self.ask("DIAL / HTTP/1.1")
        self.assert_refused(await lonely.over(), "408 Request Timeout", "no matching peer found")

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
            answer = await (await self.ask(first, **changes)).head()
            self.assertEqual(answer[:13], b"HTTP/1.1 %d " % status, (first, changes, answer))
            self.assertEqual(answer.count(b"Upgrade: rdv/1\r\n"), status == 426)
        self.assertEqual(server.stderr, b"")

    def assert_refused(self, answer: bytes, status: str, reason: str) -> None:
        """It is of the kind that comes after the upgrade."""
        head, _, body = answer.decode().partition("\r\n\r\n")
        wanted = [
            f"HTTP/1.1 {status}",
            *("Connection: close", "Connection: Upgrade", "Upgrade: rdv/1"),
            "Content-Type: text/plain; charset=utf-8",
        ]
        self.assertEqual(head.split("\r\n")[:5], wanted)
        self.assertNotIn("content-length", head.lower())
        self.assertRegex(body, reason)

    async def test_early_bytes(self) -> None:
        """A client that talks before the answer gets a 400 and meets nobody."""
        server = await self.start_server()
        waiting = await self.ask("DIAL / HTTP/1.1", Connection="Upgrade", Upgrade="RDV/1")
        await server.line("^joined: DIAL")
        hasty = await self.ask("ACCEPT / HTTP/1.1", Rdv_Last="x\r\n\r\nearly")
        self.assert_refused(await hasty.over(), "400 Bad Request", ".")
        self.assertEqual(bytes(waiting.data), b"")
        waiting.write(b"x")
        self.assert_refused(await waiting.over(), "400 Bad Request", ".")
        self.assertNotIn(b"matched", server.stderr)

    async def meet(self) -> tuple[Talker, Talker]:
        """Let two clients meet, up to their 101."""
        await self.start_server()
        dialer = await self.ask("DIAL / HTTP/1.1")
        acceptor = await self.ask("ACCEPT / HTTP/1.1", Rdv_Self_Addrs="")
        await dialer.head()
        await acceptor.head()
        return dialer, acceptor

    async def test_switching(self) -> None:
        """The 101 says to each where it was seen, and where the other is."""
        dialer, acceptor = await self.meet()
        here, there = (client.transport.getHost().port for client in (dialer, acceptor))
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
            talker.write(wrong)
            for client in (dialer, acceptor):
                self.assertTrue((await client.over()).endswith(b"\r\n\r\n"))
