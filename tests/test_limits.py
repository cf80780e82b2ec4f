"""
Limits for each address: one address takes all that it can get, and clients from another one still
meet.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import time

from twisted.internet.threads import deferToThread

from rdv.test.server.doubles import request
from rdv.test.server.workers.doubles import token_of
from tests.callers import call
from tests.processes import PYTHON, Program
from tests.test_descriptors import open_files
from tests.workers import WORKERS, WorkersTestCase

#: How many connections an attacker tries to have, and how many the server allows: 256, plus those
#: that are being refused, and the descriptors that are open anyway.
MANY, AT_MOST = 600, 256 + 75 + 40
PAIRS = 10
HOG = "127.0.0.9"


class LimitsTests(WorkersTestCase):
    async def attack(self, kind: str) -> Program:
        """Begin, and let all of them have come."""
        options = ("--port", str(self.port), "--kind", kind, "--count", str(MANY))
        attackers = Program(self, PYTHON, "-m", "tests.attackers", *options, HOG)
        await attackers.line("READY")
        return attackers

    async def assert_meet(self) -> None:
        """Pairs meet one after the other, each at the first attempt."""
        for number in range(PAIRS):
            acceptor = await call(self.port, "ACCEPT", f"honest {number}")
            dialer = await call(self.port, "DIAL", f"honest {number}")
            for caller in (dialer, acceptor):
                self.assertIn(b" 101 ", await caller.head())
                await caller.leave()

    async def assert_harmless(self, server: Program, kind: str) -> None:
        """One address floods a server, and others do not notice."""
        attackers = await self.attack(kind)
        await self.assert_meet()
        self.assertLess(open_files(server), AT_MOST)
        attackers.close_stdin()
        self.assertEqual(await attackers.ended, 0, attackers.report())
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())
        self.assertNotIn("too few descriptors", server.stderr.decode())
        self.assertNotIn("Traceback", server.stderr.decode())

    async def test_silent(self) -> None:
        await self.assert_harmless(await self.serve(), "silent")

    async def test_long_heads(self) -> None:
        """Tokens of 8 KiB in heads that are never complete."""
        await self.assert_harmless(await self.serve(), "head")

    async def test_waiting(self) -> None:
        """
        There are no more of them, however many processes there are: but for two who are let in at
        the same moment, and for what is logged a little late.
        """
        server = await self.serve_with_workers()
        await self.assert_harmless(server, "waiting")
        waiting = most = 0
        for word in re.findall("(waiting|left): dialer", server.stderr.decode()):
            waiting += 1 if word == "waiting" else -1
            most = max(most, waiting)
        self.assertTrue(100 < most < 150, most)

    async def test_guessing(self) -> None:
        """Each token that nobody waits with is a failure, and there may be 30, and 10 a minute."""
        server = await self.serve("--limit-failures", "10")
        await call(self.port, "ACCEPT", "0150")
        begun = time.monotonic()
        found = await deferToThread(_guess, self.port, 200)
        minutes = (time.monotonic() - begun) / 60
        self.assertEqual(found, [])
        tried = server.stderr.decode().count("waiting: dialer")
        self.assertTrue(30 <= tried <= 31 + 10 * minutes, (tried, minutes))
        await self.assert_meet()

    async def test_client(self) -> None:
        """It says why it does not wait, and does not end."""
        server = await self.serve("--limit-waiting", "1")
        await call(self.port, "ACCEPT", "the first")
        await server.line("waiting: acceptor")
        client = self.rdv("accept", "-r", self.url, "a token")
        told = await client.line("TROUBLE: (.*)")
        self.assertRegex(
            told[1], "429 Too Many Requests: too many clients are waiting from your address"
        )
        client.signal("TERM")
        self.assertEqual(await client.ended, 143, client.report())

    async def test_worker_dies(self) -> None:
        """What it has counted goes with it, and what the others have counted stays."""
        await self.serve_with_workers("--limit-waiting", str(2 * WORKERS))
        for number in range(2 * WORKERS):
            self.assertTrue(await self.may_wait(number))
        self.assertFalse(await self.may_wait(10))
        victim = self.processes()[0]
        os.kill(victim, signal.SIGKILL)
        await self.server.line(rf"worker 0 serves as process (?!{victim}$)")
        for number in range(2):
            self.assertTrue(await self.may_wait(20 + number))
        self.assertFalse(await self.may_wait(30))

    async def may_wait(self, number: int) -> bool:
        """Whether a client may that comes now; the workers get them in turn."""
        await self.ask(b"DIAL", token_of(number % WORKERS, WORKERS, f"{number:03}-word"))
        said = await self.server.line(rf"(waiting|refused): dialer {number:03}-")
        return said[1] == "waiting"


def _guess(port: int, number: int) -> list[int]:
    """Try so many tokens one after the other; those with which somebody waits."""
    found = []
    for token in range(number):
        with socket.socket() as sock:
            sock.settimeout(10)
            sock.bind((HOG, 0))
            try:
                sock.connect(("127.0.0.1", port))
                sock.send(request(b"DIAL", rdv_token=b"%04d" % token))
                sock.shutdown(socket.SHUT_WR)
                if b" 101 " in sock.recv(4096):
                    found.append(token)
            except OSError:  # it was one of very many, and was reset
                continue
    return found
