"""
How a server ends, and how clients outlast its lobby timeout.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from tests.processes import ROOT, Program
from tests.servers import BROKEN, MEGABYTE, RELAY, RELAYED, TWIST, SystemTestCase, left, noise

#: For a client that does not return when the server asks for a retry.
IN_A_HURRY = ("--timeout", "9")
GOING = "{} refused: 503 Service Unavailable: shutting down, try again"
GONE = "cannot reach {}: connection refused"


class ShutdownTests(SystemTestCase):
    """``rdv serve``, and what other servers have in common with it."""

    timeout = 240

    async def start(self, *options: str) -> Program:
        return await self.serve(*options)

    async def stream(self) -> tuple[Program, Program]:
        """A relayed stream that has begun."""
        dialer, acceptor = self.dial(*RELAYED), self.accept(*RELAYED)
        dialer.write(b"x")
        await acceptor.received(1)
        return dialer, acceptor

    async def stopping(self, server: Program, pairs: int, name: str = "TERM") -> None:
        """Tell the server to stop, and wait until it does."""
        server.signal(name)
        await server.line(f"SIG{name}: {left(pairs)}")

    async def test_waiting(self) -> None:
        """Those who wait are told, and the server ends at once."""
        server = await self.start("--drain", "600")
        waiting = [self.accept(*IN_A_HURRY, token="one"), self.dial(*IN_A_HURRY, token="two")]
        await server.line("waiting: acceptor")
        await server.line("waiting: dialer")
        server.signal("TERM")
        for client in waiting:
            await self.assert_ended(client, 1, GOING.format(self.url))
        self.assertEqual(await server.ended, 0)

    async def test_drain(self) -> None:
        """A stream goes on to its end, while nobody new is let in, as if there were no server."""
        server = await self.start("--drain", "600")
        dialer, acceptor = await self.stream()
        await self.stopping(server, 1, "INT")
        await self.assert_ended(
            self.dial("--timeout", "2", token="late"),
            1,
            ".*" + GONE.format(self.url) + ".*",
        )
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

    async def test_no_drain(self) -> None:
        """Nobody gets any time."""
        server = await self.start("--drain", "0")
        clients = await self.stream()
        server.signal("TERM")
        for client in clients:
            await self.assert_ended(client, 3, RELAY, BROKEN)
        self.assertEqual(await server.ended, 0)

    async def test_second_signal(self) -> None:
        """Somebody is in a hurry."""
        server = await self.start("--drain", "600")
        clients = await self.stream()
        await self.stopping(server, 1)
        server.signal("TERM")
        for client in clients:
            await self.assert_ended(client, 3, RELAY, BROKEN)
        self.assertEqual(await server.ended, 0)

    async def test_other_signals(self) -> None:
        """They do not disturb a stream, nor do any to a worker."""
        server = await self.start()
        clients = await self.stream()
        workers = re.findall(rb"serves as process (\d+)", server.stderr + server.stdout)
        for name in ("HUP", "USR1"):
            server.signal(name)
        for name in ("HUP", "USR1", "USR2"):  # to a parent, the last one is a command
            for pid in workers:
                os.kill(int(pid), getattr(signal, f"SIG{name}"))
        dialer, acceptor = clients
        dialer.write(b"y")
        self.assertEqual(await acceptor.received(2), b"xy")
        for client in clients:
            client.close_stdin()
        for client in clients:
            await self.assert_ended(client, 0, RELAY)
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())

    async def test_idle(self) -> None:
        """A server without clients ends at once."""
        for name in ("INT", "TERM"):
            server = await self.start("--drain", "600")
            server.signal(name)
            self.assertEqual(await server.ended, 0, server.report())

    async def test_cut_after_drain(self) -> None:
        """The drain time has an end."""
        server = await self.start("--drain", "0.1")
        clients = await self.stream()
        server.signal("TERM")
        for client in clients:
            await self.assert_ended(client, 3, RELAY, BROKEN)
        self.assertEqual(await server.ended, 0)


class TwistTests(ShutdownTests):
    async def start(self, *options: str) -> Program:
        """It listens before it runs."""
        server = await self.twist(*options)
        self.assertIn(b" 426 ", await self.ask(b"GET / HTTP/1.0\r\n\r\n"))
        return server


class WorkersTests(ShutdownTests):
    async def start(self, *options: str) -> Program:
        """One of the workers speaks up last."""
        server = await self.serve("--workers", "2", *options)
        for index in range(2):
            await server.line(f"worker {index} serves as process")
        return server

    async def stopping(self, server: Program, pairs: int, name: str = "TERM") -> None:
        """Tell it to stop, and wait until both workers do."""
        server.signal(name)
        await server.line(f"SIG{name}: stopping 2 workers")
        for index in range(2):
            await server.line(rf"\[worker {index}, .*told to stop: ")


class StartTests(SystemTestCase):
    async def test_said(self) -> None:
        """Somebody has to notice; nothing waits for them, and nothing is left."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        code = "import os, sys\nif 'rdv.server.workers.worker' in sys.orig_argv: os._exit(7)\n"
        (folder / "sitecustomize.py").write_text(code)
        environment = {"PYTHONPATH": f"{ROOT}:{folder}"}
        server = self.rdv("serve", "-l", "127.0.0.1:0", "--workers", "2", env=environment)
        await self.assert_ended(server, 1, "worker [01] did not start: exit status 7")
        options = ("rdv", "--port", "tcp:0:interface=127.0.0.1", "--workers", "2")
        server = Program(self, TWIST, *options, env=environment)
        self.assertEqual(await server.ended, 1, server.report())
        self.assertIn(b" did not start: exit status 7", server.stdout)


class LobbyTimeoutTests(SystemTestCase):
    """A server that does not let clients wait for long."""

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
        said = rf"no connection within 1\.5 s: no peer arrived at {self.url}"
        await self.assert_ended(dialer, 1, said)
