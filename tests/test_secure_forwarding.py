"""
``rdv expose`` and ``rdv connect`` with a secret, and endpoints that are described in a line.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from twisted.internet.defer import Deferred, gatherResults

from rdv._secure.handshake import MESSAGE_SIZE
from rdv._secure.secret import Secret
from rdv.test.server.doubles import request
from rdv.wire import confirm_line, hello_line
from tests.documents import Shell
from tests.forwarding import CONNECTED, ForwardingTestCase
from tests.processes import Program
from tests.secure import SecureTestCase
from tests.servers import DIRECT, MEGABYTE, RELAYED, noise
from tests.talker import Talker, talk_to

#: What each side reports about a forward.
SECURED = CONNECTED.replace(", ", ", secure, ")


class ForwardingTests(SecureTestCase, ForwardingTestCase):
    timeout = 240

    async def expose(self, *options: str, token: str = "") -> Program:
        return await super().expose(*options, token=token or self.secret)

    async def connect(self, *options: str, listen: str = "0", token: str = "") -> Program:
        return await super().connect(*options, listen=listen, token=token or self.secret)

    async def check(self, path: str, *options: str) -> None:
        """One forward, of which each direction ends for itself, on any server."""
        options += ("--no-move",)  # on a busy host it would begin on the relay
        exposing, connecting = await self.expose(*options), await self.connect(*options)
        there, back = noise(1, 3 * MEGABYTE), noise(2, 2 * MEGABYTE)
        await self.check_both_ways(*await self.forward(), there, back)
        for program in (exposing, connecting):
            await program.line("^" + SECURED.format(path) + "$")
            self.assertNotIn(b"NOTICE", program.stderr)
            await program.kill()

    async def test_each_path(self) -> None:
        await self.on_each_path(self.check)

    async def test_plain_server(self) -> None:
        """Which ends both directions when one has ended."""
        await self.target()
        await self.serve_plain()
        await self.check("p2p", *DIRECT)
        await self.check("relay", *RELAYED)

    async def test_many(self) -> None:
        """At the same time, with questions that end before their answers."""
        await self.serve()
        await self.target()
        programs = await self.expose(), await self.connect()

        async def ask(number: int) -> None:
            local = await self.visit()
            content = noise(number, MEGABYTE // 4)
            local.write(content)
            local.end()
            self.assertEqual(await local.ended(), content[::-1])

        async def answer() -> None:
            visitor: Talker = await self.visitors.get()
            visitor.write((await visitor.ended())[::-1])
            visitor.end()

        talks = [Deferred.fromCoroutine(ask(number)) for number in range(12)]
        await gatherResults([*talks, *(Deferred.fromCoroutine(answer()) for _ in talks)])
        for program in programs:
            self.assertEqual(program.stderr.count(b", secure, "), 12, program.report())

    async def test_broken(self) -> None:
        """A side that is killed, in the middle or behind everything, leaves no good end."""
        await self.target()
        for serve, options in ((self.serve, DIRECT), (self.serve_plain, RELAYED)):
            await serve()
            for part in (b"", b"a part"):
                exposing, connecting = await self.expose(*options), await self.connect(*options)
                local, visitor = await self.forward()
                visitor.write(part)
                await local.received(len(part))
                exposing.signal("KILL")
                await local.gone()
                self.assertTrue(local.is_reset, local.why_lost)
                await connecting.kill()

    async def test_other_secret(self) -> None:
        """Neither it nor a plain token meets them, and they go on."""
        await self.target()
        await self.serve()
        await self.expose()
        for token in ("a token", ""):
            connecting = await self.connect(*DIRECT, "--timeout", "2", token=token)
            if token:
                await self.assert_visit_reset()
            else:
                await self.check_both_ways(*await self.forward(), b"there", b"back")
            await connecting.kill()

    async def stranger(self, method: bytes, line: Callable[[bytes], bytes]) -> None:
        """Somebody who knows no more than the server, and what that one and a peer would say."""
        token = Secret.parse(self.secret).server_token
        talker = await talk_to(self, self.port)
        talker.write(request(method, rdv_token=token))
        await talker.head()
        talker.write(line(token) + bytes(range(MESSAGE_SIZE)))

    async def test_no_proof(self) -> None:
        """A stranger comes in the place of the peer: each side says so, and gets its peer."""
        await self.serve()
        await self.target()
        connecting = self.rdv("connect", "--json", "-r", self.url, self.secret, "-l", "0")
        self.listening = (await connecting.line('"address": "(.*)"'))[1]
        local = await self.visit()
        await self.stranger(b"ACCEPT", hello_line)
        no_proof = "the peer did not prove .*relay: the other side does not know the secret"
        await connecting.line(f'"trouble".*{no_proof}')
        exposing = await self.expose(*RELAYED)
        visitor = await self.visitors.get()
        await self.check_both_ways(local, visitor, b"there", b"back")
        await connecting.line('"ended"')
        events = [json.loads(line)["event"] for line in connecting.stderr.splitlines()]
        self.assertEqual(events, ["listening", "trouble", "back", "connected", "ended"])
        await self.stranger(b"DIAL", confirm_line)
        await exposing.line(f"^TROUBLE: {no_proof}")


class DescribedTests(SecureTestCase):
    """``rdv:URL:token=SECRET``, wherever Twisted accepts an endpoint description."""

    async def fetch(self, shell: Shell, token: str) -> bytes:
        """What the site answers to a request that comes through ``rdv dial``."""
        dialer = shell.start(f"rdv dial {' '.join(DIRECT)} {self.url} {token}")
        dialer.write(b"GET /notes.txt HTTP/1.0\r\n\r\n")
        await dialer.received(1)
        dialer.close_stdin()
        self.assertEqual(await dialer.ended, 0, dialer.report())
        self.assertIn(b", secure, ", dialer.stderr)
        return bytes(dialer.stdout)

    async def test_web(self) -> None:
        await self.serve()
        shell = Shell(self)
        public = shell.folder / "public"
        public.mkdir()
        (public / "notes.txt").write_text("hello\n")
        (shell.folder / "secret").write_text(f"{self.secret}\n")
        here = self.url.replace(":", r"\:") + ":spaces=loopback"
        for given in (f"token={self.secret}", "tokenFile=secret", "secure=yes:tokenFile=secret"):
            site = shell.start(f"twist web --port 'rdv:{here}:{given}' --path public")
            await site.line("(?i)starting")
            for _ in range(2):
                answer = await self.fetch(shell, self.secret)
                self.assertTrue(answer.endswith(b"\r\n\r\nhello\n"), answer)
            self.assertNotIn(self.secret[6:], (site.stdout + site.stderr).decode())
            await site.kill()
