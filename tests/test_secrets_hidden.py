"""
No part of a secret is in the process list, nor in any output of commands, servers and reports, with
or without failures.
"""

from __future__ import annotations

import contextlib
import os
from base64 import b32decode, b64encode
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import TestCase

from rdv._secure.secret import server_token
from tests.forwarding import ForwardingTestCase
from tests.processes import Program
from tests.secure import SecureTestCase
from tests.servers import DIRECT, RELAYED


class HiddenTests(SecureTestCase):
    forked = False  # their arguments are inspected

    async def test_nowhere(self) -> None:
        """Neither the processes' arguments nor anything that either side or the server says."""
        server = await self.serve()
        explained = Path(self.mktemp())
        path = self.file_of(self.secret.encode())
        headers = self.file_of(b"Authorization: Basic cGFzc3dvcmQ=\n")
        common = ("-v", "--token-file", path, "--header-file", headers, "--secure")
        acceptor = self.rdv("accept", *common, *DIRECT, "--json", self.url)
        explain = ("--explain", "--explain-to", f"{explained.absolute()}.ndjson")
        dialer = self.rdv("dial", *common, *DIRECT, *explain, self.url)
        await dialer.line("CONNECTED: ")
        for client in (acceptor, dialer):
            shown = Path(f"/proc/{client.transport.pid}/cmdline").read_text()
            self.assertIn("--token-file", shown)
            self.assert_hidden(shown)
            client.write(b"hello")
            client.close_stdin()
        for client in (acceptor, dialer):
            self.assertEqual(await client.ended, 0, client.report())
        server.signal("TERM")
        await server.ended
        for program in (server, acceptor, dialer):
            self.assert_hidden((program.stderr + program.stdout).decode())
        self.assert_hidden(Path(f"{explained}.ndjson").read_text())

    async def test_in_another_place(self) -> None:
        """Where a URL or a file was meant; and a server that was given it does not repeat it."""
        server = await self.serve()
        for words in (
            (self.secret, self.url),
            (self.secret,),
            (self.url, "--token-file", self.secret),
        ):
            program = self.rdv("dial", "-v", *words)
            self.assertEqual(await program.ended, 2, program.report())
            self.assertIn(b"secret", program.stderr)
            self.assert_hidden(program.stderr.decode())
        head = f"DIAL /rdv HTTP/1.1\r\nHost: x\r\nRdv-Token: {self.secret}\r\n"
        head += "Connection: Upgrade, close\r\nUpgrade: rdv/1\r\n\r\n"
        said = await self.ask(head.encode())
        self.assertIn(b" 400 ", said)
        self.assert_hidden(said.decode())
        self.assert_hidden(server.stderr.decode())

    def assert_hidden(self, text: str) -> None:
        """None of the secret, nor the password."""
        assert_hidden(self, self.secret, text)
        self.assertNotIn("cGFzc3dvcmQ", text)


def assert_hidden(test: TestCase, secret: str, text: str) -> None:
    """None of the secret, in either case, nor of the bytes that it stands for."""
    body = secret.partition("-")[2]
    raw = b32decode(body.upper())[:16]
    for form in (body, raw.hex(), b64encode(raw).decode()):
        for start in range(0, len(form) - 8, 4):
            test.assertNotIn(form[start : start + 8].lower(), text.lower())
    test.assertNotIn(repr(raw)[2:-1], text)


class TroubleTests(SecureTestCase, ForwardingTestCase):
    """In any failure, with the most detailed output, a secret appears nowhere."""

    timeout = 180
    forked = False

    def setUp(self) -> None:
        super().setUp()
        self.shown = ""
        self.programs: list[Program] = []
        self.folder_of_told = Path(self.mktemp()).absolute()
        self.folder_of_told.mkdir()

    def told(self, command: str, *options: str, rest: Sequence[str] = ()) -> Program:
        """Start a command that has the secret from the environment, and tells everything."""
        if command in ("accept", "dial"):
            path = self.folder_of_told / f"{len(self.programs)}.ndjson"
            options += ("--explain", "--explain-to", str(path))
        program = self.rdv(
            *(command, "-v", *(options or DIRECT), self.url, *rest),
            env={"RDV_TOKEN": self.secret, "RDV_SERVER": ""},
        )
        self.programs.append(program)
        return program

    def look(self) -> None:
        """See what every user of this host can read of all processes."""
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                self.shown += path.read_bytes().replace(b"\0", b" ").decode(errors="replace")

    async def assert_nowhere(self, *said: str) -> None:
        """
        All that was told, when it is over.

        :param said: what has to be in it, or nothing has gone wrong.
        """
        self.look()
        shown = self.shown
        self.assertIn("serve -v", shown)
        for program in self.programs:
            if program.exit_code is None:
                program.signal("TERM")
            await program.ended
            shown += (program.stderr + program.stdout).decode(errors="replace")
        for path in self.folder_of_told.iterdir():
            shown += path.read_text()
        for text in said:
            self.assertIn(text, shown)
        assert_hidden(self, self.secret, shown)

    async def serve_all(self) -> None:
        self.programs.append(await self.serve("--workers", "2"))

    async def test_not_proven(self) -> None:
        """Somebody comes who knows what the server knows."""
        await self.serve_all()
        acceptor = self.told("accept", *RELAYED)
        await acceptor.line("WAITING: ")
        token = server_token(self.secret).decode()
        plain = self.rdv("dial", *RELAYED, self.url, token, stdin=self.opened(os.devnull))
        await acceptor.line("TROUBLE: ")
        await plain.ended
        await self.assert_nowhere("the peer did not prove that it knows the secret")

    async def test_replaced(self) -> None:
        """Somebody takes its place; and nobody comes."""
        await self.serve_all()
        acceptors = [self.told("accept", *RELAYED)]
        await acceptors[0].line("WAITING: ")
        acceptors.append(self.told("accept", *RELAYED, "--json"))
        await acceptors[0].line("TROUBLE: ")
        self.look()
        for acceptor in acceptors:
            acceptor.signal("TERM")
            await acceptor.ended
        await self.told("dial", *RELAYED, "--timeout", "1").ended
        await self.assert_nowhere("another program accepts", "no connection within 1 s")

    async def test_broken(self) -> None:
        """A stream, and forwards, that are cut."""
        await self.target()
        await self.serve_all()
        dialer, acceptor = self.told("dial", *DIRECT), self.told("accept", *DIRECT, "--json")
        await dialer.line("CONNECTED: ")
        self.look()
        acceptor.signal("KILL")
        await dialer.ended
        exposing = self.told("expose", rest=(self.where,))
        await exposing.line("WAITING: ")
        connecting = self.told("connect", *DIRECT, "--json", "--listen", "0")
        found = await connecting.line(r'"address": "([^"]*)"')
        self.listening = found[1]
        local, visitor = await self.forward()
        visitor.write(b"hello")
        await local.received(5)
        self.look()
        exposing.signal("KILL")
        await local.gone()
        await self.assert_nowhere("the stream broke", "broken")
