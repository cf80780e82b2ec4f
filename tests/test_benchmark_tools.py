"""
The programs in C that ``benchmarks/relay.py`` needs, and that a relay neither loses nor changes a
byte; what ``benchmarks/mutants.py`` breaks.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTCP
from twisted.internet.protocol import ServerFactory
from twisted.protocols.portforward import ProxyFactory, ProxyServer
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.mutants import MUTANTS, product
from tests.processes import PYTHON, ROOT, Program
from tests.proxies import installed
from tests.servers import LISTENING, MEGABYTE, SystemTestCase


class MutantTests(SynchronousTestCase):
    """``benchmarks/mutants.py``."""

    def test_none_is_stale(self) -> None:
        """Each line that it breaks is there, once."""
        found = list(product(ROOT).values())
        stale = [each.old for each in MUTANTS if sum(text.count(each.old) for text in found) != 1]
        self.assertEqual(stale, [])


class ToolTestCase(SystemTestCase):
    """Builds the programs, and drives relays with the load generator."""

    async def build(self, name: str) -> str:
        """Compile a program, without a warning; its path."""
        path = str(Path(self.mktemp()).absolute())
        source = str(ROOT / "benchmarks" / f"{name}.c")
        options = ("-O2", "-Wall", "-Wextra", "-Werror")
        compiler = Program(self, installed("cc"), *options, "-o", path, source)
        self.assertEqual(await compiler.ended, 0, compiler.report())
        return path

    async def setUp(self) -> None:  # type: ignore[override]
        self._load = await self.build("load")
        self.backend = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(self.backend.close)
        self.backend_port: int = self.backend.getsockname()[1]

    def load(self, kind: str, *options: str) -> Program:
        relay = ("--kind", kind, "--relay", str(self.port), "--backend-fd", "0")
        return Program(self, self._load, *relay, *options, stdin=self.backend.fileno())

    async def report_of(self, load: Program) -> dict[str, Any]:
        """What a load generator that succeeds has found out."""
        self.assertEqual(await load.ended, 0, load.report())
        report: dict[str, Any] = json.loads(load.stdout.splitlines()[-1])
        return report

    async def check_bytes(self, kind: str) -> None:
        """Every byte arrives as it was sent, and then the end; one way and both ways at once."""
        for mode, pairs, size in (("oneway", 3, 5 * MEGABYTE), ("both", 20, MEGABYTE + 7)):
            options = ("--mode", mode, "--pairs", str(pairs), "--bytes", str(size))
            report = await self.report_of(self.load(kind, *options))
            self.assertTrue(report["verified"])
            self.assertEqual(report["bytes_there"], pairs * size)
            self.assertEqual(report["bytes_back"], pairs * size if mode == "both" else 0)


class RelayTests(ToolTestCase):
    """Relays under the load generator."""

    async def test_server(self) -> None:
        """``rdv serve`` loses nothing, and each mode counts what it should."""
        await self.serve()
        await self.check_bytes("rdv")
        for mode, figure in (
            ("oneway", "gb_per_second"),
            ("both", "gb_per_second"),
            ("pingpong", "messages_per_second"),
            ("rendezvous", "pairs_per_second"),
        ):
            load = self.load("rdv", "--mode", mode, "--pairs", "3", "--seconds", "0.3")
            report = await self.report_of(load)
            self.assertGreater(report[figure], 0)
            self.assertGreater(report["generator_cpu"], 0)

    async def test_splice(self) -> None:
        """The one in C loses nothing either, so what it is compared with does the same work."""
        relay = Program(self, await self.build("splice"), str(self.backend_port))
        self.port = int((await relay.line(LISTENING))[1])
        await self.check_bytes("tcp")


class LoadTests(ToolTestCase):
    """The load generator detects a faulty relay."""

    def forward(self, change: Callable[[bytes], bytes]) -> None:
        """Start a relay that changes what the first side says."""

        class Changing(ProxyServer):
            def dataReceived(self, data: bytes) -> None:
                super().dataReceived(change(data))

        factory = ProxyFactory("127.0.0.1", self.backend_port)
        factory.protocol = Changing
        listening = cast(IReactorTCP, reactor).listenTCP(
            0, cast(ServerFactory, factory), interface="127.0.0.1"
        )
        self.addCleanup(listening.stopListening)
        self.port = cast(Any, listening.getHost()).port

    async def check_found(self, change: Callable[[bytes], bytes], said: str) -> None:
        """It ends with an error."""
        self.forward(change)
        load = self.load("tcp", "--mode", "oneway", "--bytes", "50000", "--pairs", "1")
        self.assertEqual(await load.ended, 1, load.report())
        self.assertEqual(load.stderr.decode(), f"{said}\n")

    async def test_wrong_byte(self) -> None:
        """A byte that has changed on the way is named."""
        seen = bytearray()

        def change(data: bytes) -> bytes:
            begun = len(seen)
            seen.extend(data)
            place = 8 + 40_000 - begun  # after the 8 bytes that identify the pair
            if 0 <= place < len(data):
                return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            return data

        await self.check_found(change, "load: pair 0: the byte at 40000 is wrong")

    async def test_lost_byte(self) -> None:
        """So is what is missing before the end."""
        seen = bytearray()

        def change(data: bytes) -> bytes:
            seen.extend(data)
            return data[:-1] if len(seen) == 8 + 50_000 else data

        said = "load: pair 0: 49999 bytes of 50000 arrived, then the end"
        await self.check_found(change, said)


class BenchmarkTests(SystemTestCase):
    """The benchmark as a whole, as short as can be."""

    async def test_table_and_plot(self) -> None:
        """Each relay that is there has a row, and a line in the picture."""
        for name in ("cc", "haproxy", "socat"):
            installed(name)
        numbers, picture = (str(Path(self.mktemp()).absolute()) for _ in range(2))
        options = ("--runs", "1", "--seconds", "0.5", "--pairs", "1", "--only", "oneway")
        benchmark = Program(self, PYTHON, "-m", "benchmarks.relay", *options, "--json", numbers)
        self.assertEqual(await benchmark.ended, 0, benchmark.report())
        for relay in ("rdv", "haproxy", "socat", "C loop"):
            self.assertRegex(benchmark.stdout.decode(), rf"one way, 1 pair: {relay} +\d")
        plot = Program(self, PYTHON, "-m", "benchmarks.plot", numbers, picture)
        self.assertEqual(await plot.ended, 0, plot.report())
        self.assertIn("C splice loop", ElementTree.parse(picture).getroot().itertext())
