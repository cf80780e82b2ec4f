"""
The commands: their options, their help, and ``twist rdv``.
"""

from __future__ import annotations

import os

from tests.processes import PYTHON, Program
from tests.servers import DIRECT, LISTENING, MEGABYTE, RELAY, RELAYED, SystemTestCase, noise

NOTICE = "NOTICE: missing observed address"


class OptionTests(SystemTestCase):
    """Where options may stand, and what they do."""

    async def check_exchange(self, dialer: Program, acceptor: Program) -> None:
        """Both say something, hear it, and end well."""
        dialer.write(b"ping")
        self.assertEqual(await acceptor.received(4), b"ping")
        acceptor.write(b"pong")
        self.assertEqual(await dialer.received(4), b"pong")
        dialer.close_stdin()
        acceptor.close_stdin()
        self.assertEqual([await dialer.ended, await acceptor.ended], [0, 0], dialer.report())
        self.assertEqual((dialer.stdout, acceptor.stdout), (b"pong", b"ping"))

    async def test_options_before_the_command(self) -> None:
        """As in the original."""
        server = self.rdv("-v", "-l", "127.0.0.1:0", "serve")
        port = (await server.line(LISTENING))[1]
        peer = (f"http://127.0.0.1:{port}", "t")
        dialer = self.rdv("-r", "dial", *peer)
        await server.line("waiting: dialer")
        acceptor = self.rdv("-v", "-r", "accept", *peer)
        await self.check_exchange(dialer, acceptor)
        await self.assert_ended(dialer, 0, RELAY)
        # The verbose one has said more, and nothing of it on stdout.
        self.assertIn(b"#debug", acceptor.stderr)
        self.assertRegex(acceptor.stderr.decode(), f"(?m)^{RELAY}$")

    async def test_options_behind_the_command(self) -> None:
        """And aliases. An endpoint may look like a host and a port."""
        server = self.rdv("s", "-v", "-l", "tcp:0")
        port = (await server.line(LISTENING))[1]
        peer = (f"http://127.0.0.1:{port}", "t")
        acceptor = self.rdv("a", *peer, "-r", "-v")
        await server.line("waiting: acceptor")
        dialer = self.rdv("d", "-r", *peer)
        await self.check_exchange(dialer, acceptor)
        self.assertIn(b"#debug", acceptor.stderr)
        await self.assert_ended(dialer, 0, RELAY)

    async def test_one_relay_option_is_enough(self) -> None:
        """A side without address spaces keeps the other from finding it."""
        await self.serve()
        dialer, acceptor = self.dial(*DIRECT, "--penalty", "0"), self.accept(*RELAYED)
        await self.check_exchange(dialer, acceptor)
        await self.assert_ended(acceptor, 0, RELAY)
        await self.assert_ended(dialer, 0, RELAY)

    async def test_local_port(self) -> None:
        """The peer sees the port that was asked for."""
        await self.serve()
        first = self.dial("--spaces", "loopback")
        acceptor = self.accept("--spaces", "loopback")
        await self.check_exchange(first, acceptor)
        # A port that was free a moment ago, and that the system will not give to other programs
        # soon.
        port = (await acceptor.line(r"^CONNECTED: p2p .*:(\d+),"))[1]
        dialer = self.dial("--spaces", "loopback", "--local-port", port, token="another")
        acceptor = self.accept("--spaces", "loopback", token="another")
        await acceptor.line(rf"^CONNECTED: p2p .*:{port}, \d+ms$")
        await self.check_exchange(dialer, acceptor)

    async def test_path(self) -> None:
        """A server that serves one path only."""
        await self.serve("--path", "/a/rdv")
        wrong = self.dial(*RELAYED)
        await self.assert_ended(wrong, 1, f"{self.url} refused: 404 .*")
        self.url = f"http://127.0.0.1:{self.port}/a/rdv"
        await self.check_exchange(self.dial(*RELAYED), self.accept(*RELAYED))

    async def test_observed_header(self) -> None:
        """One that is set, here by one of the clients itself; the other one notices."""
        server = await self.serve("--observed-header", "X-Somebody", "--log-addresses", "full")
        dialer = self.dial(*RELAYED, "--header", "X-Somebody: 192.0.2.1, 192.0.2.9:5555")
        await server.line(r"waiting: dialer .*192\.0\.2\.9:5555,")
        acceptor = self.accept(*RELAYED)
        await self.check_exchange(dialer, acceptor)
        await self.assert_ended(dialer, 0, RELAY)
        await self.assert_ended(acceptor, 0, NOTICE, RELAY)


class TwistTests(SystemTestCase):
    """The clients as services."""

    async def test_clients(self) -> None:
        """``twist rdv dial`` and ``accept``, with their log out of the way of the stream."""
        await self.serve()
        logs = [self.mktemp(), self.mktemp()]
        content = noise(1, MEGABYTE)
        dialer, acceptor = (
            self.twist_program("rdv", role, "--relay", self.url, "t", log=log)
            for role, log in zip(("dial", "accept"), logs, strict=True)
        )
        dialer.write(content)
        dialer.close_stdin()
        self.assertEqual(await acceptor.received(len(content)), content)
        acceptor.write(b"thanks")
        acceptor.close_stdin()
        self.assertEqual([await dialer.ended, await acceptor.ended], [0, 0])
        self.assertEqual((acceptor.stdout, dialer.stdout), (content, b"thanks"))
        for log in logs:
            with open(log) as file:
                self.assertRegex(file.read(), RELAY)

    async def test_input_that_cannot_be_read(self) -> None:
        """It only receives."""
        await self.serve()
        stdin = self.opened(os.devnull, os.O_WRONLY)
        log = self.mktemp()
        acceptor = self.twist_program(
            "rdv", "accept", "--relay", self.url, "a token", log=log, stdin=stdin
        )
        dialer = self.dial(*RELAYED)
        dialer.write(b"all of it")
        dialer.close_stdin()
        await self.assert_ended(dialer, 0, RELAY)
        self.assertEqual(await acceptor.ended, 0)
        self.assertEqual(acceptor.stdout, b"all of it")


class HelpTests(SystemTestCase):
    """What takes no time must not import anything slow."""

    async def imports(self, *arguments: str) -> set[str]:
        """The packages that the command imports, by its own account."""
        program = Program(self, PYTHON, "-X", "importtime", "-m", "rdv", *arguments)
        self.assertEqual(await program.ended, 0, program.report())
        self.assertTrue(program.stdout)
        lines = program.stderr.decode().splitlines()
        return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}

    async def test_no_twisted(self) -> None:
        """Neither the help nor the version needs Twisted."""
        for arguments in (["--help"], ["serve", "--help"], ["d", "--help"], ["--version"]):
            packages = await self.imports(*arguments)
            self.assertIn("argparse", packages)
            for package in ("twisted", "zope", "treq", "h11", "OpenSSL", "cryptography"):
                self.assertNotIn(package, packages, arguments)

    async def test_help(self) -> None:
        """Each command explains its options."""
        for command, words in (
            ("serve", ("--lobby-timeout", "--drain", "--observed-header", "--path")),
            ("dial", ("URL", "TOKEN", "--timeout", "--spaces", "--ca", "--header")),
            ("accept", ("URL", "TOKEN", "--timeout", "--spaces", "--ca", "--header")),
        ):
            program = self.rdv(command, "--help")
            self.assertEqual(await program.ended, 0)
            for word in words:
                self.assertIn(word, program.stdout.decode())

    async def test_twist_help(self) -> None:
        """``twist`` knows the service, and finds no plugin broken."""
        program = self.twist_program("--help")
        self.assertEqual(await program.ended, 0, program.report())
        self.assertRegex(program.stdout.decode(), r"(?m)^\s*rdv\s+\S")
        self.assertEqual(program.stderr, b"")
        program = self.twist_program("rdv", "--help")
        self.assertEqual(await program.ended, 0, program.report())
        for word in ("--port", "--lobby-timeout", "dial", "accept"):
            self.assertIn(word, program.stdout.decode())
