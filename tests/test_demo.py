"""
``rdv demo``, and what the command says about itself.
"""

from __future__ import annotations

from tests.processes import PYTHON, Program
from tests.servers import SystemTestCase


class DemoTests(SystemTestCase):
    """Everything in one process, once."""

    async def test_demo(self) -> None:
        """It says what happened, directly and relayed."""
        demo = self.rdv("demo")
        await self.assert_ended(
            demo,
            0,
            r"server: http://127\.0\.0\.1:\d+/rdv",
            r"dialer: connected, p2p (?:127\.0\.0\.1|\[::1\]):\d+, \d+ms",
            r"dialer and acceptor: 8 MiB each way in \d+ms, all as sent",
            r"dialer: connected, relay 127\.0\.0\.1:\d+, \d+ms",
            r"dialer and acceptor: 8 MiB each way in \d+ms, all as sent",
            "server: 1 direct, 1 relayed",
        )
        self.assertEqual(demo.stdout, b"")

    async def test_demo_twice_at_once(self) -> None:
        """It needs nothing that another one has taken."""
        for demo in [self.rdv("demo"), self.rdv("demo")]:
            self.assertEqual(await demo.ended, 0, demo.report())


class HelpTests(SystemTestCase):
    """What takes no time must not import what does."""

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
