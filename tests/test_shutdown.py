"""
How a server ends, and how clients outlast its lobby timeout.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from tests.processes import ROOT, Program
from tests.servers import CONNECTED, MEGABYTE, RELAYED, TWIST, StartServer, SystemTestCase, noise

RELAY = CONNECTED.format("relay")
BROKEN = "the stream broke: .+"
#: Of a client that does not come back when the server wants to be asked again.
IN_A_HURRY = ("--timeout", "9")
GOING = "{} refused: 503 Service Unavailable: shutting down, try again"


class ShutdownChecks(SystemTestCase):
    """What ``rdv serve`` and ``twist rdv`` have in common."""

    async def stream(self) -> tuple[Program, Program]:
        """A relayed stream that has begun."""
        dialer, acceptor = self.dial(*RELAYED), self.accept(*RELAYED)
        dialer.write(b"x")
        await acceptor.received(1)
        return dialer, acceptor

    async def stopping(self, server: Program, pairs: int, name: str = "TERM") -> None:
        """Tell the server to stop, and wait until it does."""
        server.signal(name)
        await server.line(f"SIG{name}: {pairs} pairs may end within")

    async def check_waiting(self, start: StartServer) -> None:
        """Those who wait are told, and the server ends at once."""
        server = await start("--drain", "600")
        waiting = [self.accept(*IN_A_HURRY, token="one"), self.dial(*IN_A_HURRY, token="two")]
        await server.line("waiting: acceptor")
        await server.line("waiting: dialer")
        server.signal("TERM")
        for client in waiting:
            await self.assert_ended(client, 1, GOING.format(self.url))
        self.assertEqual(await server.ended, 0)

    async def check_drain(self, start: StartServer) -> None:
        """A stream goes on to its end, while nobody new is let in."""
        server = await start("--drain", "600")
        dialer, acceptor = await self.stream()
        await self.stopping(server, 1, "INT")
        await self.assert_ended(self.dial(*IN_A_HURRY, token="late"), 1, GOING.format(self.url))
        there, back = noise(1, 3 * MEGABYTE), noise(2, 3 * MEGABYTE)
        dialer.write(there)
        acceptor.write(back)
        await dialer.received(len(back))
        await acceptor.received(1 + len(there))
        dialer.close_stdin()
        acceptor.close_stdin()
        for client in (dialer, acceptor):
            await self.assert_ended(client, 0, RELAY)
        self.assertEqual((dialer.stdout, acceptor.stdout), (back, b"x" + there))
        self.assertEqual(await server.ended, 0)

    async def check_no_drain(self, start: StartServer) -> None:
        """Nobody gets any time."""
        server = await start("--drain", "0")
        clients = await self.stream()
        server.signal("TERM")
        for client in clients:
            await self.assert_ended(client, 3, RELAY, BROKEN)
        self.assertEqual(await server.ended, 0)

    async def check_second_signal(self, start: StartServer) -> None:
        """Somebody is in a hurry."""
        server = await start("--drain", "600")
        clients = await self.stream()
        await self.stopping(server, 1)
        server.signal("TERM")
        for client in clients:
            await self.assert_ended(client, 3, RELAY, BROKEN)
        self.assertEqual(await server.ended, 0)

    async def check_other_signals(self, start: StartServer) -> None:
        """They do not disturb a stream: neither those to the server, nor those to its workers."""
        for options in ((), ("--workers", "2")):
            server = await start(*options)
            if options:
                # One of the workers speaks up last.
                await server.line("worker 0 serves as process")
                await server.line("worker 1 serves as process")
            clients = await self.stream()
            workers = re.findall(rb"serves as process (\d+)", server.stderr + server.stdout)
            for name in ("HUP", "USR1", "USR2"):
                for pid in (server.transport.pid, *map(int, workers)):
                    os.kill(pid, getattr(signal, f"SIG{name}"))
            dialer, acceptor = clients
            dialer.write(b"y")
            self.assertEqual(await acceptor.received(2), b"xy")
            for client in clients:
                client.close_stdin()
            for client in clients:
                await self.assert_ended(client, 0, RELAY)
            server.signal("TERM")
            self.assertEqual(await server.ended, 0, server.report())


class ServeTests(ShutdownChecks):
    """``rdv serve``."""

    async def test_other_signals(self) -> None:
        """A server has no use for them."""
        await self.check_other_signals(self.serve)

    async def test_waiting(self) -> None:
        """Those who wait get 503."""
        await self.check_waiting(self.serve)

    async def test_drain(self) -> None:
        """A running stream may end."""
        await self.check_drain(self.serve)

    async def test_no_drain(self) -> None:
        """``--drain 0`` cuts it."""
        await self.check_no_drain(self.serve)

    async def test_second_signal(self) -> None:
        """So does a second signal."""
        await self.check_second_signal(self.serve)

    async def test_idle(self) -> None:
        """A server without clients ends at once."""
        for name in ("INT", "TERM"):
            server = await self.serve("--drain", "600")
            server.signal(name)  # it has said that it is ready
            self.assertEqual(await server.ended, 0, server.report())

    async def test_cut_after_drain(self) -> None:
        """The drain time has an end."""
        server = await self.serve("--drain", "0.1")
        clients = await self.stream()
        server.signal("TERM")
        for client in clients:
            await self.assert_ended(client, 3, RELAY, BROKEN)
        self.assertEqual(await server.ended, 0)


class TwistTests(ShutdownChecks):
    """``twist rdv``."""

    async def test_other_signals(self) -> None:
        """A server has no use for them."""
        await self.check_other_signals(self.twist)

    async def test_workers_that_cannot_start(self) -> None:
        """Somebody has to notice."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        code = "import os, sys\nif 'rdv.server.workers.worker' in sys.orig_argv: os._exit(7)\n"
        (folder / "sitecustomize.py").write_text(code)
        environment = {"PYTHONPATH": f"{ROOT}:{folder}"}
        options = ("rdv", "--port", "tcp:0:interface=127.0.0.1", "--workers", "2")
        server = Program(self, TWIST, *options, env=environment)
        self.assertEqual(await server.ended, 1, server.report())
        self.assertIn(b" did not start: exit status 7", server.stdout)

    async def test_waiting(self) -> None:
        """Those who wait get 503."""
        await self.check_waiting(self.twist)

    async def test_drain(self) -> None:
        """A running stream may end."""
        await self.check_drain(self.twist)

    async def test_no_drain(self) -> None:
        """``--drain 0`` cuts it."""
        await self.check_no_drain(self.twist)

    async def test_second_signal(self) -> None:
        """So does a second signal."""
        await self.check_second_signal(self.twist)

    async def test_idle(self) -> None:
        """A server without clients ends at once."""
        for name in ("INT", "TERM"):
            server = await self.twist("--drain", "600")
            # It listens before it runs; now it runs.
            self.assertIn(b" 426 ", await self.ask(b"GET / HTTP/1.0\r\n\r\n"))
            server.signal(name)
            self.assertEqual(await server.ended, 0, server.report())


class LobbyTimeoutTests(SystemTestCase):
    """A server that lets nobody wait for long."""

    async def test_enters_again(self) -> None:
        """A client is told that nobody came, asks again, and meets its peer after all."""
        server = await self.serve("--lobby-timeout", "1")
        acceptor = self.accept(*RELAYED)
        await server.line("refused: acceptor")
        dialer = self.dial(*RELAYED)
        dialer.write(b"there you are")
        self.assertEqual(await acceptor.received(13), b"there you are")
        dialer.close_stdin()
        acceptor.close_stdin()
        await self.assert_ended(dialer, 0, RELAY)
        await self.assert_ended(acceptor, 0, RELAY)

    async def test_gives_up(self) -> None:
        """When its own time is over it says so, not what the server said."""
        server = await self.serve("--lobby-timeout", "0.1")
        dialer = self.dial("--timeout", "1.5")
        await server.line("refused: dialer")
        said = rf"no connection within 1\.5 s: the peer did not come to {self.url}"
        await self.assert_ended(dialer, 1, said)
