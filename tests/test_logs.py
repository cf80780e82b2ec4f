"""
The forms of a server's log, in both commands, with workers and without.
"""

from __future__ import annotations

import json
import re

from twisted.internet.defer import gatherResults

from rdv.server.logs.observers import COLUMNS
from tests.callers import call, call_all, join
from tests.processes import PYTHON, Program
from tests.servers import TWIST, SystemTestCase

SERVE = (PYTHON, "-m", "rdv", "serve", "--listen", "127.0.0.1:0")
RDV = (TWIST, "rdv", "--listen", "tcp:0:interface=127.0.0.1")
WORKERS = ("--workers", "2")
#: What they log about the port, in any form.
PORT = r"(?:LISTENING: 127\.0\.0\.1:|\"address\": \"127\.0\.0\.1:|starting on )(\d+)\b"
TOKEN = "5f0c6a4e-0d0f"


async def meet_and_part(port: int, token: str = TOKEN) -> None:
    """One pair that is relayed, and ends in good order."""
    dialer, acceptor = await join(port, token)
    heard = acceptor.hear(b"four")
    dialer.write(b"four")
    await heard
    await dialer.leave()
    await acceptor.leave()


class FormTests(SystemTestCase):
    """The output for a program."""

    forked = True

    async def served(self, *argv: str) -> Program:
        """A server that has had a pair, somebody who asked for a page, and its end."""
        server = Program(self, *argv)
        self.port = int((await server.line(PORT))[1])
        if "2" in argv:  # the port is there before the workers
            await gatherResults([server.line(f"worker {n} serves as") for n in (0, 1)])
        talker = await self.ask(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        self.assertIn(b" 426 ", talker)
        await meet_and_part(self.port)
        await server.line(r"\brelayed\b")
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())
        said = server.stdout.decode() + server.stderr.decode()
        self.assertNotIn(TOKEN, said)
        self.assertNotIn("Traceback", said)
        return server

    def columns(self, line: str) -> dict[str, str]:
        """A line of the form ``access``."""
        return dict(zip(COLUMNS, line.split(" "), strict=True))

    async def test_json(self) -> None:
        """Each line an object."""
        for argv in ((*SERVE, *WORKERS), RDV):
            server = await self.served(*argv, "--log-format", "json")
            log, other = server.stdout.decode(), server.stderr.decode()
            if argv[0] == PYTHON:
                log, other = other, log
            self.assertEqual(other, "")
            events = [json.loads(line) for line in log.splitlines()]
            for event in events:
                self.assertIsInstance(event["time"], float)
                self.assertFalse({dict, list} & set(map(type, event.values())), event)
            (ended,) = [event for event in events if event["event"] == "ended"]
            self.assertEqual((ended["outcome"], ended["reason"]), ("relayed", "dialer_closed"))
            self.assertEqual((ended["dialer_bytes"], ended["acceptor_bytes"]), (4, 0))
            self.assertEqual(ended["dialer_address"], "127.0.0.0/24")
            self.assertEqual(ended.get("worker") in (0, 1), "--workers" in argv)

    async def test_access(self) -> None:
        """A line for the pair alone, elsewhere than the rest."""
        for argv in (SERVE, (*RDV, *WORKERS)):
            detail = "full" if argv[0] == PYTHON else "none"
            options = ("--log-format", "access", "--log-addresses", detail)
            server = await self.served(*argv, *options)
            (line,) = server.stdout.decode().splitlines()
            told = self.columns(line)
            self.assertEqual((told["outcome"], told["reason"]), ("relayed", "dialer_closed"))
            self.assertEqual((told["dialer_bytes"], told["acceptor_bytes"]), ("4", "0"))
            self.assertRegex(told["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
            here = "127.0.0.1" if detail == "full" else "-"
            self.assertEqual((told["dialer_host"], told["acceptor_host"]), (here, here))
            self.assertEqual(told["worker"] in "01", "--workers" in argv)
            self.assertIn(b"SIGTERM: ", server.stderr)

    async def test_hidden_clients(self) -> None:
        """A proxy that nobody has told the server about: said once, and what to do."""
        server = self.rdv("serve", "-l", "127.0.0.1:0", "--log-format", "text")
        port = int((await server.line(PORT))[1])
        await call_all(port, "ACCEPT", [f"token {number}" for number in range(60)])
        await server.line(
            "the first 50 clients all come from .*--listen haproxy:.*--observed-header"
        )
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())
        self.assertEqual(server.stderr.count(b"the first 50"), 1)

    async def test_limits(self) -> None:
        """One that hits somebody is summed up, at the latest when the server stops."""
        options = ("--limit-waiting", "1", "--log-format", "json")
        server = self.rdv("serve", "-l", "127.0.0.1:0", "--workers", "1", *options)
        port = int((await server.line(PORT))[1])
        await call(port, "ACCEPT", "the first")
        for number in range(3):
            late = await call(port, "ACCEPT", f"token {number}")
            self.assertIn(b" 429 ", await late.head())
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())
        events = map(json.loads, server.stderr.decode().splitlines())
        (hits,) = [event for event in events if event["event"] == "limit"]
        self.assertEqual((hits["level"], hits["limit"], hits["refused"]), ("warn", "waiting", 3))
        self.assertEqual(hits["worst"], "127.0.0.0/24 (3)")

    async def test_text(self) -> None:
        """And what ``twist`` has by itself, without addresses too."""
        for argv, on_stdout in (
            ((*SERVE, "-v"), False),
            ((TWIST, "--log-format", "json", "--log-level", "debug", *RDV[1:]), True),
        ):
            server = await self.served(*argv)
            said = (server.stdout if on_stdout else server.stderr).decode()
            self.assertIn("5f0c", said)
            self.assertIn("127.0.0.0/24", said)
            said = re.sub("LISTENING: .*", "", said)
            self.assertNotRegex(said, r"127\.0\.0\.1")
