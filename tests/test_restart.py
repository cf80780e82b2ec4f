"""
Commands that wait at a server which goes away and comes back.
"""

from __future__ import annotations

from rdv import Secret
from tests.forwarding import ForwardingTestCase
from tests.processes import Program
from tests.servers import DIRECT, RELAYED


class RestartTests(ForwardingTestCase):
    """``rdv accept``, ``dial`` and ``expose``."""

    async def check_bytes(self, waiting: Program, other: Program) -> None:
        for program in (waiting, other):
            program.write(b"bytes")
            program.close_stdin()
        for program in (waiting, other):
            self.assertEqual(await program.ended, 0, program.report())
            self.assertEqual(program.stdout, b"bytes")

    async def test_stream(self) -> None:
        """It waits on, whoever it is and however it is connected then."""
        server = await self.serve()
        programs = [self.accept(*DIRECT), self.dial(*DIRECT, token="other")]
        programs.append(self.accept("--json", "-r", token="third"))
        for program in programs[:2]:
            await program.line("^WAITING: for the peer$")
        await programs[2].line('^{"event": "waiting", .*"url": "http://')
        await server.kill()
        for program in programs[:2]:
            await program.line(f"^TROUBLE: cannot reach {self.url}: ")
        await programs[2].line('^{"event": "trouble", .*"message": "cannot reach')
        await self.serve_again()
        for program in programs[:2]:
            await program.line(f"^BACK: waiting at {self.url} again$")
        await programs[2].line('^{"event": "back"')
        await self.check_bytes(programs[0], self.dial(*DIRECT))
        await self.check_bytes(programs[1], self.accept(*DIRECT, token="other"))
        await self.check_bytes(programs[2], self.dial("-r", token="third"))

    async def test_at_once(self) -> None:
        """Even if it goes away as soon as it has the request."""
        server = await self.serve()
        acceptor = self.accept(*DIRECT)
        await server.line("waiting: acceptor")
        await server.kill()
        await acceptor.line(f"^TROUBLE: cannot reach {self.url}: ")
        await self.serve_again()
        await self.check_bytes(acceptor, self.dial(*DIRECT))

    async def test_where(self) -> None:
        """It is said with ``-v`` only, and with ``--quiet`` nothing is."""
        await self.serve()
        quiet = self.accept("--quiet", token="quiet")
        loud = self.accept("-v", token="loud")
        await loud.line(f"^WAITING: for the peer at {self.url}$")
        dialer = self.dial("--quiet", *RELAYED, token="quiet")
        await self.check_bytes(quiet, dialer)
        for program in (quiet, dialer):
            self.assertEqual(program.stderr, b"")

    async def test_another_acceptor(self) -> None:
        """The first one is told by whom it was replaced, in the words that ``expose`` has."""
        await self.serve()
        first = self.accept(*DIRECT)
        await first.line("^WAITING: ")
        second = self.accept(*DIRECT)
        said = "another program accepts with the same token and replaced this one (.*409 Conflict.*"
        self.assertEqual(await first.ended, 1, first.report())
        self.assertRegex(first.stderr.decode().splitlines()[-1], said.replace("(", r"\(", 1))
        await self.check_bytes(second, self.dial(*DIRECT))

    async def test_another_acceptor_of_a_secret(self) -> None:
        """Whoever took its place, it comes back, and says once that it is not alone."""
        await self.serve()
        secret = Secret.generate()
        first = self.accept(*RELAYED, token=secret.reveal())
        await first.line("^WAITING: ")
        for _ in range(2):
            other = self.accept(*RELAYED, token=secret.server_token.decode())
            await other.line("^WAITING: ")
            # It has a plain token, and ends when the first one is back.
            self.assertEqual(await other.ended, 1, other.report())
        await self.check_bytes(first, self.dial(*RELAYED, token=secret.reveal()))
        self.assertEqual(first.stderr.count(b"TROUBLE: another program accepts"), 1)

    async def test_nobody_proves_the_secret(self) -> None:
        """Who dials with the server token only costs a pause, on either side."""
        await self.serve()
        secret = Secret.generate()
        first = self.accept(*RELAYED, token=secret.reveal())
        await first.line("^WAITING: ")
        stranger = self.dial(*RELAYED, token=secret.server_token.decode())
        await first.line("^TROUBLE: the peer did not prove that it knows the secret")
        stranger.close_stdin()
        await self.check_bytes(first, self.dial(*RELAYED, token=secret.reveal()))

    async def test_expose_comes_first(self) -> None:
        """It need not be started after its server."""
        server = await self.serve()
        await server.kill()
        await self.target()
        exposing = self.rdv("expose", *DIRECT, self.url, "a token", self.where)
        await exposing.line(f"^TROUBLE: cannot reach {self.url}: connection refused$")
        await self.serve_again()
        await exposing.line("^WAITING: ")
        await self.connect()
        await self.check_both_ways(*await self.forward(), b"there", b"back")
        self.assertNotIn(b"BACK", exposing.stderr)
