"""
When there is no connection: one clear line, and an exit status that says so.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.protocol import Protocol, ServerFactory

from tests.processes import Program
from tests.servers import ERROR, SystemTestCase

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: rdv/1\r\n"


class Canned(Protocol):
    """Answers a request with these bytes, and closes if told so."""

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
    """An HTTP response."""
    body = reason.encode()
    fields = {"Content-Type": "text/plain", "Content-Length": str(len(body))} | headers
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class FailureTestCase(SystemTestCase):
    """One command that fails."""

    async def assert_fails(self, status: int, said: str, *arguments: str) -> None:
        """It says one line, and nothing on stdout."""
        program = self.rdv(*arguments)
        await self.assert_ended(program, status, said)
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

    def taken_port(self) -> int:
        """A port on 127.0.0.1 at which nobody answers and that nobody else gets."""
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


class UnreachableTests(FailureTestCase):
    """There is no server."""

    async def test_refused(self) -> None:
        """Nobody listens there."""
        url = f"http://127.0.0.1:{self.taken_port()}/rdv"
        for role in ("dial", "accept"):
            await self.assert_fails(1, f"cannot reach {url}: connection refused", role, url, "t")

    async def test_unresolvable(self) -> None:
        """There is no such host."""
        url = "http://nobody.invalid/rdv"
        await self.assert_fails(1, f"cannot reach {url}: the name does not resolve", "d", url, "t")

    async def test_no_answer(self) -> None:
        """It closes instead of answering, and not only once."""
        url = self.canned(b"")
        said = f"cannot reach {url}: the connection ended without an answer"
        await self.assert_ended(self.rdv("dial", url, "t"), 1, f"TROUBLE: {said}", said)

    async def test_not_http(self) -> None:
        """Something else lives there."""
        url = self.canned(b"220 mail.example ESMTP\r\n\r\n", stays=True)
        await self.assert_fails(1, ".*the server's answer is not HTTP: .*", "dial", url, "t")

    async def test_server_dies(self) -> None:
        """While a client waits for its peer, and does not come back in time."""
        server = await self.serve()
        acceptor = self.accept("--timeout", "4")
        await acceptor.line("^WAITING: ")
        await server.kill()
        said = f"cannot reach {self.url}: .+"
        await self.assert_ended(acceptor, 1, f"TROUBLE: {said}", said)

    async def test_nobody_comes(self) -> None:
        """Patience ends."""
        await self.serve()
        dialer = self.dial("--timeout", "0.5")
        said = rf"no connection within 0\.5 s: the peer did not come to {self.url}"
        await self.assert_ended(dialer, 1, said)


class RefusalTests(FailureTestCase):
    """There is a server, but it is not willing, or not ours."""

    async def test_status(self) -> None:
        """The status and the server's reason are shown."""
        for status, reason in (
            ("404 Not Found", "no such page"),
            ("401 Unauthorized", "who are you?"),
            ("426 Upgrade Required", "rdv/2 only"),
            ("500 Internal Server Error", "out of order"),
        ):
            url = self.canned(answer(status, f"{reason}\n"))
            said = f"{url} refused: {status}: {reason}".replace("?", r"\?")
            await self.assert_fails(1, said, "dial", url, "t")

    async def test_come_back_later(self) -> None:
        """As long as there is time for that."""
        later = {"Retry-After": "1"}
        first = answer("503 Service Unavailable", "try again", **later)
        url = self.canned(first, answer("404 Not Found", "no such page"))
        program = self.rdv("dial", url, "t")
        said = f"{url} refused: "
        lines = f"TROUBLE: {said}503 Service Unavailable: try again", f"{said}404 Not Found: .*"
        await self.assert_ended(program, 1, *lines)
        url = self.canned(answer("503 Service Unavailable", "try again", **{"Retry-After": "9"}))
        said = f"{url} refused: 503 Service Unavailable: try again"
        await self.assert_fails(1, said, "dial", "--timeout", "8", url, "t")

    async def test_no_reason(self) -> None:
        """A page for browsers is no reason for people at a terminal."""
        page = answer("404 Not Found", "<html>\n<p>long", **{"Content-Type": "text/html"})
        url = self.canned(page)
        await self.assert_fails(1, f"{url} refused: 404 Not Found", "dial", url, "t")

    async def test_redirect(self) -> None:
        """It is not followed: the token is for the server that was named. It is shown, cleanly."""
        place = "https://127.0.0.1:9/rdv"
        for status in ("301 Moved Permanently", "302 Found", "308 Permanent Redirect"):
            page = {"Location": place, "Content-Type": "text/html"}
            url = self.canned(answer(status, "<html>", **page))
            await self.assert_fails(
                1, f"{url} refused: {status}: moved to {place}", "dial", url, "t"
            )
        url = self.canned(answer("302 Found", "", Location="/\x1b[2J"))
        await self.assert_fails(1, rf"{url} refused: 302 Found: moved to /\?\[2J", "dial", url, "t")
        url = self.canned(answer("304 Not Modified", "why"))
        await self.assert_fails(1, f"{url} refused: 304 Not Modified", "dial", url, "t")

    async def test_reason_is_one_clean_line(self) -> None:
        """Whatever a server sends, it cannot play with the terminal."""
        url = self.canned(answer("400 Bad Request", "\x1b[2Jred\x07\nmore\n" + "x" * 9000))
        await self.assert_fails(
            1, rf"{url} refused: 400 Bad Request: \?\[2Jred\?", "dial", url, "t"
        )

    async def test_same_role(self) -> None:
        """The real server has got another acceptor with this token."""
        server = await self.serve()
        older = self.accept()
        await server.line("waiting: acceptor")
        self.accept()
        said = "another program accepts with the same token and took our place"
        refused = f"{self.url} refused: 409 Conflict: replaced by another conn"
        await self.assert_ended(older, 1, rf"{said} \({refused}\)")

    async def test_dialer_is_replaced(self) -> None:
        """It dials again, until the server says something else."""
        replaced = answer("409 Conflict", "replaced by another conn")
        url = self.canned(replaced, replaced, answer("404 Not Found", "no such page"))
        await self.assert_fails(1, f"{url} refused: 404 Not Found: no such page", "dial", url, "t")

    async def test_dialer_is_replaced_for_good(self) -> None:
        """In the end it says that it was."""
        url = self.canned(answer("409 Conflict", "replaced by another conn"))
        said = "another program dials with the same token and took our place"
        refused = f"{url} refused: 409 Conflict: replaced by another conn"
        # Mostly there is no time for a further attempt. It may also run out in one.
        said = rf"{said} \({refused}\)|no connection within 2 s: {said}, then .+"
        await self.assert_fails(1, f"(?:{said})", "dial", "--timeout", "2", url, "t")

    async def test_malformed_switch(self) -> None:
        """A 101 that is not rdv/1, or that cannot be understood."""
        good = b"Rdv-Peer-Addrs: \r\n"
        eleven = b", ".join([b"192.0.2.1:5000"] * 11)
        for head in (
            b"HTTP/1.1 101 Switching Protocols\r\n" + good,
            SWITCHING.replace(b"rdv/1", b"websocket") + good,
            SWITCHING + b"Rdv-Peer-Addrs: 192.0.2.1\r\n",
            SWITCHING + b"Rdv-Peer-Addrs: " + eleven + b"\r\n",
            SWITCHING + b"Rdv-Observed-Addr: here\r\n" + good,
        ):
            url = self.canned(head + b"\r\n", stays=True)
            await self.assert_fails(1, ".{10,200}", "dial", url, "t")

    async def test_leaves_after_switch(self) -> None:
        """A server that answers well and is gone."""
        url = self.canned(SWITCHING + b"Rdv-Peer-Addrs: \r\n\r\n")
        await self.assert_fails(1, "no path to the peer: relay: .+", "dial", "-r", url, "t")


class UsageTests(FailureTestCase):
    """What cannot work is said before anything is tried."""

    async def test_scheme(self) -> None:
        """Neither http nor https."""
        said = "not an http:// or https:// URL: 'ftp://127.0.0.1/rdv'"
        await self.assert_fails(2, said, "dial", "ftp://127.0.0.1/rdv", "t")

    async def test_url(self) -> None:
        """No URL at all, or with a port that there is not."""
        for url in ("http://", "http://[::1/", "127.0.0.1:8080", "http://127.0.0.1:99999/"):
            await self.assert_fails(2, ".*" + url.replace("[", r"\[") + ".*", "dial", url, "t")

    async def test_token(self) -> None:
        """Tokens that cannot travel."""
        for token, said in (
            ("", "the token is empty"),
            ("a\nb", "the token contains a control character"),
            ("a\x85b", "the token contains a control character"),
            (" a", "the token begins or ends with a blank"),
            ("\udcff", "the token is not valid UTF-8"),
            ("x" * 8193, "the token has 8193 bytes, more than 8192"),
        ):
            url = "http://127.0.0.1:9/"
            for role in ("dial", "accept"):
                await self.assert_fails(2, said, role, url, token)

    async def test_values(self) -> None:
        """Option values that make no sense."""
        for option, value, said in (
            ("--spaces", "loopback,moon", "not an address space: 'moon'"),
            ("--header", "no colon", "not NAME: VALUE: 'no colon'"),
            ("--header", "bad name: value", ".*bad name.*"),
            ("--ca", "/nowhere/ca.pem", "cannot read /nowhere/ca.pem: .*"),
            ("--local-port", "65536", ".*65536.*"),
            ("--local-port", "-1", ".*-1.*"),
        ):
            program = self.rdv("dial", option, value, "http://127.0.0.1:9/", "t")
            await self.assert_usage(program, said)

    async def test_arguments(self) -> None:
        """What argparse refuses."""
        for arguments, said in (
            ([], ".*COMMAND"),
            (["walk"], ".*invalid choice: 'walk'.*"),
            (["dial", "http://127.0.0.1/"], ".*TOKEN"),
            (["serve", "--drain", "-1"], ".*--drain.*"),
            (["dial", "--timeout", "soon", "http://127.0.0.1/", "t"], ".*--timeout.*'soon'"),
            (["demo", "--loud"], ".*--loud"),
        ):
            program = self.rdv(*arguments)
            await self.assert_usage(program, said)

    async def assert_usage(self, program: Program, said: str) -> None:
        """The last line is clear; before it there may be a short reminder of the usage."""
        self.assertEqual(await program.ended, 2, program.report())
        *reminder, last = program.stderr.decode().splitlines()
        self.assertRegex(last, f"^{ERROR}{said}$")
        self.assertNotIn("Traceback", "".join(reminder))


class PortTests(FailureTestCase):
    """Ports that cannot be had."""

    def busy_ports(self) -> Iterator[str]:
        """One that somebody holds, and one that listens."""
        yield str(self.taken_port())
        yield self.canned(b"").rpartition(":")[2].partition("/")[0]

    async def test_serve(self) -> None:
        """``rdv serve`` says which."""
        for port in self.busy_ports():
            said = rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"
            await self.assert_fails(1, said, "serve", "-l", f"127.0.0.1:{port}")

    async def test_twist(self) -> None:
        """So does ``twist rdv``, and it does not stay up, deaf."""
        for port in self.busy_ports():
            program = self.twist_program("rdv", "--port", f"tcp:{port}:interface=127.0.0.1")
            self.assertEqual(await program.ended, 1, program.report())
            self.assertRegex(program.stderr.decode(), f"^twist rdv: cannot listen on .*{port}.*\n$")
            self.assertNotIn(b"Traceback", program.stdout)

    async def test_serve_nonsense(self) -> None:
        """What is neither a port nor an endpoint is wrong usage."""
        words = ("nonsense", "99999", "127.0.0.1:99999", "tcp:99999", "tcp:x", "tcp:0:interfaec=1")
        for text in words:
            number = text.removeprefix("127.0.0.1:")
            said = f"(?:cannot listen on|not a port).*{number}.*"
            await self.assert_fails(2, said, "serve", "-l", text)
        for text in ("99999", "tcp:99999"):
            said = f"(?:cannot listen on|not a port).*{text}.*"
            await self.assert_fails(2, said, "serve", "--workers", "2", "-l", text)

    async def test_local_port(self) -> None:
        """The port that a client shall use is another's."""
        port = self.taken_port()
        said = f"cannot listen on local port {port}: Address already in use"
        arguments = ("--local-port", str(port), "http://127.0.0.1:9/", "t")
        await self.assert_fails(1, said, "dial", *arguments)
