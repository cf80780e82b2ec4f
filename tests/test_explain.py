"""
``rdv dial`` and ``rdv accept`` with ``--explain`` and ``--explain-to``.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests import natlab
from tests.natlab import Conditions, Lab
from tests.natlab.case import topology
from tests.natlab.model import Box, Site, Stray, Topology
from tests.natlab.programs import Server
from tests.processes import PYTHON, ROOT, Program
from tests.servers import DIRECT, RELAYED, SAID_BY_THE_WAY, SystemTestCase

UTF8 = {"PYTHONIOENCODING": "utf-8", "COLUMNS": "100"}


def records(path: str | Path) -> list[dict[str, Any]]:
    """The events in a file."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


class ExplainTestCase(SystemTestCase):
    """Programs whose stderr is read."""

    forked = True

    def said(self, program: Program) -> str:
        return program.stderr.decode()

    def path(self, suffix: str) -> Path:
        """A file to explain to."""
        return Path(self.mktemp() + suffix).absolute()

    def check_records(self, found: list[dict[str, Any]], last: str) -> None:
        """One attempt from its beginning to its end, in the order of time."""
        self.assertEqual((found[0]["event"], found[-1]["event"]), ("begun", last))
        times = [each["time"] for each in found]
        self.assertEqual(times, sorted(times))

    async def check_pair(self, *options: str) -> tuple[list[Program], list[list[dict[str, Any]]]]:
        """An acceptor and a dialer that meet and part, and their events."""
        await self.serve()
        paths = self.path(".ndjson"), self.path(".ndjson")
        programs = []
        for connect, path in zip(("accept", "dial"), paths, strict=True):
            explain = ("--explain", "--explain-to", str(path))
            programs.append(self.rdv(connect, *options, *explain, self.url, "t", env=UTF8))
            programs[-1].close_stdin()
        for program in programs:
            self.assertEqual(await program.ended, 0, program.report())
        found = [records(path) for path in paths]
        for each in found:
            self.check_records(each, "connected")
        return programs, found


class ConnectedTests(ExplainTestCase):
    """There is a connection."""

    async def test_direct(self) -> None:
        """The way that won, and the relay, which did not."""
        programs, found = await self.check_pair(*DIRECT)
        for program in programs:
            self.assertRegex(self.said(program), r"(?m)^A direct path won: ")
            self.assertRegex(self.said(program), r"(?m)^(from )?\S+:\d+ loopback .*★ +chosen")
            self.assertRegex(self.said(program), r"(?m)^relay loopback .*┘ +(a|the peer chose a)")
            # Behind the waterfall goes on what is always said.
            self.assertRegex(self.said(program).splitlines()[-1], "^CONNECTED: p2p ")
        for events, role in zip(found, ("acceptor", "dialer"), strict=True):
            self.assertEqual(events[0]["role"], role)
            chosen = [each["way"] for each in events if each["event"] == "chosen"]
            self.assertEqual(chosen, [events[-1]["way"]])

    async def test_relay(self) -> None:
        (acceptor, dialer), (_, found) = await self.check_pair(*RELAYED)
        self.assertIn("The relay was taken: there was no address to dial.", self.said(dialer))
        self.assertIn("The relay was taken: the dialer chose it.", self.said(acceptor))
        answered = next(each for each in found if each["event"] == "answered")
        self.assertEqual(answered["status"], 101)
        if sys.platform == "linux":
            self.assertTrue(0 < answered["round_trip"] < 1, answered)

    async def test_again(self) -> None:
        """After a 408 it is another attempt; the last is told, and how many there were."""
        server = await self.serve("--lobby-timeout", "2")
        path = self.path(".ndjson")
        acceptor = self.accept("-r", "--explain", "--explain-to", str(path))
        await server.line("waiting: acceptor")
        await server.line("refused: acceptor")
        dialer = self.dial("-r")
        for program in (acceptor, dialer):
            program.close_stdin()
        for program in (acceptor, dialer):
            self.assertEqual(await program.ended, 0, program.report())
        self.assertRegex(self.said(acceptor), r"\(the\s+last\s+of\s+\d\s+attempts\)")
        found = records(path)
        self.assertGreater(found[-1]["attempt"], 1)
        self.assertEqual(found[0]["attempt"], 1)


class NotConnectedTests(ExplainTestCase):
    """There is no connection."""

    async def test_refused(self) -> None:
        """The server does not want us."""
        await self.serve("--path", "/elsewhere")
        dialer = self.dial("--explain")
        self.assertEqual(await dialer.ended, 1)
        said = self.said(dialer)
        self.assertIn("There is no connection: the server answered 404 Not Found.", said)
        self.assertRegex(said.splitlines()[-1], "refused: 404")

    async def test_unreachable(self) -> None:
        """There is no server; in ASCII for a terminal that has nothing else."""
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{sock.getsockname()[1]}"
            path = self.path(".ndjson")
            environment = {"PYTHONIOENCODING": "ascii", "COLUMNS": "60"}
            options = ("--explain", "--explain-to", str(path))
            dialer = self.rdv("dial", *options, url, "t", env=environment)
            self.assertEqual(await dialer.ended, 1)
        said = self.said(dialer)
        self.assertTrue(said.isascii())
        self.assertRegex(said, r"(?m)^server \S+ +>?-*x +connection refused$")
        *picture, _ = [each for each in said.splitlines() if not SAID_BY_THE_WAY.match(each)]
        self.assertLessEqual(max(map(len, picture)), 60)
        found = records(path)
        self.check_records(found, "failed")
        self.assertIn("unreached", [each["event"] for each in found])

    async def test_interrupted(self) -> None:
        """What was so far is told, and the exit status is that of the signal."""
        server = await self.serve()
        path = self.path(".html")
        acceptor = self.accept("--explain", "--explain-to", str(path))
        await server.line("waiting: acceptor")
        acceptor.signal("INT")
        self.assertEqual(await acceptor.ended, 130)
        self.assertIn("no peer came with this token", self.said(acceptor))
        self.assertIn("(cancelled:", self.said(acceptor))
        self.assertIn("</html>", path.read_text())

    async def test_time_is_up(self) -> None:
        await self.serve()
        path = self.path(".svg")
        dialer = self.dial("--explain-to", str(path), "--timeout", "0.5")
        await self.assert_ended(dialer, 1, "no connection within 0.5 s: .*")
        root = ElementTree.fromstring(path.read_text())
        title = root.findtext("{http://www.w3.org/2000/svg}title") or ""
        self.assertRegex(title, "no connection after")


class UsageTests(ExplainTestCase):
    """Mistakes that are detected before anything happens."""

    async def test_suffix(self) -> None:
        path = self.path(".txt")
        with socket.create_server(("127.0.0.1", 0)) as server:
            url = f"http://127.0.0.1:{server.getsockname()[1]}"
            dialer = self.rdv("dial", "--explain-to", str(path), url, "t")
            await self.assert_ended(dialer, 2, r"not a file of \.ndjson, \.svg or \.html: .*\.txt")
            server.setblocking(False)
            self.assertRaises(BlockingIOError, server.accept)
        self.assertFalse(path.exists())

    async def test_kept(self) -> None:
        """A file stays as it is when there is nothing to tell."""
        path = self.path(".svg")
        path.write_text("as it was")
        dialer = self.rdv("dial", "--explain-to", str(path), "http://127.0.0.1:1", "")
        await self.assert_ended(dialer, 2, "the token is empty")
        self.assertEqual(path.read_text(), "as it was")


class LabTests(TestCase):
    """Networks in which there can be no direct path."""

    timeout = 120
    skip = natlab.unavailable()

    def meet(self, plan: Topology) -> tuple[str, list[dict[str, Any]]]:
        """What a dialer says, and its events."""
        path = Path(self.mktemp() + ".ndjson").absolute()
        with Lab(plan, Conditions.named("20")) as lab:
            server = Server(lab)
            start = server.log.mark()
            common: dict[str, Any] = {"stdout": subprocess.DEVNULL, "cwd": ROOT}
            with open(__file__) as words:
                accepting = (PYTHON, "-m", "rdv", "accept", lab.url, "t")
                accept = lab.acceptor.namespace.popen(accepting, stdin=words, **common)
            server.await_acceptor(start)
            common |= {"env": {**os.environ, **UTF8}, "stderr": subprocess.PIPE}
            explain = ("--explain", "--explain-to", str(path))
            dialling = (PYTHON, "-m", "rdv", "dial", *explain, lab.url, "t")
            dial = lab.dialer.namespace.popen(dialling, stdin=subprocess.DEVNULL, **common)
            said = dial.communicate(timeout=60)[1].decode()
            accept.communicate(timeout=60)
            self.assertEqual((dial.returncode, accept.returncode), (0, 0), said)
        return said, records(path)

    async def check_refused(self, stray: Stray, name: str, words: str) -> list[dict[str, Any]]:
        """Routers that answer: the errors in words, all dials counted, and no waiting in vain."""
        site = Site((Box(only_server=True, stray=stray),))
        said, found = await deferToThread(self.meet, topology(site, site))
        dials = [each for each in found if each["event"] == "dialled"]
        refused = [each for each in found if each["event"] == "refused"]
        self.assertEqual({each["errno"] for each in refused}, {name})
        self.assertEqual({each["reason"] for each in refused}, {words})
        told = sum(each["dials"] for each in found if each["event"] == "lost")
        self.assertEqual(told, len(dials))
        self.assertIn("hurried", [each["event"] for each in found])
        self.assertRegex(said, r"The relay was taken: .* refused, so no better path was possible\.")
        self.assertRegex(said, rf"{words}; \d+ dial")
        return refused

    async def test_reset(self) -> None:
        """They send resets, so that there are many dials."""
        refused = await self.check_refused(Stray.RESET, "ECONNREFUSED", "connection refused")
        self.assertGreater(len(refused), 50)

    async def test_prohibited(self) -> None:
        """They send ICMP, which ends a dial at its second SYN."""
        await self.check_refused(Stray.PROHIBITED, "EHOSTUNREACH", "no route to host")

    async def test_silent(self) -> None:
        """Routers that do not answer: each address is dialled once, and the relay waits."""
        said, found = await deferToThread(self.meet, natlab.TOPOLOGIES["no-path"])
        dials = [each for each in found if each["event"] == "dialled"]
        self.assertEqual({each["dial"] for each in dials}, {1})
        waits = [each["seconds"] for each in found if each["event"] == "waits"]
        self.assertEqual(waits, [2.0])
        self.assertRegex(said, r"The relay was taken: .*answer(ed)? within 2 s\.")
