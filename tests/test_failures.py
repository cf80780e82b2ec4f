"""
Without a connection: one clear line, and the right exit status.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.protocol import Protocol, ServerFactory

from tests.processes import PYTHON, Program, together
from tests.servers import ERROR, SystemTestCase

SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rdv/1\r\n"
    b"Rdv-Peer-Addrs: \r\n\r\n"
)
#: A server that is never contacted, because the arguments are wrong.
NOBODY = "http://127.0.0.1:9/"


class Canned(Protocol):
    """Answers a request with these bytes, and closes the connection if told to."""

    def __init__(self, answer: bytes, stays: bool) -> None:
        self.answer = answer
        self.stays = stays
        self.head = b""

    def dataReceived(self, data: bytes) -> None:
        """Wait for the end of the head."""
        self.head += data
        if self.head.endswith(b"\r\n\r\n"):
            assert self.transport is not None
            self.transport.write(self.answer)
            if not self.stays:
                self.transport.loseConnection()


def answer(status: str, reason: str, **headers: str) -> bytes:
    body = reason.encode()
    fields = {"Content-Type": "text/plain", "Content-Length": str(len(body))} | headers
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class FailureTestCase(SystemTestCase):
    forked = True

    async def assert_fails(self, status: int, said: str, *arguments: str) -> None:
        """It says one line, and nothing on stdout."""
        program = self.rdv(*arguments)
        await self.assert_ended(program, status, said)
        self.assertEqual(program.stdout, b"")

    async def assert_usage(self, said: str, *arguments: str) -> None:
        """The last line is clear; before it there may be a short reminder of the usage."""
        program = self.rdv(*arguments)
        self.assertEqual(await program.ended, 2, program.report())
        *reminder, last = program.stderr.decode().splitlines()
        self.assertRegex(last, f"^{ERROR}{said}$")
        self.assertNotIn("Traceback", "".join(reminder))
        self.assertEqual(program.stdout, b"")

    def canned(self, *answers: bytes, stays: bool = False) -> str:
        """The URL of a server that has these answers, one after the other; the last one stays."""
        left = list(answers)

        def build(addr: object) -> Canned:
            return Canned(left.pop(0) if len(left) > 1 else left[0], stays)

        factory: ServerFactory[Any] = ServerFactory()
        factory.noisy = False
        factory.buildProtocol = build  # type: ignore[method-assign]
        port = cast(IReactorTCP, reactor).listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return f"http://127.0.0.1:{cast(IPv4Address, port.getHost()).port}/rdv"


class ServerTests(FailureTestCase):
    """There is no server, or it refuses us."""

    async def test_unreachable(self) -> None:
        """Nobody listens there, or there is no such host."""
        url, nowhere = f"http://127.0.0.1:{self.taken_port()}/rdv", "http://nobody.invalid/rdv"
        refused = f"cannot reach {url}: connection refused"
        unknown = f"cannot reach {nowhere}: the name does not resolve"
        await together(
            *(self.assert_fails(1, refused, role, url, "t") for role in ("dial", "accept")),
            self.assert_fails(1, unknown, "d", nowhere, "t"),
        )

    async def test_no_answer(self) -> None:
        """It closes instead of answering, and not only once."""
        url = self.canned(b"")
        said = f"cannot reach {url}: the connection ended without an answer"
        await self.assert_ended(self.rdv("dial", url, "t"), 1, f"TROUBLE: {said}", said)

    async def test_server_dies(self) -> None:
        """While a client waits for its peer, and does not come back in time."""
        server = await self.serve()
        acceptor = self.accept("--timeout", "4")
        await acceptor.line("^WAITING: ")
        await server.kill()
        said = f"cannot reach {self.url}: .+"
        await self.assert_ended(acceptor, 1, f"TROUBLE: {said}", said)

    async def test_nobody_comes(self) -> None:
        await self.serve()
        dialer = self.dial("--timeout", "0.5")
        said = rf"no connection within 0\.5 s: no peer arrived at {self.url}"
        await self.assert_ended(dialer, 1, said)

    async def test_answers(self) -> None:
        """The status and the server's reason are shown, in one line that is fit for a terminal."""
        place = "https://127.0.0.1:9/rdv"
        rows = [
            (answer("404 Not Found", "no such page\n"), "URL refused: 404 Not Found: no such page"),
            (
                answer("400 Bad Request", "\x1b[2Jred\x07\nmore\n" + "x" * 9000),
                r"URL refused: 400 Bad Request: \?\[2Jred\?",
            ),
            # The token is for the server that was named.
            (answer("302 Found", "", Location=place), f"URL refused: 302 Found: moved to {place}"),
            (b"220 mail.example ESMTP\r\n\r\n", ".*the server's response is not HTTP: .*"),
            (SWITCHING.replace(b"rdv/1", b"websocket"), ".{10,200}"),
        ]
        parts = []
        for canned, said in rows:
            url = self.canned(canned, stays=True)
            parts.append(self.assert_fails(1, said.replace("URL", url), "dial", url, "t"))
        url = self.canned(SWITCHING)  # and then it closes
        parts.append(self.assert_fails(1, "no path to the peer: relay: .+", "dial", "-r", url, "t"))
        await together(*parts)

    async def test_come_back_later(self) -> None:
        """As long as there is time for that."""
        later = answer("503 Service Unavailable", "try again", **{"Retry-After": "1"})
        url = self.canned(later, answer("404 Not Found", "no such page"))
        said = f"{url} refused: "
        lines = f"TROUBLE: {said}503 Service Unavailable: try again", f"{said}404 Not Found: .*"
        await self.assert_ended(self.rdv("dial", url, "t"), 1, *lines)
        url = self.canned(later.replace(b"After: 1", b"After: 9"))
        said = f"{url} refused: 503 Service Unavailable: try again"
        await self.assert_fails(1, said, "dial", "--timeout", "8", url, "t")

    async def test_dialer_is_replaced(self) -> None:
        """It dials again; in the end it says by whom it was."""
        url = self.canned(answer("409 Conflict", "replaced by another conn"))
        said = "another program dials with the same token and replaced this one"
        refused = f"{url} refused: 409 Conflict: replaced by another conn"
        # Usually there is no time for another attempt. The time may also run out during one.
        said = rf"{said} \({refused}\)"
        said = f"{said}|no connection within 2 s: {said}, then .+"
        await self.assert_fails(1, f"(?:{said})", "dial", "--timeout", "2", url, "t")

    async def test_nobody_hears_it(self) -> None:
        """A status speaks for itself."""
        rows = (
            (1, ("dial", "http://nobody.invalid/", "t")),
            (2, ("dial", "ftp://nobody.invalid/", "t")),
            (2, ("dial", "--timeout=nan", "http://nobody.invalid/", "t")),
        )

        async def check(redirection: str, status: int, arguments: tuple[str, ...]) -> None:
            command = ("-c", f'exec "$@" {redirection}', "sh", PYTHON, "-m", "rdv", *arguments)
            program = Program(self, "/bin/sh", *command)
            self.assertEqual(await program.ended, status, program.report())
            self.assertEqual((program.stdout, program.stderr), (b"", b""))

        await together(*(check(where, *row) for where in ("2>&-", "2>/dev/full") for row in rows))


class UsageTests(FailureTestCase):
    """Wrong arguments are reported before anything is tried."""

    async def test_arguments(self) -> None:
        """One row of each kind; :mod:`rdv.test.commands` has them all."""
        exposing, connecting = ("expose", NOBODY, "t"), ("connect", NOBODY, "t")
        nonsense = self.file_of(b"nonsense")
        await together(
            *(
                self.assert_usage(said, *arguments)
                for said, arguments in (
                    (".*COMMAND", ()),
                    (".*invalid choice: 'walk'.*", ("walk",)),
                    (".*TOKEN", ("dial", NOBODY)),
                    (".*--timeout.*'soon'", ("dial", "--timeout", "soon", NOBODY, "t")),
                    (".*--drain.*", ("serve", "--drain", "-1")),
                    ("not an http:// or https:// URL: 'ftp://x/'", ("dial", "ftp://x/", "t")),
                    (".*127.0.0.1:99999.*", ("dial", "http://127.0.0.1:99999/", "t")),
                    ("the token is empty", ("dial", NOBODY, "")),
                    ("the token contains a control character", ("accept", NOBODY, "a\nb")),
                    ("the token is not valid UTF-8", ("accept", NOBODY, "\udcff")),
                    (
                        "not an address space: 'moon'; there are public4, .*all",
                        ("dial", "--spaces", "loopback,moon", NOBODY, "t"),
                    ),
                    # The value of a header is not repeated.
                    ("not ((?!secret).)+", ("dial", "--header", "na me: secret", NOBODY, "t")),
                    ("cannot read /nowhere: .*", ("dial", "--ca", "/nowhere", NOBODY, "t")),
                    (f".*{nonsense}.*", ("dial", "--cert", nonsense, NOBODY, "t")),
                    (".*65536.*", ("dial", "--local-port", "65536", NOBODY, "t")),
                    (".*host:70000'", (*exposing, "host:70000")),
                    (".*TARGET", ("expose",)),
                    ("not PORT, HOST:PORT or unix:PATH: 't'", exposing),
                    ("the token is empty", ("expose", NOBODY, "", "1")),
                    (".*many.*", (*exposing, "1", "--max=many")),
                    (".*--listen.*", connecting),
                    (".*example.com.*", (*connecting, "--listen=example.com:80")),
                    # Before any peer arrives.
                    ("not an http:// .*", ("connect", "ftp://x/", "t", "--listen=0")),
                    ("(?:cannot listen on|not a port).*99999.*", ("serve", "-l", "99999")),
                    (
                        "(?:cannot listen on|not a port).*interfaec.*",
                        ("serve", "-l", "tcp:0:interfaec=1"),
                    ),
                    (
                        "(?:cannot listen on|not a port).*tcp:99999.*",
                        ("serve", "--workers", "2", "-l", "tcp:99999"),
                    ),
                )
            )
        )


class PortTests(FailureTestCase):
    def busy_ports(self) -> Iterator[str]:
        """One that somebody holds, and one that listens."""
        yield str(self.taken_port())
        yield self.canned(b"").rpartition(":")[2].partition("/")[0]

    async def test_commands(self) -> None:
        rows: list[tuple[str, tuple[str, ...]]] = []
        for port in self.busy_ports():
            said = rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"
            rows.append((said, ("serve", "-l", f"127.0.0.1:{port}")))
            rows.append((said, ("serve", "-l", f"127.0.0.1:{port}", "--workers", "2")))
            rows.append((said, ("connect", NOBODY, "t", "--listen", port)))
        port = str(self.taken_port())
        said = f"cannot listen on local port {port}: Address already in use"
        rows.append((said, ("dial", "--local-port", port, NOBODY, "t")))
        said = "cannot listen on unix:/nowhere/x: No such file or directory"
        rows.append((said, ("serve", "-l", "unix:/nowhere/x", "--workers", "2")))
        await together(*(self.assert_fails(1, said, *arguments) for said, arguments in rows))

    async def test_twist(self) -> None:
        """So does ``twist rdv``, and it does not stay up, deaf."""
        for port in self.busy_ports():
            for options in ((), ("--workers", "2")):
                listen = f"tcp:{port}:interface=127.0.0.1"
                program = self.twist_program("rdv", "--port", listen, *options)
                self.assertEqual(await program.ended, 1, program.report())
                said = f"^twist rdv: cannot listen on {listen}: Address already in use\n$"
                self.assertRegex(program.stderr.decode(), said)
                self.assertNotIn(b"Traceback", program.stdout)
