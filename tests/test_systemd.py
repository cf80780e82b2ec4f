"""
The server under systemd: its notifications, and the unit files.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SkipTest, TestCase

from rdv.test.sockets import socket_path
from tests.documents import REACTOR, meet
from tests.processes import PYTHON, ROOT, Program
from tests.servers import SystemTestCase

UNITS = ROOT / "contrib/systemd"


class Manager(DatagramProtocol):
    """
    The part of systemd that a service sees.

    :ivar said: each of its messages.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self._waiting: list[tuple[str, Deferred[re.Match[str]]]] = []

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        self.said.append(datagram.decode())
        waiting, self._waiting = self._waiting, []
        for pattern, deferred in waiting:
            self._look(pattern, deferred, self.said[-1:])

    def heard(self, pattern: str) -> Deferred[re.Match[str]]:
        """The first message, also of those that were there before, in which that is found."""
        deferred: Deferred[re.Match[str]] = Deferred()
        self._look(pattern, deferred, self.said)
        return deferred

    def _look(self, pattern: str, deferred: Deferred[re.Match[str]], messages: list[str]) -> None:
        for message in messages:
            if match := re.search(pattern, message):
                deferred.callback(match)
                return
        self._waiting.append((pattern, deferred))


class NotifyTests(SystemTestCase):
    def setUp(self) -> None:
        self.manager = Manager()
        path = socket_path(self)
        port: Any = REACTOR.listenUNIXDatagram(path, self.manager)
        self.addCleanup(port.stopListening)
        self.environment = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "300000"}

    async def test_life(self) -> None:
        """It is ready, reads its files again, is alive, stops, and asks for time to do so."""
        for workers in ("1", "2"):
            self.manager.said.clear()
            server = self.rdv(
                "serve", "-l", "127.0.0.1:0", "--workers", workers, env=self.environment
            )
            place = (await server.line(r"^LISTENING: (\S+)"))[1]
            await self.manager.heard("^READY=1$")
            both = await meet(f"http://{place}", "token")
            wanted = "0 waiting, 1 pairs" + "; 2 of 2 workers serving" * (workers == "2")
            await self.manager.heard(f"^STATUS={wanted}")
            await self.manager.heard("WATCHDOG=1$")
            server.signal("HUP")
            await self.manager.heard(r"^RELOADING=1\nMONOTONIC_USEC=\d+$")
            ready = self.manager.said.index("READY=1")
            self.manager.said = self.manager.said[ready + 1 :]
            await self.manager.heard("^READY=1$")
            server.signal("TERM")
            await self.manager.heard(r"^STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000")
            for connection in both:
                connection.abortConnection()
            self.assertEqual(await server.ended, 0, server.report())

    async def test_new_generation(self) -> None:
        """It is the main process from then on, and gives signs of life."""
        as_systemd = 'WATCHDOG_PID=$$ exec "$@"'
        command = (PYTHON, "-m", "rdv", "-v", "serve", "-l", "127.0.0.1:0")
        argv = ("/bin/sh", "-c", as_systemd, "sh", *command)
        server = Program(self, *argv, env=self.environment)
        await self.manager.heard("WATCHDOG=1$")
        server.signal("USR2")
        pid = int((await self.manager.heard(r"^MAINPID=(\d+)$"))[1])
        self.addCleanup(self.end, pid)
        self.manager.said.clear()
        await self.manager.heard("WATCHDOG=1$")
        self.end(pid)
        self.assertEqual(await server.ended, 0, server.report())

    def end(self, pid: int) -> None:
        """As systemd does, of a process that is no child of ours."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    async def test_hanging(self) -> None:
        """No sign of life while a worker gives none."""
        server = self.rdv(
            "-v", "serve", "-l", "127.0.0.1:0", "--workers", "2", env=self.environment
        )
        pid = int((await server.line(r"worker 1 serves as process (\d+)"))[1])
        await self.manager.heard("^STATUS=.*2 of 2 workers serving\nWATCHDOG=1$")
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.wake, pid)
        await self.manager.heard("^STATUS=.*1 of 2 workers serving$")
        os.kill(pid, signal.SIGCONT)
        self.manager.said.clear()
        await self.manager.heard("^STATUS=.*2 of 2 workers serving\nWATCHDOG=1$")
        server.signal("TERM")
        self.assertEqual(await server.ended, 0, server.report())

    def wake(self, pid: int) -> None:
        """So that nothing is left over."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


class UnitTests(TestCase):
    timeout = 60

    async def test_verify(self) -> None:
        """systemd understands the units, and finds nothing odd."""
        program = shutil.which("systemd-analyze")
        if program is None:
            raise SkipTest("systemd-analyze is not installed")
        folder = self.mktemp()
        os.mkdir(folder)
        for name in ("rdv.service", "rdv.socket"):
            content = (UNITS / name).read_text()
            with open(f"{folder}/{name}", "w") as file:
                file.write(content.replace("/opt/rdv/bin/rdv", "/bin/true"))
        paths = [os.path.abspath(f"{folder}/{name}") for name in ("rdv.service", "rdv.socket")]
        verifying = Program(self, program, "--man=no", "verify", *paths)
        self.assertEqual(await verifying.ended, 0, verifying.report())
        self.assertEqual((verifying.stdout, verifying.stderr), (b"", b""), verifying.report())
