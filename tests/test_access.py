"""
Access control of a server, from an operator's files, with real programs.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.web.http_headers import Headers
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import Site

from rdv._secure.secret import server_token
from rdv.test.server.doubles import request
from tests.processes import PYTHON, Program
from tests.secure import PATHS, STEADY, SecureTestCase
from tests.servers import LISTENING, RELAYED
from tests.test_secrets_hidden import assert_hidden

REACTOR: Any = reactor
UNSIGNED = "this server only accepts signed tokens: ask its operator for one"


class AccessTestCase(SecureTestCase):
    """Files for the server, and clients that are let in or refused."""

    def private(self, text: str) -> str:
        """A file that nobody else can read."""
        path = self.file_of(text.encode())
        Path(path).chmod(0o600)
        return path

    def minted(self, *options: str) -> str:
        """What ``rdv token`` prints."""
        command = [PYTHON, "-m", "rdv", "token", *options]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    async def meet(self, options: tuple[str, ...], *said: str) -> None:
        """
        Two that have the token are connected, and what one says arrives.

        :param said: what both of them say when they are connected.
        """
        options = (*options, *self.trust)
        silent = self.opened(os.devnull)
        acceptor = self.accept(*options, stdin=silent)
        dialer = self.dial(*options)
        dialer.write(b"hello")
        dialer.close_stdin()
        for client in (dialer, acceptor):
            await self.assert_ended(client, 0, *said)
        self.assertEqual(acceptor.stdout, b"hello")

    async def assert_refused(self, client: Program, status: int, reason: str) -> None:
        """It has got that, once and for all."""
        await self.assert_ended(client, 1, f"{self.url} refused: {status} [A-Z][a-z]+: {reason}")


class TokenKeyTests(AccessTestCase):
    """``--token-key``."""

    def setUp(self) -> None:
        super().setUp()
        self.key = "an operator's own key"
        self.keys = self.private(f"{self.key}\n")
        self.token = self.minted("--key", self.keys, "--user", "alice")
        self.secret = self.token

    async def test_secured(self) -> None:
        """Directly and relayed; what the server sees of it is no secret, and it tells even less."""
        server = await self.serve("--token-key", self.keys)
        for options, said in PATHS:
            await self.meet(options, said)
        server.signal("TERM")
        await server.ended
        shown = server.stderr.decode()
        secret, _, signed = self.token.partition("@")
        assert_hidden(self, secret, shown)
        for text in (signed, signed.rpartition(".")[2], self.key):
            self.assertNotIn(text, shown)

    async def test_others(self) -> None:
        """Are told what they need, whoever they are, and with several workers."""
        await self.serve("--token-key", self.keys, "--workers", "2")
        await self.assert_refused(self.dial(token="a plain token"), 403, UNSIGNED)
        await self.assert_refused(self.accept(token=self.token.partition("@")[0]), 403, UNSIGNED)
        forged = self.minted("--key", self.private("another operator's key"), "--user", "alice")
        reason = "the token's signature is wrong: ask the server's operator for a new one"
        await self.assert_refused(self.dial(token=forged), 403, reason)
        for options, said in PATHS:
            await self.meet(options, said)

    async def test_plain(self) -> None:
        """Any client can have one; over TLS."""
        await self.serve_https("--token-key", self.keys)
        self.secret = self.minted("--key", self.keys, "--user", "bob", "--plain")
        await self.meet(RELAYED, "CONNECTED: relay .*")

    async def test_secret_that_the_operator_does_not_know(self) -> None:
        """Only its server token is signed."""
        await self.serve("--token-key", self.keys)
        own = self.minted()
        shown = self.minted("--server-token", self.private(own))
        signed = self.minted("--key", self.keys, "--user", "alice", "--for", shown)
        self.secret = f"{own}@{signed}"
        await self.meet(STEADY, PATHS[0][1])

    async def test_check(self) -> None:
        """``rdv check`` can be given a token."""
        await self.serve("--token-key", self.keys)
        path = self.private(self.token)
        check = self.rdv("check", "-r", "-q", "--no-throughput", "--token-file", path, self.url)
        self.assertEqual(await check.ended, 0, check.report())
        self.assertIn(b"Through the relay, dialer and acceptor connect in", check.stdout)


class BearerTests(AccessTestCase):
    """``--bearer-file``."""

    def headers(self, token: str) -> tuple[str, str]:
        """The option with which a client shows it."""
        return ("--header-file", self.private(f"Authorization: Bearer {token}\n"))

    async def test_clients(self) -> None:
        """Whoever shows one meets whoever does; until it is taken away."""
        first, second = "the-first-token-of-alice", "another-token-of-hers"
        tokens = self.private(f"alice:{first}\n")
        server = await self.serve("--bearer-file", tokens, "--workers", "2")
        for options, said in PATHS:
            await self.meet((*options, *self.headers(first)), said)
        missing = (
            "this server requires Authorization: Bearer with a token: ask its operator for one"
        )
        await self.assert_refused(self.dial(), 401, missing)
        unknown = "unknown bearer token: ask the server's operator for another one"
        await self.assert_refused(self.dial(*self.headers(second)), 401, unknown)
        Path(tokens).write_text(f"alice:{second}\n")
        server.signal("HUP")
        for worker in range(2):
            await server.line(rf"\[worker {worker}, .*reloaded$")
        await self.assert_refused(self.dial(*self.headers(first)), 401, unknown)
        await self.meet((*PATHS[1][0], *self.headers(second)), PATHS[1][1])
        Path(tokens).write_text("short\n")
        server.signal("HUP")
        await server.line("not reloaded, keeping what was read before: .*line 1: a token has")
        await self.meet((*PATHS[1][0], *self.headers(second)), PATHS[1][1])
        server.signal("TERM")
        await server.ended
        for text in (first, second):
            self.assertNotIn(text, server.stderr.decode())


class AddressTests(AccessTestCase):
    """``--allow`` and ``--deny``."""

    async def test_lists(self) -> None:
        """Who comes from elsewhere is turned away, until the list says otherwise."""
        networks = Path(self.file_of(b"10.0.0.0/8\n"))
        server = await self.serve("--allow", str(networks))
        await self.assert_refused(self.dial(), 403, "this server does not serve your address")
        networks.write_text("127.0.0.0/8\n")
        server.signal("HUP")
        await server.line("reloaded$")
        await self.meet(RELAYED, PATHS[1][1])

    async def test_behind_a_proxy(self) -> None:
        """It is the client's address that counts, and not the proxy's."""
        await self.serve("--observed-header", "X-Real", "--deny", "192.0.2.0/24")
        header = ("--header", "X-Real: 192.0.2.7:1234")
        refused = "this server does not serve your address"
        await self.assert_refused(self.dial(*header), 403, refused)
        await self.meet((*RELAYED, "--header", "X-Real: 192.0.3.7:1234"), PATHS[1][1])


class Judge(Resource):
    """Decides which clients are let in, and records what it was told about them."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.asked: list[dict[bytes, bytes]] = []

    def render_GET(self, request: IRequest) -> bytes:
        """Answer in a few words, which do not count."""
        headers = cast(Headers, request.requestHeaders)
        self.asked.append({name: values[0] for name, values in headers.getAllRawHeaders()})
        request.setHeader("Rdv-User", "alice")
        request.setResponseCode(self.status)
        return b"some words"


class AuthURLTests(AccessTestCase):
    """``--auth-url``."""

    def setUp(self) -> None:
        super().setUp()
        self.judge = Judge()
        port: Any = REACTOR.listenTCP(0, Site(self.judge, timeout=5), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.options = (
            *("--auth-url", f"http://127.0.0.1:{port.getHost().port}/may-come"),
            *("--auth-header-file", self.private("X-Key: a password of ours\n")),
        )

    async def test_clients(self) -> None:
        """Both of a pair are asked about, directly and relayed; it is told who they are."""
        server = await self.serve("--workers", "2", *self.options)
        header = ("--header-file", self.private("Authorization: Bearer what-alice-shows\n"))
        for options, said in PATHS:
            await self.meet((*options, *header), said)
        for asked in self.judge.asked:
            self.assertEqual(asked[b"Authorization"], b"Bearer what-alice-shows")
            self.assertEqual(asked[b"X-Key"], b"a password of ours")
            self.assertEqual(asked[b"Rdv-Token"], server_token(self.secret))
            self.assertRegex(asked[b"Rdv-Observed-Addr"], rb"^127\.0\.0\.1:\d+$")
        roles = {asked[b"Rdv-Role"] for asked in self.judge.asked}
        self.assertEqual(roles, {b"dialer", b"acceptor"})
        server.signal("TERM")
        await server.ended
        for text in ("what-alice-shows", "a password of ours"):
            self.assertNotIn(text, server.stderr.decode())

    async def test_refused(self) -> None:
        """And not let in when nobody can say, which the operator learns without -v; over TLS."""
        await self.serve_https("--auth-cache", "0", *self.options)
        for status in (401, 403):
            self.judge.status = status
            text = "you may not use this server: ask its operator"
            await self.assert_refused(self.dial(*self.trust), status, text)
        self.judge.status = 200
        await self.meet(RELAYED, PATHS[1][1])
        server = self.rdv("serve", "-l", "127.0.0.1:0", "--auth-url", "http://127.0.0.1:1/")
        self.port = int((await server.line(LISTENING))[1])
        said = await self.ask(request(more=b"Connection: close\r\n"))
        self.assertEqual(said.split(b" ", 2)[1], b"503")
        self.assertIn(b"could not check your access, try again", said)
        await server.line("the auth URL does not respond as it should, refusing clients: .*refused")


class StartTests(AccessTestCase):
    """An error in a file is reported in one line, before any client is served."""

    async def test_bad_files(self) -> None:
        """With one process, and with several."""
        readable = self.file_of(b"a key that everybody can read")
        for option, text in (
            (("--token-key", "/none"), "cannot read /none: No such file or directory"),
            (
                ("--token-key", readable),
                f"{readable} contains secrets, but every .+",
            ),
        ):
            options = ("-l", "127.0.0.1:0", *option)
            servers = [self.rdv("serve", "--workers", count, *options) for count in ("1", "2")]
            for server in servers:
                await self.assert_ended(server, 1, text)

    async def test_twist(self) -> None:
        """Likewise."""
        options = ("--port", "0", "--token-key", "/none")
        servers = [self.twist_program("rdv", "--workers", count, *options) for count in ("1", "2")]
        for server in servers:
            self.assertNotEqual(await server.ended, 0)
            self.assertIn(b"twist rdv: cannot read /none: No such file", server.stderr)
            self.assertEqual(len(server.stderr.splitlines()), 1, server.report())
