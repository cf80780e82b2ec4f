"""
Streams that begin on the relay and move to a direct path, between real commands: what they report,
and that everything arrives.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Factory

from rdv._secure.secret import Secret
from rdv.addresses import AddressSpace
from rdv.client import Client
from rdv.client.dial.hole_punching import HolePuncher
from rdv.endpoints import RendezvousEndpoint, RendezvousServerEndpoint
from rdv.wire import Role
from tests.documents import execute, runs
from tests.forwarding import ForwardingTestCase
from tests.held import Hold
from tests.moved import BEGUN, MOVED, MovedTestCase
from tests.processes import Program
from tests.servers import BROKEN, DIRECT, MEGABYTE, noise
from tests.terminals import Screen

REACTOR: Any = reactor


class StreamTests(MovedTestCase):
    """``rdv dial`` and ``rdv accept``."""

    timeout = 240

    def pair(self, *options: str) -> tuple[Program, Program]:
        return self.accept(*DIRECT, *options), self.dial(*DIRECT, *options)

    async def check(self) -> None:
        """Half of it goes one way, half the other."""
        clients = self.pair()
        contents = [noise(seed, 3 * MEGABYTE) for seed in (1, 2)]
        half = len(contents[0]) // 2
        for client, content in zip(clients, contents, strict=True):
            client.write(content[:half])
        for client in clients:
            await client.received(half)
        await self.move(*clients)
        for client, content in zip(clients, contents, strict=True):
            client.write(content[half:])
            client.close_stdin()
        for client, content in zip(clients, reversed(contents), strict=True):
            await self.assert_ended(client, 0, BEGUN, MOVED)
            self.assertTrue(client.stdout == content)

    async def test_own_server(self) -> None:
        await self.serve()
        await self.check()

    async def test_plain_server(self) -> None:
        """Which closes both directions when one has ended."""
        await self.serve_plain()
        await self.check()

    async def test_https(self) -> None:
        await self.serve_https()
        clients = self.pair(*self.trust)
        await self.move(*clients)
        await self.finish(clients, BEGUN, MOVED)

    async def test_half_closed(self) -> None:
        """Behind an end, the other direction moves; its reader was told of the end long before."""
        await self.serve()
        for order in (1, -1):
            clients = self.pair()
            one, other = clients[::order]
            one.write(b"a question")
            one.close_stdin()
            await other.received(10)
            await self.move(*clients)
            answer = noise(3, MEGABYTE)
            other.write(answer)
            other.close_stdin()
            for client in clients:
                await self.assert_ended(client, 0, BEGUN, MOVED)
            self.assertTrue(one.stdout == answer)

    async def test_server_goes(self) -> None:
        """It has nothing to do with a stream that has moved."""
        for serve in (self.serve, self.serve_plain):
            server = await serve()
            clients = self.pair()
            await self.move(*clients)
            await server.line("^ended: |relayed: ")  # all that was said on the relay has been read
            await server.kill()
            await self.finish(clients, BEGUN, MOVED)

    async def test_peer_goes(self) -> None:
        """The direct path of a stream that has moved breaks: that is no end."""
        await self.serve()
        for number in (0, 1):
            clients = list(self.pair())
            await self.move(*clients)
            clients.pop(number).signal("KILL")
            await self.assert_ended(clients[0], 3, BEGUN, MOVED, BROKEN)

    async def test_gone_before(self) -> None:
        """What breaks the relay breaks a stream that might have moved: nobody waits for that."""
        for number in range(3):
            server = await self.serve()
            clients = list(self.pair())
            for client in clients:
                await client.line("^" + BEGUN + "$")
            victim = server if number == 2 else clients.pop(number)
            victim.signal("KILL")
            for client in clients:
                await self.assert_ended(client, 3, BEGUN, BROKEN)

    async def test_no_move(self) -> None:
        """One of both does not want it."""
        await self.serve()
        for options in (("--no-move",), ()), ((), ("--no-move",)):
            acceptor = self.accept(*DIRECT, *options[0])
            dialer = self.dial(*DIRECT, "--penalty", "0", *options[1])
            for client in (acceptor, dialer):
                await client.line("^" + BEGUN + "$")
            self.let_go(acceptor, dialer)
            await self.finish((acceptor, dialer), BEGUN)

    async def test_quiet(self) -> None:
        await self.serve()
        acceptor, dialer = self.accept(*DIRECT), self.dial(*DIRECT, "-q")
        await acceptor.line("^" + BEGUN + "$")
        self.let_go(acceptor, dialer)
        await acceptor.line("^" + MOVED + "$")
        for client in (acceptor, dialer):
            client.write(b"bye")
            client.close_stdin()
        await self.assert_ended(dialer, 0)


class TellingTests(MovedTestCase):
    """What else is reported about a move."""

    def events(self, program: Program, *names: str) -> list[dict[str, Any]]:
        """Those with one of these names."""
        events = [json.loads(line) for line in program.stderr.splitlines()]
        return [event for event in events if event["event"] in names]

    async def test_json(self) -> None:
        """Where it goes, and since when; how the ways ended, and that the count goes on."""
        await self.serve()
        clients = self.accept(*DIRECT, "--json"), self.dial(*DIRECT, "--json")
        for client in clients:
            client.write(noise(1, MEGABYTE))
            await client.line('"connected".*"relay"')
        for client in clients:
            await client.line(f'"bytes", .*"sent": {MEGABYTE},')
        self.let_go(*clients)
        for client in clients:
            await client.line('"moved"')
            client.write(noise(2, MEGABYTE))
            client.close_stdin()
        for client in clients:
            self.assertEqual(await client.ended, 0, client.report())
            connected, moved = self.events(client, "connected", "moved")
            self.assertEqual((connected["path"], moved["path"]), ("relay", "p2p"))
            self.assertGreaterEqual(moved["milliseconds"], 0)
            self.assertNotEqual(moved["peer"], connected["peer"])
            self.assertEqual(len(self.events(client, "chosen")), 2)
            ways = [event["way"] for event in self.events(client, "way")]
            over = [event["way"] for event in self.events(client, "chosen", "lost")]
            self.assertEqual(sorted(ways), sorted(over))
            counts = [event["sent"] for event in self.events(client, "bytes")]
            self.assertEqual(counts, sorted(counts))
            self.assertEqual(counts[-1], 2 * MEGABYTE)

    async def test_explained(self) -> None:
        """When it has moved, with the move; a file has the same."""
        await self.serve()
        path = Path(self.mktemp() + ".ndjson").absolute()
        environment = {"PYTHONIOENCODING": "utf-8", "COLUMNS": "100"}
        acceptor = self.accept(*DIRECT)
        dialer = self.dial(*DIRECT, "--explain", "--explain-to", str(path), env=environment)
        await self.move(acceptor, dialer)
        said = dialer.stderr.decode()
        self.assertLess(said.index("CONNECTED: relay"), said.index("The stream began on the relay"))
        self.assertLess(said.index("The stream began on the relay"), said.index("MOVED: "))
        self.assertRegex(said, r"(?m)^relay loopback .*═.* chosen; left after ")
        self.assertRegex(said, r"(?m)^(from )?\S+:\d+ loopback .*★ +the stream moved")
        events = [json.loads(line) for line in path.read_text().splitlines()]
        self.assertEqual(events[-1]["event"], "moved")
        for client in (acceptor, dialer):
            client.kill()

    async def test_stayed(self) -> None:
        """The stream is over before there is another path."""
        await self.serve()
        path = Path(self.mktemp() + ".ndjson").absolute()
        acceptor = self.accept(*DIRECT)
        dialer = self.dial(*DIRECT, "--explain", "--explain-to", str(path))
        for client in (acceptor, dialer):
            client.write(b"bye")
            client.close_stdin()
        for client in (acceptor, dialer):
            self.assertEqual(await client.ended, 0, client.report())
        self.assertIn("The stream began on the relay and stayed there: ", dialer.stderr.decode())
        events = [json.loads(line) for line in path.read_text().splitlines()]
        self.assertEqual(events[-1]["event"], "stayed")
        (connected,) = [event for event in events if event["event"] == "connected"]
        self.assertTrue(connected["moves"])

    async def test_interrupted(self) -> None:
        """Whoever does not want to wait for the end of it is told what is known, once."""
        await self.serve()
        acceptor, dialer = self.accept(*DIRECT), self.dial(*DIRECT, "--explain")
        for client in (acceptor, dialer):
            await client.line("^" + BEGUN + "$")
        dialer.signal("INT")
        self.assertEqual(await dialer.ended, 130)
        self.assertEqual(dialer.stderr.count(b"The stream began on the relay and stayed there"), 1)
        await self.assert_ended(acceptor, 3, BEGUN, BROKEN)

    async def test_progress(self) -> None:
        """The bar goes on below the line."""
        await self.serve()
        screen = Screen(self, 100)
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        path = self.file_of(b"")
        os.truncate(path, 64 * MEGABYTE)
        receiver = self.accept(*DIRECT, stdin=self.opened(os.devnull), stdout=writer)
        os.close(writer)
        sender = self.dial(
            *DIRECT,
            stdin=self.opened(path),
            stdout=self.opened(os.devnull, os.O_WRONLY),
            stderr=screen.fd,
            env={"TERM": "xterm", "PYTHONIOENCODING": "utf-8"},
        )
        await screen.shows(r"sent +\d+%")
        self.let_go(receiver, sender)
        await screen.shows(MOVED)
        count = Program(self, "/usr/bin/wc", "-c", stdin=reader)
        self.assertEqual(await count.ended, 0)
        self.assertEqual(int(count.stdout), 64 * MEGABYTE)
        self.assertEqual(await sender.ended, 0)
        screen.let_go()
        await screen.closed
        shown = [line for line in screen.lines() if line and not line.startswith("WAITING")]
        self.assertEqual(len(shown), 3, shown)
        for line, pattern in zip(shown, (BEGUN, MOVED, r"SENT: 67\.1MB in .*"), strict=True):
            self.assertRegex(line, f"^{pattern}$")


class ForwardingTests(MovedTestCase, ForwardingTestCase):
    """``rdv expose`` and ``rdv connect``."""

    async def test_moved(self) -> None:
        """Each forward moves for itself, and says so with its number."""
        await self.target()
        await self.serve()
        programs = (
            await self.expose(*DIRECT, token=self.secret),
            await self.connect(*DIRECT, token=self.secret),
        )
        local, visitor = await self.forward()
        local.write(b"hello")
        self.assertEqual(await visitor.received(5), b"hello")
        for program in programs:
            await program.line("^" + BEGUN.replace("CONNECTED", "CONNECTED 1") + "$")
        self.let_go(*programs)
        for program in programs:
            await program.line("^" + MOVED.replace("MOVED", "MOVED 1") + "$")
        there, back = noise(1, 3 * MEGABYTE), noise(2, 2 * MEGABYTE)
        local.data.clear()
        visitor.data.clear()
        await self.check_both_ways(local, visitor, there, back)


class ProgramTests(MovedTestCase):
    """A protocol that is notified of its path."""

    @runs("docs/client.rst", "IPathListener")
    async def test_endpoints(self, source: str) -> None:
        """Both ends, through endpoints: the example in the documentation shows where it goes."""
        hold = Hold()
        self.patch(HolePuncher, "dial", hold.dial)
        await self.serve()
        moved: Deferred[None] = Deferred()
        shown: list[str] = []

        def show(text: str) -> None:
            shown.append(text)
            if len(shown) == 4:
                moved.callback(None)

        secret = Secret.generate()
        protocol = (await execute(source, show=show))["Chat"]
        client = Client(REACTOR, spaces=AddressSpace.LOOPBACK)
        made: list[Any] = []

        def build() -> Any:
            made.append(protocol())
            return made[-1]

        factory = Factory.forProtocol(build)
        port = await RendezvousServerEndpoint(client, self.url, secret).listen(factory)
        await RendezvousEndpoint(client, Role.DIALER, self.url, secret).connect(factory)
        while len(shown) < 2:
            await _turn()
        hold.release()
        await moved
        self.assertEqual(
            [text.partition(":")[0] for text in shown],
            ["connected through the relay"] * 2 + ["connected through a direct path"] * 2,
        )
        for each in made:
            each.transport.abortConnection()
        await port.stopListening()
        await gatherResults([_turn(), _turn()])


def _turn() -> Deferred[None]:
    turned: Deferred[None] = Deferred()
    REACTOR.callLater(0, turned.callback, None)
    return turned
